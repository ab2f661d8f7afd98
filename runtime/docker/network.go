//go:build linux

package docker

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// subnets hands out address ranges that nothing on this machine uses.
type subnets struct {
	mu    sync.Mutex
	taken map[netip.Prefix]bool // by this run
}

// ranges are where subnets are taken from, best first. RFC 1918, RFC 2544.
var ranges = []netip.Prefix{
	netip.MustParsePrefix("10.128.0.0/9"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
}

// subnetBits is the size of a world's network: 250 services.
const subnetBits = 24

// take returns a subnet that no route and no address of this machine overlaps.
// The engine may know of others still: then it is discarded and another taken.
func (s *subnets) take() (netip.Prefix, error) {
	used, err := usedPrefixes()
	if err != nil {
		return netip.Prefix{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		s.taken = make(map[netip.Prefix]bool)
	}
	for _, r := range ranges {
		for range 64 {
			p := within(r)
			if !s.taken[p] && !overlapsAny(p, used) {
				s.taken[p] = true
				return p, nil
			}
		}
	}
	return netip.Prefix{}, errors.New("find addresses for a network: every private range is in use by a route of this machine (see `ip route`)")
}

// release gives back a subnet whose network is no more.
func (s *subnets) release(p netip.Prefix) {
	s.mu.Lock()
	delete(s.taken, p)
	s.mu.Unlock()
}

// within returns some subnet of a range.
func within(r netip.Prefix) netip.Prefix {
	n := rand.Uint32N(1 << (subnetBits - r.Bits()))
	return netip.PrefixFrom(nth(r, n<<(32-subnetBits)), subnetBits)
}

// nth returns the address that is n after a prefix's first.
func nth(p netip.Prefix, n uint32) netip.Addr {
	b := p.Masked().Addr().As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n)
	return netip.AddrFrom4(b)
}

func overlapsAny(p netip.Prefix, others []netip.Prefix) bool {
	for _, o := range others {
		if p.Overlaps(o) {
			return true
		}
	}
	return false
}

// usedPrefixes lists the networks of this machine's addresses and routes, but
// for the default route.
func usedPrefixes() (used []netip.Prefix, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("read this machine's addresses: %w", err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			used = append(used, p.Masked())
		}
	}
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return used, nil // no IPv4
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// Columns, see proc(5): interface, destination, gateway, …, mask at the
		// eighth; addresses in hexadecimal, in the machine's byte order.
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 {
			continue
		}
		dest, err1 := strconv.ParseUint(fields[1], 16, 32)
		mask, err2 := strconv.ParseUint(fields[7], 16, 32)
		if err1 != nil || err2 != nil || mask == 0 {
			continue
		}
		var d, m [4]byte
		binary.NativeEndian.PutUint32(d[:], uint32(dest))
		binary.NativeEndian.PutUint32(m[:], uint32(mask))
		ones, _ := net.IPMask(m[:]).Size()
		used = append(used, netip.PrefixFrom(netip.AddrFrom4(d), ones).Masked())
	}
	return used, nil
}

// bridge is a network that was made for a world.
type bridge struct {
	id, name string
	subnet   netip.Prefix
	router   netip.Addr          // the gateway, if it is not the first address
	pool     netip.Prefix        // the part of the subnet that addresses are taken from, if not all of it
	reserved map[netip.Addr]bool // are not taken
}

// gateway is the host's own address on the network.
func (b *bridge) gateway() netip.Addr { return nth(b.subnet, 1) }

// device is the link of this machine that is the network: under the name that
// Docker gives it, or else the one with the gateway's address. It is "" if
// there is none.
func (b *bridge) device() (string, error) {
	name := "br-" + b.id[:min(12, len(b.id))]
	if _, err := net.InterfaceByName(name); err == nil {
		return name, nil
	}
	links, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("read this machine's links: %w", err)
	}
	gateway := netip.PrefixFrom(b.gateway(), subnetBits).String()
	for _, link := range links {
		addrs, _ := link.Addrs()
		if slices.ContainsFunc(addrs, func(a net.Addr) bool { return a.String() == gateway }) {
			return link.Name, nil
		}
	}
	return "", nil
}

// newBridge makes a network whose addresses we choose.
func (e *Engine) newBridge(ctx context.Context, cli *client.Client, name string, labels map[string]string, changes ...func(*network.CreateOptions)) (*bridge, error) {
	for try := 0; ; try++ {
		subnet, err := e.subnets.take()
		if err != nil {
			return nil, err
		}
		b := &bridge{name: name, subnet: subnet}
		o := network.CreateOptions{
			Driver: "bridge",
			Labels: labels,
			IPAM:   &network.IPAM{Config: []network.IPAMConfig{{Subnet: subnet.String(), Gateway: b.gateway().String()}}},
		}
		for _, change := range changes {
			change(&o)
		}
		created, err := cli.NetworkCreate(ctx, name, o)
		if err == nil {
			b.id = created.ID
			return b, nil
		}
		e.subnets.release(subnet)
		if try == 20 || !strings.Contains(err.Error(), "overlaps") {
			return nil, fmt.Errorf("make network %s: %w", name, stopped(err))
		}
	}
}
