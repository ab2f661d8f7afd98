//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// place is where a container is on a network.
type place struct {
	bridge   *bridge
	endpoint *network.EndpointSettings
}

// homeOf returns the network of a project that the world's own stands for: the
// one that local services and steps are on. nil: none of them is like it.
func homeOf(nets []*runtime.Net) *runtime.Net {
	plain := slices.DeleteFunc(slices.Clone(nets), func(n *runtime.Net) bool {
		return n.Internal || n.Subnet != "" || len(n.Options) > 0
	})
	for _, n := range plain {
		if n.Name == "default" {
			return n
		}
	}
	if len(plain) > 0 {
		return plain[0]
	}
	return nil
}

// settle makes the networks of a project and gives every container its address
// on each of those that it is on.
func (w *world) settle(ctx context.Context, cli *client.Client) error {
	services := w.engine.o.Services
	nets := runtime.Networks(services)
	w.nets = make(map[*runtime.Net]*bridge)
	w.places = make(map[string][]place)
	home := homeOf(nets)
	for _, n := range nets {
		if n == home {
			w.nets[n] = w.bridge
			continue
		}
		b, err := w.engine.newNetwork(ctx, cli, w.name+"-"+n.Name, n, map[string]string{labelRun: w.engine.o.RunID, labelWorld: w.name})
		if err != nil {
			return err
		}
		w.nets[n] = b
	}
	next := make(map[*bridge]uint32)
	taken := fixed(services)
	local := slices.IndexFunc(services, (*runtime.Service).Local)
	for i, s := range services {
		if s.Settings == nil || len(s.Settings.Networks) == 0 {
			continue
		}
		delete(w.addrs, s.Name)
		for _, a := range s.Settings.Networks {
			b := w.nets[a.Network]
			addr, err := nth(b.subnet, uint32(2+i)), error(nil)
			switch {
			case a.Address != "":
				addr, err = netip.ParseAddr(a.Address)
			case b != w.bridge:
				addr, err = free(b, next, taken)
			}
			if err != nil {
				return err
			}
			w.locate(s, a, b, addr)
		}
		if local >= 0 && !w.bridge.subnet.Contains(w.addrs[s.Name]) {
			return fmt.Errorf("let %s and the local service %s reach each other: %s is on network %s only, and local services are on one that is not internal, has no subnet of its own and no options: put %s on such a network too",
				s.Name, services[local].Name, s.Name, s.Settings.Networks[0].Network.Name, s.Name)
		}
	}
	return nil
}

// locate notes that a container is on a network at an address.
func (w *world) locate(s *runtime.Service, a runtime.Attachment, b *bridge, addr netip.Addr) {
	w.places[s.Name] = append(w.places[s.Name], place{b, &network.EndpointSettings{
		Aliases: a.Aliases, MacAddress: a.MAC,
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: addr.String()},
	}})
	was, known := w.addrs[s.Name]
	switch {
	case !known:
		w.addrs[s.Name] = addr
	case b == w.bridge: // the one that steps and local services use
		w.addrs[s.Name] = addr
		w.others[s.Name] = append(w.others[s.Name], was)
	default:
		w.others[s.Name] = append(w.others[s.Name], addr)
	}
}

// placesOf returns where a container is, on the world's own network if nothing
// else is said.
func (w *world) placesOf(s *runtime.Service) []place {
	if p := w.places[s.Name]; len(p) > 0 {
		return p
	}
	return []place{{w.bridge, &network.EndpointSettings{
		Aliases:    []string{s.Name},
		IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: w.addrs[s.Name].String()},
	}}}
}

// fixed are the addresses that services have by their settings.
func fixed(services []*runtime.Service) map[netip.Addr]bool {
	taken := make(map[netip.Addr]bool)
	for _, s := range services {
		if s.Settings == nil {
			continue
		}
		for _, a := range s.Settings.Networks {
			if addr, err := netip.ParseAddr(a.Address); err == nil {
				taken[addr] = true
			}
		}
	}
	return taken
}

