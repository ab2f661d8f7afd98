//go:build linux

package network

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"faultbox/bpf"
	"faultbox/runtime"
)

// addressed is a world whose services have addresses of their own: containers.
type addressed interface {
	// Addresses returns all addresses of a service.
	Addresses(s *runtime.Service) []netip.Addr
}

// party is what tells a service's packets from others.
type party struct {
	cgroup uint64   // of a local service; 0: a container
	addrs  []uint32 // of a container, in network byte order; IPv6 folded as in network.c
	ports  []int
}

const (
	leaves  = 0
	arrives = 1
)

// enter makes the flows known.
func (i *impairment) enter() error {
	from, err := i.party(i.from)
	if err != nil {
		return err
	}
	for _, s := range i.to {
		to, err := i.party(s)
		if err != nil {
			return err
		}
		for _, f := range flows(from, to) {
			if err := i.add(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// flows are the packets from one service to another. Local services are told by
// the sockets at both ends, and, where the connection leads to the proxy, by
// their ports: what one sends to the other's, and what the other gets from the
// one's.
func flows(from, to party) (out []bpf.NetworkFlow) {
	switch {
	case from.cgroup != 0 && to.cgroup != 0:
		out = append(out, bpf.NetworkFlow{Cgroup: from.cgroup, Other: to.cgroup, Side: leaves})
		for _, port := range to.ports {
			out = append(out, bpf.NetworkFlow{Cgroup: from.cgroup, Port: swap(port), Side: leaves})
		}
		for _, port := range from.ports {
			out = append(out, bpf.NetworkFlow{Cgroup: to.cgroup, Port: swap(port), Side: arrives})
		}
	case from.cgroup != 0:
		for _, ip := range to.addrs {
			out = append(out, bpf.NetworkFlow{Cgroup: from.cgroup, Far: ip, Side: leaves})
		}
	case to.cgroup != 0:
		for _, ip := range from.addrs {
			out = append(out, bpf.NetworkFlow{Cgroup: to.cgroup, Far: ip, Side: arrives})
		}
	default:
		for _, a := range from.addrs {
			for _, b := range to.addrs {
				out = append(out, bpf.NetworkFlow{Near: a, Far: b, Side: leaves}, bpf.NetworkFlow{Near: b, Far: a, Side: arrives})
			}
		}
	}
	return out
}

// party finds a service, and hooks the programs to where its sockets are.
func (i *impairment) party(s *runtime.Service) (p party, err error) {
	dir, err := i.world.Cgroup(s.Name)
	if err != nil {
		return p, err
	}
	for _, itf := range s.Interfaces {
		p.ports = append(p.ports, itf.Port)
	}
	w, ok := i.world.(addressed)
	if i.base == "" {
		base := filepath.Dir(dir)
		if ok { // an engine puts containers wherever it likes to
			base = top(base)
		}
		if err := i.hook(base); err != nil {
			return p, err
		}
	}
	if s.Local() {
		info, err := os.Stat(dir)
		if err != nil {
			return p, fmt.Errorf("find cgroup of %s: %w", s.Name, err)
		}
		p.cgroup = info.Sys().(*syscall.Stat_t).Ino
		return p, nil
	}
	if !ok {
		return p, errors.New("find the addresses of " + s.Name + ": its world has none")
	}
	for _, ip := range w.Addresses(s) {
		var key uint32
		for raw := ip.Unmap().AsSlice(); len(raw) > 0; raw = raw[4:] {
			key ^= binary.NativeEndian.Uint32(raw)
		}
		p.addrs = append(p.addrs, key)
	}
	return p, nil
}

// top returns the highest directory above dir that is of the same hierarchy of
// cgroups.
func top(dir string) string {
	for {
		var fs unix.Statfs_t
		up := filepath.Dir(dir)
		if up == dir || unix.Statfs(up, &fs) != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			return dir
		}
		dir = up
	}
}

// swap brings a port into network byte order.
func swap(port int) uint16 { return bits.ReverseBytes16(uint16(port)) }
