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
	stream, err := i.cli.ContainerLogs(ctx, i.id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: strconv.Itoa(n), Since: i.sinceText()})
	if err != nil {
		return nil
	}
	defer stream.Close()
	var text bytes.Buffer
	i.split(&text, &text, io.LimitReader(stream, 1<<20))
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
	o := container.LogsOptions{Follow: true, Since: i.sinceText()}
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
	i.reading, i.hangUp = done, cancel
	close(i.asked)
	i.mu.Unlock()
	go func() {
		defer close(done)
		defer cancel()
		defer stream.Close()
		stdout, stderr := &liner{stream: "stdout", fn: fn}, &liner{stream: "stderr", fn: fn}
		i.split(stdout, stderr, stream)
		if ctx.Err() == nil {
			i.rest(o, stdout, stderr)
		}
		stdout.end()
		stderr.end()
	}()
}

// rest reads what a container that has ended wrote last: an engine may end the
// stream of lines before.
func (i *instance) rest(o container.LogsOptions, stdout, stderr *liner) {
	ctx, cancel := context.WithTimeout(context.Background(), logTimeout)
	defer cancel()
	o.Follow = false
	stream, err := i.cli.ContainerLogs(ctx, i.id, o)
	if err != nil {
		return
	}
	defer stream.Close()
	stdout.again()
	stderr.again()
	i.split(stdout, stderr, stream)
}

// split takes the engine's stream of lines apart. A terminal has but one.
func (i *instance) split(stdout, stderr io.Writer, stream io.Reader) {
	if i.tty {
		io.Copy(stdout, stream)
		return
	}
	stdcopy.StdCopy(stdout, stderr, stream)
}

// awaitLines waits until the last line of a container that has ended was read.
// Its lines are asked for just after its start, which may be about now.
func (i *instance) awaitLines() {
	limit := time.After(logTimeout)
	select {
	case <-i.asked:
	case <-limit:
		return
	}
	select {
	case <-i.reading:
	case <-limit:
	}
}

// unfollow ends the reading of lines, if there is one.
func (i *instance) unfollow() {
	i.mu.Lock()
	reading, hangUp := i.reading, i.hangUp
	i.mu.Unlock()
	if reading != nil {
		hangUp()
		<-reading
	}
}

func (i *instance) sinceText() string {
	if i.since.IsZero() {
		return ""
	}
	return i.since.Format(time.RFC3339Nano)
}

// liner calls fn for each line that is written to it.
type liner struct {
	stream     string
	fn         func(stream, line string)
	buf        []byte
	told, skip int // lines: since the beginning, and still to be left out
}

func (l *liner) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	for {
		line, rest, found := bytes.Cut(l.buf, []byte("\n"))
		if !found && len(l.buf) < maxLine {
			return len(p), nil
		}
		l.tell(line)
		l.buf = append(l.buf[:0], rest...)
	}
}

func (l *liner) tell(line []byte) {
	if l.skip > 0 {
		l.skip--
		return
	}
	l.told++
	l.fn(l.stream, strings.TrimSuffix(string(line), "\r"))
}

// again says that what was written is going to be written once more.
func (l *liner) again() { l.buf, l.skip = nil, l.told }

func (l *liner) end() {
	if len(l.buf) > 0 {
		l.tell(l.buf)
	}
}
