//go:build linux

package docker

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// Addresses returns all addresses of a service.
func (w *world) Addresses(s *runtime.Service) []netip.Addr {
	all := append([]netip.Addr{w.addrs[s.Name]}, w.others[s.Name]...)
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

// Kill ends the container at once with SIGKILL and returns when it has ended.
// The instance can still be stopped, which cleans up.
func (i *instance) Kill() error {
	select {
	case <-i.exited:
		return nil
	default:
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if err := i.cli.ContainerKill(ctx, i.id, "SIGKILL"); err != nil && !cerrdefs.IsConflict(err) { // conflict: it has ended by itself
		return fmt.Errorf("kill container: %w", stopped(err))
	}
	i.killed.Store(true)
	return i.awaitExit(ctx)
}

func (i *instance) awaitExit(ctx context.Context) error {
	select {
	case <-i.exited:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for container to end: %w", context.Cause(ctx))
	}
}

// Pause stops every process of the container where it is, until thaw is called
// or faultbox is killed. The engine knows nothing of it. Where containers have
// no cgroup2 of their own the engine does it, and does not see faultbox die.
func (i *instance) Pause() (thaw func() error, err error) {
	cgroup, err := cgroupOf(i.pid)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(cgroup, "cgroup.freeze")); err == nil && strings.Contains(cgroup, i.id) {
		return host.Pause(cgroup)
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if err := i.cli.ContainerPause(ctx, i.id); err != nil {
		return nil, fmt.Errorf("pause container: %w", stopped(err))
	}
	return sync.OnceValue(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		if err := i.cli.ContainerUnpause(ctx, i.id); err != nil && !i.ended() {
			return fmt.Errorf("let container go on: %w", stopped(err))
		}
		return nil
	}), nil
}

func (i *instance) ended() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// Halt is Stop for a container that is to be started again: it stays, with all
// that was written in it.
func (i *instance) Halt(ctx context.Context) error {
	if !i.ended() {
		i.end(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if err := i.awaitExit(ctx); err != nil {
		return err
	}
	last := i.tail(100)
	i.letGo()
	i.mu.Lock()
	i.last, i.gone = last, true
	i.mu.Unlock()
	i.world.halting.Lock()
	defer i.world.halting.Unlock()
	if i.world.halted == nil {
		i.world.halted = make(map[string]string)
	}
	i.world.halted[i.service.Name] = i.id
	return nil
}

// resume returns the container of a service that was halted, "" if none was.
func (w *world) resume(service string) (id string) {
	w.halting.Lock()
	defer w.halting.Unlock()
	id = w.halted[service]
	delete(w.halted, service)
	return id
}

// wake starts a foreign container that was halted, and makes sure that others
// still find it.
func (w *world) wake(ctx context.Context, cli *client.Client, s *runtime.Service) error {
	id := w.resume(s.Name)
	if id == "" {
		return nil
	}
	if err := cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return fmt.Errorf("start container %q again: %w", s.Container, stopped(err))
	}
	c, err := find(ctx, cli, s.Container)
	if err != nil {
		return err
	}
	now := addressesOf(c)
	if was := w.others[s.Name]; !slices.Equal(now, was) && !subset(was, now) {
		return fmt.Errorf("start container %q again: it came back at %v, and was at %v: give it a fixed address (`docker run --ip`)", s.Container, now, was)
	}
	return nil
}

func subset(of, all []netip.Addr) bool {
	return !slices.ContainsFunc(of, func(a netip.Addr) bool { return !slices.Contains(all, a) })
}

// revive starts a foreign container again that was killed: it was there before.
func (i *instance) revive() error {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if err := i.cli.ContainerStart(ctx, i.id, container.StartOptions{}); err != nil {
		return fmt.Errorf("start container %q again, which was killed: %w", i.service.Container, stopped(err))
	}
	return nil
}

// again is the moment from which the lines of a container count that is started
// once more.
func again(id string) (t time.Time) {
	if id != "" {
		t = time.Now()
	}
	return t
}