// free returns the next address of a network that nobody has, of the part of
// it that is for that.
func free(b *bridge, next map[*bridge]uint32, taken map[netip.Addr]bool) (netip.Addr, error) {
	pool, reserved := b.subnet, map[netip.Addr]bool{b.subnet.Masked().Addr(): true, b.gateway(): true, b.router: true}
	if b.pool.IsValid() {
		pool = b.pool
	}
	for {
		addr := nth(pool, next[b])
		next[b]++
		if last := !b.subnet.Contains(addr.Next()); last || !pool.Contains(addr) { // the last one is for broadcasts
			return addr, fmt.Errorf("find an address on network %s: %s has no more", b.name, pool)
		}
		if !taken[addr] && !reserved[addr] && !b.reserved[addr] {
			return addr, nil
		}
	}
}

// newNetwork makes a network as a project declares it.
func (e *Engine) newNetwork(ctx context.Context, cli *client.Client, name string, n *runtime.Net, labels map[string]string) (*bridge, error) {
	change := func(o *network.CreateOptions) { o.Internal, o.Options = n.Internal, n.Options }
	if n.Subnet == "" {
		return e.newBridge(ctx, cli, name, labels, change)
	}
	subnet, err := netip.ParsePrefix(n.Subnet)
	if err != nil {
		return nil, fmt.Errorf("make network %s: its subnet %q is none, such as 172.28.0.0/16", n.Name, n.Subnet)
	}
	b := &bridge{name: name, subnet: subnet, reserved: map[netip.Addr]bool{}}
	if n.Range != "" {
		if b.pool, err = netip.ParsePrefix(n.Range); err != nil || !subnet.Contains(b.pool.Addr()) {
			return nil, fmt.Errorf("make network %s: its range %q is no part of the subnet %s", n.Name, n.Range, n.Subnet)
		}
	}
	for _, text := range n.Reserved {
		addr, err := netip.ParseAddr(text)
		if err != nil || !subnet.Contains(addr) {
			return nil, fmt.Errorf("make network %s: its reserved address %q is none of the subnet %s", n.Name, text, n.Subnet)
		}
		b.reserved[addr] = true
	}
	b.router = b.gateway()
	if n.Gateway != "" {
		if b.router, err = netip.ParseAddr(n.Gateway); err != nil {
			return nil, fmt.Errorf("make network %s: its gateway %q is no address", n.Name, n.Gateway)
		}
	}
	o := network.CreateOptions{
		Driver: "bridge", Labels: labels,
		IPAM: &network.IPAM{Config: []network.IPAMConfig{{
			Subnet: n.Subnet, Gateway: b.router.String(), IPRange: n.Range, AuxAddress: n.Reserved,
		}}},
	}
	change(&o)
	created, err := cli.NetworkCreate(ctx, name, o)
	if err != nil {
		return nil, fmt.Errorf("make network %s with the subnet %s: %w (is the project up, or another network with these addresses? stop that, or leave the subnet out)", n.Name, n.Subnet, stopped(err))
	}
	b.id = created.ID
	return b, nil
}

// beyond reports whether an address is not on the world's own network: then
// this machine's way to it, which is on each, is taken.
func (w *world) beyond(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	for _, b := range w.nets {
		if b != w.bridge && b.subnet.Contains(ip) {
			return true
		}
	}
	return false
}

// connect puts a container that was created on its further networks.
func (w *world) connect(ctx context.Context, cli *client.Client, id string, places []place) error {
	var errs []error
	for _, p := range places {
		if err := cli.NetworkConnect(ctx, p.bridge.id, id, p.endpoint); err != nil {
			errs = append(errs, fmt.Errorf("connect container to network %s: %w", p.bridge.name, stopped(err)))
		}
	}
	return errors.Join(errs...)
}

// giveBack gives the addresses of a project's networks back.
func (w *world) giveBack() {
	for _, b := range w.nets {
		if b != w.bridge {
			w.engine.subnets.release(b.subnet)
		}
	}
}
