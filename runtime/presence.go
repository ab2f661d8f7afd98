package runtime

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"faultbox/intercept"
)

// presence knows in which network namespaces the services of a stage are.
// Local services share the world's; a container has one of its own from its
// gate on. An edge to a service that is not there yet is intercepted from that
// moment: until then its clients are to fail as they would without us.
type presence struct {
	gates  sync.Mutex // one service passes its gate at a time
	places sync.Mutex
	homes  map[string]*os.File // by service; owned by its driver
	guests []*actor            // past their gate
}

// appear notes that a service is about to run in namespace ns.
func (p *presence) appear(a *actor, ns *os.File) {
	p.places.Lock()
	defer p.places.Unlock()
	if p.homes == nil {
		p.homes = make(map[string]*os.File)
	}
	p.homes[a.svc.Name] = ns
	p.guests = append(p.guests, a)
}

// vanish forgets a service; its driver is about to close its namespace.
func (p *presence) vanish(a *actor) {
	p.gates.Lock()
	defer p.gates.Unlock()
	p.places.Lock()
	defer p.places.Unlock()
	delete(p.homes, a.svc.Name)
	p.guests = slices.DeleteFunc(p.guests, func(b *actor) bool { return b == a })
}

func (p *presence) home(svc *Service) *os.File {
	p.places.Lock()
	defer p.places.Unlock()
	return p.homes[svc.Name]
}

// reach returns those of a service's peers that are there, as seen from it.
func (s *stage) reach(from *Service, peers []intercept.Peer) []intercept.Peer {
	var there []intercept.Peer
	for _, p := range peers {
		to := s.runner.Spec.Service(p.To)
		switch {
		case p.Addr.Addr().IsUnspecified():
		case from.Local() && to.Local(): // share a loopback
			p.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), p.Addr.Port())
		case to.Local():
			p.NetNS = s.world.NetNS()
		default:
			if p.NetNS = s.home(to); p.NetNS == nil {
				continue
			}
		}
		there = append(there, p)
	}
	return there
}

// announce lets those that run already know of a newcomer. The caller holds gates.
func (s *stage) announce(t *T, newcomer *actor) error {
	s.places.Lock()
	guests := slices.Clone(s.guests)
	s.places.Unlock()
	var errs []error
	for _, a := range guests {
		if a == newcomer {
			continue
		}
		peers := s.reach(a.svc, s.peers(s.testsOf(t, a.svc), a.svc))
		if !slices.ContainsFunc(peers, func(p intercept.Peer) bool { return p.To == newcomer.svc.Name && p.NetNS != nil }) {
			continue
		}
		for _, att := range a.attached {
			if err := att.Update(peers); err != nil {
				errs = append(errs, fmt.Errorf("intercept what %s sends to %s: %w", a.svc.Name, newcomer.svc.Name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// everyPeer is peer for each address of an interface: a world may know of
// several (its method Peers).
func (s *stage) everyPeer(svc *Service, itf *Interface) []intercept.Peer {
	w, ok := s.world.(interface {
		Peers(*Service, *Interface) []netip.AddrPort
	})
	if !ok {
		return []intercept.Peer{s.peer(svc, itf)}
	}
	var peers []intercept.Peer
	for _, addr := range w.Peers(svc, itf) {
		p := s.peer(svc, itf)
		p.Addr = addr
		peers = append(peers, p)
	}
	return peers
}
