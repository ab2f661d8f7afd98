package runtime

import (
	"context"
	"net"
	"net/netip"
	"strconv"
)

// endpoint is what the test's own steps connect to: through the proxy where a
// rule may concern them, directly otherwise. A client may be led on to other
// interfaces (the brokers of a cluster): each connection is on the edge to the one
// that it reaches.
func (s *stage) endpoint(t *T, svc *Service, itf *Interface) Endpoint {
	e := Endpoint{Service: svc, Interface: itf, Addr: s.stepAddr(svc, itf), Dial: s.world.Dial}
	if t.immune.Load() || !s.anyNamed(t) {
		return e
	}
	e.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := s.world.Dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		to, at := s.reached(c.RemoteAddr(), svc, itf)
		if !edgeNamed([]*Test{t.test}, "test", to.Name, at.Name) {
			return c, nil
		}
		return s.runner.Through(ctx, "test", s.peer(to, at), s, func(context.Context) (net.Conn, error) { return c, nil })
	}
	return e
}

// anyNamed reports whether the test has a rule or a trace on any of its own edges.
func (s *stage) anyNamed(t *T) bool {
	for _, svc := range s.runner.Spec.Services {
		for _, itf := range svc.Interfaces {
			if edgeNamed([]*Test{t.test}, "test", svc.Name, itf.Name) {
				return true
			}
		}
	}
	return false
}

// reached returns the interface at an address; svc's itf if none is known to be.
func (s *stage) reached(addr net.Addr, svc *Service, itf *Interface) (*Service, *Interface) {
	there, ok := addrPort(addr)
	if !ok {
		return svc, itf
	}
	for _, other := range s.runner.Spec.Services {
		for _, candidate := range other.Interfaces {
			if at, err := netip.ParseAddrPort(s.stepAddr(other, candidate)); err == nil && same(at, there) && candidate.Protocol.Datagram == itf.Protocol.Datagram {
				return other, candidate
			}
		}
	}
	return svc, itf
}

func addrPort(a net.Addr) (netip.AddrPort, bool) {
	if a, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		at := a.AddrPort()
		return netip.AddrPortFrom(at.Addr().Unmap(), at.Port()), at.IsValid()
	}
	return netip.AddrPort{}, false
}

// same reports whether two addresses are one; of loopback all are.
func same(a, b netip.AddrPort) bool {
	return a == b || a.Port() == b.Port() && a.Addr().IsLoopback() && b.Addr().IsLoopback()
}

// stepAddr is the address at which the test itself reaches an interface.
func (s *stage) stepAddr(svc *Service, itf *Interface) string {
	peer := s.world.Peer(svc, itf)
	if peer.Addr().IsUnspecified() || svc.Local() {
		return net.JoinHostPort("127.0.0.1", strconv.Itoa(itf.Port))
	}
	return peer.String()
}
