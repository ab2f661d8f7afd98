//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// Engine is a Docker engine. It is a runtime.Driver for containers. Nothing
// happens before it is needed. It may be used by many goroutines at once.
type Engine struct {
	o Options

	connect func() (*client.Client, error) // once
	podman  func() bool                    // once: it is Podman, which plays Docker
	images  images
	subnets subnets

	mu   sync.Mutex
	made int // worlds
}

var _ runtime.Driver = (*Engine)(nil)

// New returns the engine that the environment names. It does not connect yet.
func New(o Options) *Engine {
	e := &Engine{o: o}
	e.connect = sync.OnceValues(e.dial)
	e.podman = sync.OnceValue(e.isPodman)
	return e
}

// Close ends the connections to the engine; nil has none.
func (e *Engine) Close() error {
	if e == nil {
		return nil
	}
	cli, err := e.connect()
	if err != nil {
		return nil
	}
	return cli.Close()
}

// Supported returns nil, or a *runtime.LacksError that says what to do.
func (e *Engine) Supported() error {
	_, err := e.connect()
	return err
}

// dial connects to the engine and agrees on a version of the API.
func (e *Engine) dial() (*client.Client, error) {
	at, err := findEndpoint()
	if err != nil {
		return nil, &runtime.LacksError{What: err.Error()}
	}
	cli, err := client.NewClientWithOpts(append(at.options, client.WithAPIVersionNegotiation(), client.WithUserAgent("faultbox"))...)
	if err != nil {
		return nil, &runtime.LacksError{What: fmt.Sprintf("use the Docker engine at %s (%s): %v", at.host, at.origin, err)}
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	ping, err := cli.Ping(ctx)
	if err != nil {
		cli.Close()
		return nil, &runtime.LacksError{What: explainUnreachable(at, err)}
	}
	if ping.OSType != "" && ping.OSType != "linux" {
		cli.Close()
		return nil, &runtime.LacksError{What: fmt.Sprintf("the Docker engine at %s runs %s containers; Linux containers are needed", at.host, ping.OSType)}
	}
	return cli, nil
}

// isPodman asks the engine. Podman makes a network's bridge with the network's
// first container only, and gives containers other MAC addresses each time.
func (e *Engine) isPodman() bool {
	cli, err := e.connect()
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	v, err := cli.ServerVersion(ctx)
	return err == nil && slices.ContainsFunc(v.Components, func(c types.ComponentVersion) bool { return c.Name == "Podman Engine" })
}

// pingTimeout is how long an engine may take to say that it is there.
const pingTimeout = 15 * time.Second

// explainUnreachable says why an engine does not answer and what to do.
func explainUnreachable(at endpoint, err error) string {
	where := fmt.Sprintf("the Docker engine at %s (%s)", at.host, at.origin)
	var dns *net.DNSError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("may not use %s: permission denied on its socket: run as root (`sudo faultbox test …`), or add this user to the group docker", where)
	case errors.Is(err, fs.ErrNotExist) || at.unix() && !exists(at.host):
		what := "its socket does not exist: start the engine (`sudo systemctl start docker`), or say where it is with DOCKER_HOST"
		if _, err := exec.LookPath("dockerd"); err != nil {
			what = "the spec runs containers and no Docker is installed here: install it (https://docs.docker.com/engine/install, or `apt install docker.io`), or say where its engine is with DOCKER_HOST"
		}
		return fmt.Sprintf("find no %s: %s", strings.TrimPrefix(where, "the "), what)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s does not answer within %s: see `journalctl -u docker`, restart it (`sudo systemctl restart docker`)", where, pingTimeout)
	case errors.Is(err, syscall.ECONNREFUSED) || client.IsErrConnectionFailed(err) && !errors.As(err, &dns):
		return fmt.Sprintf("nobody answers as %s: start the engine (`sudo systemctl start docker`), or say where it is with DOCKER_HOST", where)
	}
	return fmt.Sprintf("use %s: %v", where, err)
}

func exists(host string) bool {
	_, err := os.Stat(strings.TrimPrefix(host, "unix://"))
	return err == nil
}

// stopped explains an error of the engine's in the middle of a run.
func stopped(err error) error {
	if err != nil && client.IsErrConnectionFailed(err) {
		return fmt.Errorf("%w (did the Docker engine stop? see `journalctl -u docker`)", err)
	}
	return err
}
