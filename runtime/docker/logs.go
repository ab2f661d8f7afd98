//go:build linux

package docker

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// logTimeout bounds how long the engine may take to hand out lines.
const logTimeout = 3 * time.Second

// Tail returns the last n lines that the container wrote, oldest first.
func (i *instance) Tail(n int) []string {
	i.mu.Lock()
	gone, last := i.gone, i.last
	i.mu.Unlock()
	if gone {
		return last[max(0, len(last)-n):]
	}
	return i.tail(n)
}

func (i *instance) tail(n int) []string {
	ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	stream, err := i.cli.ContainerLogs(ctx, i.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n)})
	if err != nil {
		return nil
	}
	defer stream.Close()
	var text bytes.Buffer
	stdcopy.StdCopy(&text, &text, io.LimitReader(stream, 1<<20))
	if text.Len() == 0 {
		return nil
	}
	lines := strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
	for k, line := range lines {
		lines[k] = strings.TrimSuffix(line, "\r")
	}
	return lines[max(0, len(lines)-n):]
}

// maxLine bounds a line: what is longer comes in pieces.
const maxLine = 64 << 10

// Lines implements runtime.Instance.
func (i *instance) Lines(fn func(stream, line string)) {
	o := container.LogsOptions{Follow: true}
	for _, w := range i.service.Observe {
		o.ShowStdout = o.ShowStdout || w.Stream == "stdout"
		o.ShowStderr = o.ShowStderr || w.Stream == "stderr"
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := i.cli.ContainerLogs(ctx, i.id, o)
	if err != nil {
		cancel()
		return
	}
	done := make(chan struct{})
	i.mu.Lock()
	i.reading = done
	i.mu.Unlock()
	go func() {
		defer close(done)
		defer cancel()
		defer stream.Close()
		stdout, stderr := &liner{"stdout", fn, nil}, &liner{"stderr", fn, nil}
		stdcopy.StdCopy(stdout, stderr, stream)
		stdout.end()
		stderr.end()
	}()
}

// liner calls fn for each line that is written to it.
type liner struct {
	stream string
	fn     func(stream, line string)
	buf    []byte
}

func (l *liner) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		line, rest, found := bytes.Cut(l.buf, []byte("\n"))
		if !found && len(l.buf) < maxLine {
			return len(p), nil
		}
		l.fn(l.stream, strings.TrimSuffix(string(line), "\r"))
		l.buf = append(l.buf[:0], rest...)
	}
}

func (l *liner) end() {
	if len(l.buf) > 0 {
		l.fn(l.stream, string(l.buf))
	}
}
