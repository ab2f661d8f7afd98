//go:build linux

package redirect

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"faultbox/bpf"
	"faultbox/intercept"
)

// ruleset is what the programs are to redirect for one attachment.
type ruleset map[bpf.RedirectRuleKey]bpf.RedirectRule

// newRules turns peers into rules. local holds the addresses of the target's
// own namespace, loopback left out.
func (a *attachment) newRules(peers []intercept.Peer, local map[netip.Addr]bool) (ruleset, error) {
	rules := ruleset{}
	for _, p := range peers {
		ip, port := p.Addr.Addr().Unmap(), p.Addr.Port()
		if !ip.IsValid() || port == 0 || ip.Zone() != "" {
			return nil, fmt.Errorf("reach %s at %s: not an IP address and port", p.To, p.Addr)
		}
		if !ip.IsUnspecified() {
			if ip.Is6() && !a.door.ipv6() {
				return nil, fmt.Errorf("reach %s at %s: the network namespace of %s has no ::1 to listen on", p.To, p.Addr, a.name)
			}
			rule, err := a.ruleFor(p, ip.IsLoopback() || local[ip])
			if err != nil {
				return nil, fmt.Errorf("reach %s at %s: %w", p.To, p.Addr, err)
			}
			if err := rules.add(a, p, ip, rule); err != nil {
				return nil, err
			}
			continue
		}
		// The unspecified address is how the programs write "loopback".
		if err := rules.add(a, p, netip.IPv6Unspecified(), hereAt(netip.IPv6Loopback())); err != nil {
			return nil, err
		}
		for ip := range local {
			if ip.Is6() && !a.door.ipv6() {
				continue
			}
			if err := rules.add(a, p, ip, hereAt(ip)); err != nil {
				return nil, err
			}
		}
	}
	return rules, nil
}

// hereAt is the rule for an address of the target's own namespace: it is also
// the source that the kernel chooses for it.
func hereAt(ip netip.Addr) bpf.RedirectRule {
	rule := bpf.RedirectRule{Known: 1, Netns: unix.BPF_F_CURRENT_NETNS}
	if !ip.IsLoopback() {
		rule.Source = endpoint(netip.AddrPortFrom(ip, 0)).Ip
	}
	return rule
}

// ruleFor is the rule for a peer with an address. local: of the target's own namespace.
func (a *attachment) ruleFor(p intercept.Peer, local bool) (rule bpf.RedirectRule, err error) {
	if local {
		return hereAt(p.Addr.Addr().Unmap()), nil
	}
	if source, ok := sourceFor(a.ns, p.Addr); ok {
		rule.Source = endpoint(netip.AddrPortFrom(source, 0)).Ip
	}
	if p.NetNS != nil {
		rule.Known = 1
		rule.Netns, err = namespaceID(a.ns, p.NetNS)
	}
	return rule, err
}

// sourceFor returns the source that the kernel chooses in namespace ns for a
// destination. Connecting a UDP socket sends nothing.
func sourceFor(ns *os.File, to netip.AddrPort) (source netip.Addr, ok bool) {
	inside(ns, func() error {
		c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		if err != nil {
			return err
		}
		source, ok = c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap(), true
		return c.Close()
	})
	return source, ok
}

// add has what goes to p at that address redirected.
func (r ruleset) add(a *attachment, p intercept.Peer, ip netip.Addr, rule bpf.RedirectRule) error {
	to := netip.AddrPortFrom(ip, p.Addr.Port())
	e := endpoint(to)
	key := bpf.RedirectRuleKey{Netns: a.netns, Cgroup: a.cgroup, Ip: e.Ip, Port: e.Port, Protocol: unix.IPPROTO_TCP}
	rule.Listener = bigEndian(a.door.port)
	if _, ok := overTCP(p); ok {
		r[key] = rule
	}
	if p.Protocol != nil && p.Protocol.Datagram {
		in, err := a.inlet(to)
		if err != nil {
			return fmt.Errorf("reach %s at %s: %w", p.To, to, err)
		}
		key.Protocol, rule.Listener = unix.IPPROTO_UDP, bigEndian(in.port)
	}
	r[key] = rule
	return nil
}

// inlet returns the one for that destination. The mutex is held.
func (a *attachment) inlet(to netip.AddrPort) (*inlet, error) {
	in := a.inlets[to]
	if in == nil {
		var err error
		if in, err = a.openInlet(to); err != nil {
			return nil, err
		}
		a.inlets[to] = in
	}
	return in, nil
}

// less returns the rules of r that are not in old.
func (r ruleset) less(old ruleset) ruleset {
	added := ruleset{}
	for key, rule := range r {
		if _, ok := old[key]; !ok {
			added[key] = rule
		}
	}
	return added
}

// replaceRules makes next what the programs go by in place of old.
func (k *kernel) replaceRules(old, next ruleset) error {
	for key, rule := range next {
		if err := k.objs.Rules.Put(key, rule); err != nil {
			return fmt.Errorf("write rule: %w", err)
		}
	}
	for key := range old {
		if _, ok := next[key]; ok {
			continue
		}
		if err := k.objs.Rules.Delete(key); err != nil {
			return fmt.Errorf("delete rule: %w", err)
		}
	}
	return nil
}

// endpoint writes an address as the programs do: IPv4 mapped into IPv6,
// network byte order.
func endpoint(a netip.AddrPort) bpf.RedirectEndpoint {
	e := bpf.RedirectEndpoint{Port: bigEndian(a.Port())}
	for i, b := 0, a.Addr().As16(); i < 4; i++ {
		e.Ip[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return e
}

func addrPort(e bpf.RedirectEndpoint) netip.AddrPort {
	var b [16]byte
	for i := range e.Ip {
		binary.NativeEndian.PutUint32(b[4*i:], e.Ip[i])
	}
	return netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), bigEndian(e.Port))
}

// bigEndian converts a port between the machine's and the network's byte order.
func bigEndian(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}
