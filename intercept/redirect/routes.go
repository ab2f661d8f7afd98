//go:build linux

package redirect

import (
	"net/netip"
	"sync"
)

// routes knows where the connections wanted to go that our listener accepts, by
// their source. The client is connected before its source is known, so the
// listener may have to wait a moment for it.
type routes struct {
	mu         sync.Mutex
	registered sync.Cond // its lock is mu
	making     int       // connections whose source is not known yet
	waiting    map[netip.AddrPort]route
	meant      map[netip.AddrPort]netip.AddrPort // a source is forgotten when it is used again
}

type route struct {
	meant netip.AddrPort
	bound bool // the client chose the source
}

// begin announces a connection.
func (r *routes) begin() {
	r.mu.Lock()
	r.making++
	r.mu.Unlock()
}

// end tells of one that was announced; an invalid source: it was not made.
func (r *routes) end(source netip.AddrPort, to route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.making--
	if source.IsValid() {
		if r.waiting == nil {
			r.waiting, r.meant = make(map[netip.AddrPort]route), make(map[netip.AddrPort]netip.AddrPort)
		}
		r.waiting[source], r.meant[source] = to, to.meant
	}
	r.registered.Broadcast()
}

// take returns where the connection from source wanted to go, once; false: it
// is none of ours.
func (r *routes) take(source netip.AddrPort) (route, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		to, ok := r.waiting[source]
		if ok || r.making == 0 {
			delete(r.waiting, source)
			return to, ok
		}
		r.registered.Wait()
	}
}

// of returns whom a client means, from its source.
func (r *routes) of(source netip.AddrPort) (netip.AddrPort, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	to, ok := r.meant[source]
	return to, ok
}
