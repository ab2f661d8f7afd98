//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// Labels that docker compose gives its containers.
const (
	composeProject = "com.docker.compose.project"
	composeService = "com.docker.compose.service"
	composeNumber  = "com.docker.compose.container-number"
	composeOneoff  = "com.docker.compose.oneoff"
)

// Members returns the containers of a project that is up, by service and number.
// There is at least one.
func (e *Engine) Members(ctx context.Context, project string) ([]Member, error) {
	cli, err := e.connect()
	if err != nil {
		return nil, err
	}
	list, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", composeProject+"="+project))})
	if err != nil {
		return nil, fmt.Errorf("look for project %q: %w", project, stopped(err))
	}
	slices.SortFunc(list, func(a, b container.Summary) int {
		if n := strings.Compare(a.Labels[composeService], b.Labels[composeService]); n != 0 {
			return n
		}
		x, _ := strconv.Atoi(a.Labels[composeNumber])
		y, _ := strconv.Atoi(b.Labels[composeNumber])
		return x - y
	})
	var members []Member
	for _, c := range list {
		if strings.EqualFold(c.Labels[composeOneoff], "true") {
			continue
		}
		m, err := cli.ContainerInspect(ctx, c.ID)
		if err != nil {
			return nil, fmt.Errorf("look at container %s: %w", c.Names[0], stopped(err))
		}
		members = append(members, memberOf(m))
	}
	if len(members) == 0 {
		return nil, e.noProject(ctx, project)
	}
	return members, nil
}

func memberOf(c container.InspectResponse) Member {
	m := Member{
		Service: c.Config.Labels[composeService], Name: strings.TrimPrefix(c.Name, "/"), ID: c.ID,
		Image: c.Config.Image, Env: c.Config.Env, State: c.State.Status,
	}
	for port := range c.Config.ExposedPorts {
		if port.Proto() == "tcp" {
			m.Ports = append(m.Ports, port.Int())
		}
	}
	slices.Sort(m.Ports)
	return m
}

// noProject says that there is no such project, and which there are.
func (e *Engine) noProject(ctx context.Context, project string) error {
	msg := fmt.Sprintf("find project %q: no container has its label (%s)", project, composeProject)
	cli, err := e.connect()
	if err != nil {
		return err
	}
	list, _ := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", composeProject))})
	var names []string
	for _, c := range list {
		names = append(names, c.Labels[composeProject])
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > 0 {
		return fmt.Errorf("%s; there are %s", msg, strings.Join(names, ", "))
	}
	return errors.New(msg + ", nor that of any other: bring it up first (`docker compose up -d`)")
}

// WatchProject tells what happens to the containers of a project, in words,
// until ctx ends. ours are the names of those that tests put faults on.
func (e *Engine) WatchProject(ctx context.Context, project string, ours []string, tell func(string)) error {
	cli, err := e.connect()
	if err != nil {
		return err
	}
	news, errs := cli.Events(ctx, events.ListOptions{Filters: filters.NewArgs(
		filters.Arg("type", string(events.ContainerEventType)), filters.Arg("label", composeProject+"="+project))})
	go func() {
		for {
			select {
			case m := <-news:
				if text := whatHappened(m, ours); text != "" {
					tell(text)
				}
			case err := <-errs:
				if ctx.Err() == nil {
					tell(fmt.Sprintf("what happens to project %s is no longer seen: %v", project, stopped(err)))
				}
				return
			}
		}
	}()
	return nil
}

// whatHappened says what an event means to who has faults on a container.
func whatHappened(m events.Message, ours []string) string {
	a := m.Actor.Attributes
	if strings.EqualFold(a[composeOneoff], "true") {
		return ""
	}
	known := slices.Contains(ours, a["name"])
	who := fmt.Sprintf("container %s of service %s", a["name"], a[composeService])
	switch m.Action {
	case events.ActionStart:
		if known {
			return who + " was started: it has no faults until the next test begins"
		}
		return who + " was started: it was not there when this run began and gets no faults; attach again to have it in"
	}
	if !known {
		return ""
	}
	switch m.Action {
	case events.ActionDie:
		return fmt.Sprintf("%s ended (exit code %s): the faults on it ended with it", who, a["exitCode"])
	case events.ActionPause:
		return who + " was paused"
	case events.ActionUnPause:
		return who + " goes on after a pause"
	case events.ActionDestroy:
		return who + " was removed"
	}
	return ""
}
