//go:build linux

package redirect

import (
	"encoding/binary"
	"fmt"
	"net/netip"

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
		if p.Protocol != nil && p.Protocol.Name == "udp" {
			return nil, fmt.Errorf("reach %s at %s: only TCP can be redirected", p.To, p.Addr)
		}
		ip, port := p.Addr.Addr().Unmap(), p.Addr.Port()
		if !ip.IsValid() || port == 0 || ip.Zone() != "" {
			return nil, fmt.Errorf("reach %s at %s: not an IP address and port", p.To, p.Addr)
		}
		if !ip.IsUnspecified() {
			if ip.Is6() && !a.door.ipv6() {
				return nil, fmt.Errorf("reach %s at %s: the network namespace of %s has no ::1 to listen on", p.To, p.Addr, a.name)
			}
			where, err := a.whereabouts(p, ip.IsLoopback() || local[ip])
			if err != nil {
				return nil, fmt.Errorf("reach %s at %s: %w", p.To, p.Addr, err)
			}
			rules.add(a, ip, port, where)
			continue
		}
		rules.add(a, netip.IPv6Unspecified(), port, here) // as the programs write "loopback"
		for ip := range local {
			if ip.Is4() || a.door.ipv6() {
				rules.add(a, ip, port, here)
			}
		}
	}
	return rules, nil
}

// whereabouts is the network namespace of a destination, as a rule has it.
type whereabouts bpf.RedirectRule

// here is the client's own.
var here = whereabouts{Local: 1, Known: 1, Netns: unix.BPF_F_CURRENT_NETNS}

// whereabouts tells in which namespace a peer is served.
func (a *attachment) whereabouts(p intercept.Peer, local bool) (whereabouts, error) {
	if local {
		return here, nil
	}
	if p.NetNS == nil {
		return whereabouts{}, nil
	}
	id, err := namespaceID(a.ns, p.NetNS)
	return whereabouts{Known: 1, Netns: id}, err
}

func (r ruleset) add(a *attachment, ip netip.Addr, port uint16, where whereabouts) {
	e := endpoint(netip.AddrPortFrom(ip, port))
	key := bpf.RedirectRuleKey{Netns: a.netns, Cgroup: a.cgroup, Ip: e.Ip, Port: e.Port, Protocol: unix.IPPROTO_TCP}
	rule := bpf.RedirectRule(where)
	rule.Listener = bigEndian(a.door.port)
	r[key] = rule
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
