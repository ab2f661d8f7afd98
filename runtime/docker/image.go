//go:build linux

package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// images sees to it that each image is fetched or built once per run,
// however many worlds wait for it.
type images struct {
	mu   sync.Mutex
	jobs map[string]*job
}

type job struct {
	done chan struct{}
	ref  string
	err  error
}

// once runs f for the first who asks for key; the others wait for its result.
// A failure is forgotten, so that what is tried again is done again.
func (i *images) once(ctx context.Context, key string, f func() (string, error)) (string, error) {
	i.mu.Lock()
	j := i.jobs[key]
	if j == nil {
		if i.jobs == nil {
			i.jobs = make(map[string]*job)
		}
		j = &job{done: make(chan struct{})}
		i.jobs[key] = j
		i.mu.Unlock()
		j.ref, j.err = f()
		if j.err != nil {
			i.mu.Lock()
			delete(i.jobs, key)
			i.mu.Unlock()
		}
		close(j.done)
		return j.ref, j.err
	}
	i.mu.Unlock()
	select {
	case <-j.done:
		if errors.Is(j.err, context.Canceled) && ctx.Err() == nil {
			return i.once(ctx, key, f) // the first was called off, we were not
		}
		return j.ref, j.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// imageOf returns the image that a service is to be made from, fetching or
// building it first if it is not there.
func (e *Engine) imageOf(ctx context.Context, cli *client.Client, s *runtime.Service) (image.InspectResponse, error) {
	ref := s.Image
	var err error
	if s.Build != "" {
		var how *runtime.Build
		if s.Settings != nil {
			how = s.Settings.Build
		}
		ref, err = e.images.once(ctx, fmt.Sprintf("build %s %p", s.Build, how), func() (string, error) { return e.build(ctx, cli, s.Build, how) })
	} else {
		_, err = e.images.once(ctx, "image "+ref, func() (string, error) { return ref, e.fetch(ctx, cli, ref) })
	}
	if err != nil {
		return image.InspectResponse{}, err
	}
	found, err := cli.ImageInspect(ctx, ref)
	if err != nil {
		return found, fmt.Errorf("look at image %s: %w", ref, stopped(err))
	}
	return found, nil
}

// fetch pulls an image unless it is there.
func (e *Engine) fetch(ctx context.Context, cli *client.Client, ref string) error {
	_, err := cli.ImageInspect(ctx, ref)
	if err == nil || !cerrdefs.IsNotFound(err) {
		return stopped(err)
	}
	begin := time.Now()
	e.say("pulling image %s …", ref)
	stream, err := cli.ImagePull(ctx, ref, image.PullOptions{})
	if err == nil {
		defer stream.Close()
		err = e.follow(stream, "pulling image "+ref, nil)
	}
	if err != nil {
		return explainPull(ref, stopped(err))
	}
	e.say("pulled image %s in %s", ref, time.Since(begin).Round(100*time.Millisecond))
	return nil
}

// explainPull says what to do about an image that cannot be had.
func explainPull(ref string, err error) error {
	msg := err.Error()
	advice := fmt.Sprintf("try `docker pull %s`", ref)
	switch {
	case strings.Contains(msg, "no space left"):
		advice = "the disk of the Docker engine is full: free some with `docker system prune`"
	case strings.Contains(msg, "denied") || strings.Contains(msg, "unauthorized") || strings.Contains(msg, "not found") || strings.Contains(msg, "manifest unknown"):
		advice = fmt.Sprintf("it is neither on this machine nor to be had from its registry: correct image=, build it under that name (`docker build -t %s …`), or, if it is private, fetch it with your own login: `docker pull %s`", ref, ref)
	case strings.Contains(msg, "dial tcp") || strings.Contains(msg, "lookup ") || strings.Contains(msg, "timeout") || strings.Contains(msg, "deadline exceeded"):
		advice = fmt.Sprintf("it is not on this machine and its registry cannot be reached: connect, or bring it here with `docker load`, or build it under that name (`docker build -t %s …`)", ref)
	}
	return fmt.Errorf("fetch image %s: %w: %s", ref, err, advice)
}

// message is one line of the stream of a pull or a build.
type message struct {
	Stream   string
	Status   string
	ID       string
	Error    string
	Progress struct{ Current, Total int64 } `json:"progressDetail"`
}

// follow reads the stream of a pull or a build to its end and returns the
// error in it. text gets what a build printed. Progress is told every 2 s.
func (e *Engine) follow(stream io.Reader, what string, text func(string)) error {
	type part struct{ have, total int64 }
	layers := make(map[string]part)
	told := time.Now()
	for d := json.NewDecoder(stream); ; {
		var m message
		switch err := d.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the engine's answer: %w", err)
		}
		if m.Error != "" {
			return errors.New(strings.TrimSpace(m.Error))
		}
		if text != nil && m.Stream != "" {
			text(m.Stream)
		}
		if m.Progress.Total > 0 && m.Status == "Downloading" {
			layers[m.ID] = part{m.Progress.Current, m.Progress.Total}
		} else if p, ok := layers[m.ID]; ok && m.Status != "Downloading" {
			layers[m.ID] = part{p.total, p.total}
		}
		if time.Since(told) > 2*time.Second && len(layers) > 0 {
			told = time.Now()
			var sum part
			for _, p := range layers {
				sum.have, sum.total = sum.have+p.have, sum.total+p.total
			}
			e.say("%s: %d of %d MB", what, sum.have>>20, sum.total>>20)
		}
	}
}

// say tells people what takes its time.
func (e *Engine) say(format string, args ...any) {
	if e.o.Progress != nil {
		fmt.Fprintf(e.o.Progress, "faultbox: "+format+"\n", args...)
	}
}
