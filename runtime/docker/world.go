//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"faultbox/runtime"
)

// removeTimeout bounds the removal of a network whose containers are gone.
const removeTimeout = 20 * time.Second

// Worlds gives the worlds of inner a network for containers each.
func (e *Engine) Worlds(inner runtime.Worlds) runtime.Worlds {
	w := &worlds{engine: e, inner: inner}
	if slices.ContainsFunc(e.o.Services, func(s *runtime.Service) bool { return !s.Shareable() }) {
		w.turn = make(chan struct{}, 1)
	}
	return w
}

type worlds struct {
	engine *Engine
	inner  runtime.Worlds
	turn   chan struct{} // holds a token while a world is open, if there can be but one; else nil
}

func (w *worlds) Supported() error { return errors.Join(w.inner.Supported(), w.engine.Supported()) }

func (w *worlds) Sweep() error { return errors.Join(w.inner.Sweep(), w.engine.Sweep()) }

func (w *worlds) New(ctx context.Context, name string) (runtime.World, error) {
	if err := w.engine.Supported(); err != nil {
		return nil, err
	}
	leave := func() {}
	if w.turn != nil { // a container that runs already is in one world at a time
		select {
		case w.turn <- struct{}{}:
			leave = func() { <-w.turn }
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	inner, err := w.inner.New(ctx, name)
	if err != nil {
		leave()
		return nil, err
	}
	world := &world{
		World: inner, engine: w.engine, name: w.engine.worldName(), leave: leave,
		addrs: make(map[string]netip.Addr), others: make(map[string][]netip.Addr),
	}
	if err := world.build(ctx); err != nil {
		return nil, errors.Join(err, world.Close())
	}
	return world, nil
}

// worldName is unique on this machine.
func (e *Engine) worldName() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made++
	return fmt.Sprintf("faultbox-%s-%d", e.o.RunID, e.made)
}

// world is a world whose services can be containers. What concerns processes
// and files is the inner world's.
type world struct {
	runtime.World
	engine *Engine
	name   string
	leave  func()                   // lets the next world in
	bridge *bridge                  // nil: nothing is started, so that there is no network
	addrs  map[string]netip.Addr    // by service
	others map[string][]netip.Addr  // further ones, of containers that were there before
	nets   map[*runtime.Net]*bridge // of a project; the world's own stands for one of them
	places map[string][]place       // by service, on those
	hosts  string                   // path of the local services' hosts file; "": none

	joining sync.Mutex
	device  string // the network's bridge, once the world's namespace is on it

	guests []string // containers that were there before, which are on the network too

	halting sync.Mutex
	halted  map[string]string // containers that are to be started again, by service

	closing  sync.Once
	closeErr error
}

// build makes the network and the hosts file.
func (w *world) build(ctx context.Context) error {
	cli, err := w.engine.connect()
	if err != nil {
		return err
	}
	o := &w.engine.o
	if max := 1<<(32-subnetBits) - 6; len(o.Services) > max {
		return fmt.Errorf("make network: it has room for %d services, the spec has %d", max, len(o.Services))
	}
	if allAttached(o.Services) {
		return w.invite(ctx, cli)
	}
	if w.bridge, err = w.engine.newBridge(ctx, cli, w.name, map[string]string{labelRun: o.RunID, labelWorld: w.name}); err != nil {
		return err
	}
	for i, s := range o.Services {
		if s.Local() {
			w.addrs[s.Name] = w.own()
		} else {
			w.addrs[s.Name] = nth(w.bridge.subnet, uint32(2+i))
		}
	}
	if err := w.settle(ctx, cli); err != nil {
		return err
	}
	if err := w.invite(ctx, cli); err != nil {
		return err
	}
	if err := w.join(false); err != nil {
		return err
	}
	return w.writeHosts()
}

// join makes the world's namespace a host of its network. Podman makes the
// bridge when it starts the network's first container: until then there is
// nothing to join, which is an error once it must be there.
func (w *world) join(must bool) error {
	w.joining.Lock()
	defer w.joining.Unlock()
	if w.device != "" || w.engine.o.HostNetwork {
		return nil
	}
	device, err := w.bridge.device()
	if err == nil && device == "" {
		if !must && w.engine.podman() {
			return nil
		}
		err = errors.New("its bridge is not on this machine: is the engine in another network namespace than faultbox, as in a virtual machine?")
	}
	if err == nil {
		err = w.engine.o.Join(w.NetNS(), device, netip.PrefixFrom(w.own(), subnetBits), w.bridge.gateway())
	}
	if err != nil {
		return fmt.Errorf("join network %s: %w", w.name, err)
	}
	w.device = device
	return nil
}

// own is the address of local services and of the test's steps on the network.
func (w *world) own() netip.Addr {
	if w.engine.o.HostNetwork {
		return w.bridge.gateway()
	}
	return nth(w.bridge.subnet, 1<<(32-subnetBits)-2)
}

// writeHosts writes what local services see as /etc/hosts: this machine's, and
// every service. A local service finds the others on their own network.
func (w *world) writeHosts() error {
	own, err := os.ReadFile("/etc/hosts")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("write hosts file: %w", err)
	}
	var b strings.Builder
	for _, s := range w.engine.o.Services {
		fmt.Fprintf(&b, "%s\t%s\n", w.addrs[s.Name], s.Name)
	}
	b.Write(own) // the first line that has a name counts
	path := filepath.Join(w.Dir(), "hosts")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("write hosts file: %w", err)
	}
	w.hosts = path
	return nil
}

// Hosts is the file that local services are to see as /etc/hosts.
func (w *world) Hosts() string { return w.hosts }

// Peer returns the address of an interface on the world's network.
func (w *world) Peer(s *runtime.Service, i *runtime.Interface) netip.AddrPort {
	return netip.AddrPortFrom(w.addrs[s.Name], uint16(i.Port))
}

// Peers returns all addresses of an interface.
func (w *world) Peers(s *runtime.Service, i *runtime.Interface) []netip.AddrPort {
	all := []netip.AddrPort{w.Peer(s, i)}
	for _, ip := range w.others[s.Name] {
		if ip != w.addrs[s.Name] {
			all = append(all, netip.AddrPortFrom(ip, uint16(i.Port)))
		}
	}
	return all
}

// Dial connects from inside the world, to names of services too; where there is
// no network of the world's own, from this machine's.
func (w *world) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		if ip, ok := w.addrs[host]; ok {
			address = net.JoinHostPort(ip.String(), port)
		}
	}
	if w.bridge == nil || w.beyond(address) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return w.World.Dial(ctx, network, address)
}

// Close removes the world with its network. What containers are left in it,
// those of a start that failed half way, go too.
func (w *world) Close() error {
	w.closing.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
		defer cancel()
		var errs []error
		if w.bridge != nil {
			w.dismiss(ctx)
			errs = append(errs, w.engine.removeWorld(ctx, w.name))
			if w.device != "" {
				errs = append(errs, removeBridge(w.device))
			}
			w.engine.subnets.release(w.bridge.subnet)
			w.giveBack()
		}
		w.closeErr = errors.Join(append(errs, w.World.Close())...)
		w.leave()
	})
	return w.closeErr
}
