//go:build linux

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"

	"faultbox/runtime"
)

// checkPause is the time between two checks. The engine makes them too, as
// rarely as the service's settings say; who waits for a service asks more often.
const checkPause = 150 * time.Millisecond

var _ runtime.Checker = (*instance)(nil)

// Check implements runtime.Checker: it executes the container's own health
// check, that of its settings or else of its image, once.
func (i *instance) Check(ctx context.Context) error {
	c, err := i.cli.ContainerInspect(ctx, i.id)
	if err != nil {
		return stopped(err)
	}
	h := c.Config.Healthcheck
	if h == nil || len(h.Test) == 0 || h.Test[0] == "NONE" {
		return errors.New("another service waits for it to be healthy, and neither the compose file nor its image has a health check")
	}
	var argv []string
	switch h.Test[0] {
	case "CMD":
		argv = h.Test[1:]
	case "CMD-SHELL":
		argv = []string{"/bin/sh", "-c", strings.Join(h.Test[1:], " ")}
		if len(c.Config.Shell) > 0 {
			argv = append(append([]string{}, c.Config.Shell...), strings.Join(h.Test[1:], " "))
		}
	default:
		return fmt.Errorf("its health check is of the unknown kind %q", h.Test[0])
	}
	limit := h.Timeout
	if limit == 0 {
		limit = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	code, out, err := i.execute(ctx, argv)
	switch {
	case err == nil && code == 0:
		return nil
	case err == nil:
		err = fmt.Errorf("its health check ended with exit code %d: %s", code, firstLine(out))
	}
	pause(ctx, checkPause)
	return err
}

// execute runs a command in the container and returns how it ended.
func (i *instance) execute(ctx context.Context, argv []string) (code int, out string, err error) {
	made, err := i.cli.ContainerExecCreate(ctx, i.id, container.ExecOptions{Cmd: argv, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return 0, "", fmt.Errorf("make its health check: %w", stopped(err))
	}
	stream, err := i.cli.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, "", fmt.Errorf("make its health check: %w", stopped(err))
	}
	defer stream.Close()
	defer context.AfterFunc(ctx, stream.Close)()
	var text bytes.Buffer
	stdcopy.StdCopy(&text, &text, stream.Reader)
	if ctx.Err() != nil {
		return 0, "", errors.New("its health check takes too long")
	}
	for {
		state, err := i.cli.ContainerExecInspect(ctx, made.ID)
		switch {
		case err != nil:
			return 0, "", fmt.Errorf("make its health check: %w", stopped(err))
		case !state.Running:
			return state.ExitCode, text.String(), nil
		case !pause(ctx, 2*time.Millisecond):
			return 0, "", errors.New("its health check takes too long")
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
