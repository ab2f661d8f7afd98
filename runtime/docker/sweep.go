//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
)

// Sweep removes the containers and networks of runs that are no more. Without
// an engine there are none.
func (e *Engine) Sweep() error {
	cli, err := e.connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	err = remove(ctx, cli, filters.NewArgs(filters.Arg("label", labelRun)), func(labels map[string]string) bool {
		return labels[labelRun] != e.o.RunID && !e.o.Live(labels[labelRun])
	})
	if err != nil {
		return fmt.Errorf("remove what a killed run left in Docker: %w", err)
	}
	return nil
}

// removeWorld removes a world's network and the containers left on it.
func (e *Engine) removeWorld(ctx context.Context, name string) error {
	cli, err := e.connect()
	if err != nil {
		return err
	}
	byWorld := filters.NewArgs(filters.Arg("label", labelWorld+"="+name))
	return remove(ctx, cli, byWorld, func(map[string]string) bool { return true })
}

// remove removes the containers, then the networks and volumes, that are found by filter
// and whose labels fit.
func remove(ctx context.Context, cli *client.Client, filter filters.Args, fits func(labels map[string]string) bool) error {
	containers, err := cli.ContainerList(ctx, container.ListOptions{All: true, Filters: filter})
	if err != nil {
		return stopped(err)
	}
	var errs []error
	for _, c := range containers {
		if fits(c.Labels) {
			errs = append(errs, removeContainer(ctx, cli, c.ID))
		}
	}
	networks, err := cli.NetworkList(ctx, network.ListOptions{Filters: filter})
	if err != nil {
		return errors.Join(append(errs, stopped(err))...)
	}
	for _, n := range networks {
		if fits(n.Labels) {
			errs = append(errs, removeNetwork(ctx, cli, n.ID))
		}
	}
	volumes, err := cli.VolumeList(ctx, volume.ListOptions{Filters: filter})
	if err != nil {
		return errors.Join(append(errs, stopped(err))...)
	}
	for _, v := range volumes.Volumes {
		if fits(v.Labels) {
			errs = append(errs, cli.VolumeRemove(ctx, v.Name, true))
		}
	}
	return errors.Join(errs...)
}

// removeContainer removes a container with its anonymous volumes, running or
// not, and waits until it is gone.
func removeContainer(ctx context.Context, cli *client.Client, id string) error {
	for {
		err := cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
		switch {
		case err == nil, cerrdefs.IsNotFound(err):
			return nil
		case cerrdefs.IsConflict(err): // somebody else is at it: wait for them
		default:
			return fmt.Errorf("remove container: %w", stopped(err))
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("remove container: %w", err)
		}
	}
}

// removeNetwork disconnects what others have connected to a network and
// removes it.
func removeNetwork(ctx context.Context, cli *client.Client, id string) error {
	for {
		err := cli.NetworkRemove(ctx, id)
		if err == nil || cerrdefs.IsNotFound(err) {
			return nil
		}
		n, inspectErr := cli.NetworkInspect(ctx, id, network.InspectOptions{})
		if inspectErr != nil {
			return fmt.Errorf("remove network: %w", stopped(err))
		}
		for guest := range n.Containers {
			cli.NetworkDisconnect(ctx, id, guest, true)
		}
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("remove network %s: %w", n.Name, err)
		}
	}
}

// pause waits; it returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
