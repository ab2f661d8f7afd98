//go:build linux

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"faultbox/intercept"
	"faultbox/runtime"
)

// attach gets hold of a container that runs already, without a change to it.
func (w *world) attach(ctx context.Context, cli *client.Client, s *runtime.Service, pass runtime.Gate) (runtime.Instance, error) {
	if err := w.wake(ctx, cli, s); err != nil {
		return nil, err
	}
	c, err := find(ctx, cli, s.Container)
	if err != nil {
		return nil, err
	}
	if !ours(c.State.Pid, c.ID) {
		return nil, &runtime.LacksError{What: fmt.Sprintf("the processes of container %q are not on this machine, or not seen from here: its engine is in a virtual machine, or faultbox in a container without `--pid=host`: run faultbox where the engine runs", s.Container)}
	}
	i := &instance{cli: cli, world: w, service: s, id: c.ID, foreign: true, since: time.Now(), tty: c.Config.Tty, asked: make(chan struct{}), exited: make(chan struct{})}
	if err := i.watch(c.State.Pid); err != nil {
		return nil, err
	}
	cgroup, err := cgroupOf(c.State.Pid)
	if err == nil {
		err = pass(intercept.Target{Name: s.Name, Cgroup: cgroup, NetNS: i.ns, Running: true})
	}
	if err != nil {
		return nil, errors.Join(err, i.abandon(ctx))
	}
	return i, nil
}

// ours reports whether a process of that number here is the container's: an
// engine elsewhere counts its own. Its cgroup is called after the container, and
// so is where the engine keeps its hosts file, which is mounted in it.
func ours(pid int, id string) bool {
	for _, file := range []string{"cgroup", "mountinfo"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err == nil && id != "" && bytes.Contains(text, []byte(id)) {
			return true
		}
	}
	return false
}

// find returns a container that runs.
func find(ctx context.Context, cli *client.Client, name string) (container.InspectResponse, error) {
	c, err := cli.ContainerInspect(ctx, name)
	switch {
	case cerrdefs.IsNotFound(err):
		return c, fmt.Errorf("find container %q: there is none of that name%s: start it first, or correct container=", name, running(ctx, cli))
	case err != nil:
		return c, fmt.Errorf("find container %q: %w", name, stopped(err))
	case c.State.Paused:
		return c, fmt.Errorf("use container %q: it is paused: `docker unpause %s`", name, name)
	case !c.State.Running:
		return c, fmt.Errorf("use container %q: it does not run (%s): `docker start %s`", name, c.State.Status, name)
	case c.HostConfig.NetworkMode.IsHost():
		return c, fmt.Errorf("use container %q: it is on this machine's own network (--network host), where its traffic cannot be told from others'", name)
	}
	return c, nil
}

// running lists the containers that there are.
func running(ctx context.Context, cli *client.Client) string {
	all, err := cli.ContainerList(ctx, container.ListOptions{})
	if err != nil || len(all) == 0 {
		return ""
	}
	var names []string
	for _, c := range all[:min(len(all), 10)] {
		names = append(names, strings.TrimPrefix(c.Names[0], "/"))
	}
	return " (there are " + strings.Join(names, ", ") + ")"
}

// addressesOf returns the addresses of a container, IPv4 first.
func addressesOf(c container.InspectResponse) (all []netip.Addr) {
	for _, n := range c.NetworkSettings.Networks {
		for _, text := range []string{n.IPAddress, n.GlobalIPv6Address} {
			if ip, err := netip.ParseAddr(text); err == nil {
				all = append(all, ip)
			}
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// invite makes the containers that run already known to the world. Where there
// are others besides them, they become guests on the world's network too, so
// that all reach each other by name.
func (w *world) invite(ctx context.Context, cli *client.Client) error {
	for _, s := range w.engine.o.Services {
		if s.Container == "" {
			continue
		}
		c, err := find(ctx, cli, s.Container)
		if err != nil {
			return fmt.Errorf("start service %s: %w", s.Name, err)
		}
		w.others[s.Name] = addressesOf(c)
		if w.bridge == nil {
			if len(w.others[s.Name]) == 0 {
				return fmt.Errorf("start service %s: container %q has no address", s.Name, s.Container)
			}
			w.addrs[s.Name] = w.others[s.Name][0]
			continue
		}
		err = cli.NetworkConnect(ctx, w.bridge.id, c.ID, &network.EndpointSettings{
			Aliases:    []string{s.Name},
			IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: w.addrs[s.Name].String()},
		})
		if err != nil {
			return fmt.Errorf("start service %s: connect container %q to the network of the others: %w", s.Name, s.Container, stopped(err))
		}
		w.guests = append(w.guests, c.ID)
	}
	return nil
}

// dismiss takes from the world's network whoever was invited. Podman would
// remove the network and leave them with one that is no more.
func (w *world) dismiss(ctx context.Context) {
	cli, err := w.engine.connect()
	if err != nil {
		return
	}
	for _, id := range w.guests {
		cli.NetworkDisconnect(ctx, w.bridge.id, id, true) // whoever is left goes with the network
	}
}

// allAttached reports whether nothing is to be started: then there is no need
// for a network.
func allAttached(services []*runtime.Service) bool {
	return !slices.ContainsFunc(services, func(s *runtime.Service) bool { return s.Container == "" })
}
