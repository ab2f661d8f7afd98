//go:build linux

package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
)

// attachment is one target's interception.
type attachment struct {
	name    string
	running bool // see intercept.Target
	handler intercept.Handler
	serve   func(context.Context, net.Conn, proxy.Link) error
	kernel  *kernel
	ns      *os.File
	door    *door
	netns   uint64 // cookie
	cgroup  uint64 // id

	ctx    context.Context // of the connections
	cancel context.CancelFunc
	wg     sync.WaitGroup // loops that accept or receive, and connections

	flows    proxy.Flows // of datagrams
	refusals refusals

	mu     sync.Mutex
	closed bool
	rules  ruleset
	// peers holds every peer there has been: a connection that a rule redirected
	// is served as what it is, though the rule may be gone.
	peers  map[place]intercept.Peer
	inlets map[netip.AddrPort]*inlet // likewise, by destination
}

func attach(ctx context.Context, k *kernel, t intercept.Target, h intercept.Handler,
	serve func(context.Context, net.Conn, proxy.Link) error) (_ *attachment, err error) {
	a := &attachment{
		name: t.Name, running: t.Running, handler: h, serve: serve, kernel: k, ns: t.NetNS,
		peers: map[place]intercept.Peer{}, inlets: map[netip.AddrPort]*inlet{},
	}
	if a.door, err = openDoor(ctx, t.NetNS); err != nil {
		return nil, err
	}
	a.netns = a.door.netns
	if err := k.join(t.Cgroup, a); err != nil {
		return nil, errors.Join(err, a.door.close())
	}
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, l := range a.door.listeners {
		a.wg.Go(func() { accept(l, a.name, &a.wg, a.relay, a.note) })
	}
	if err := a.Update(t.Peers); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Update replaces the list of peers for connections yet to be made. After an
// error the list may be partly the new one.
func (a *attachment) Update(peers []intercept.Peer) error {
	local, err := readAddrs(a.ns)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fmt.Errorf("update peers of %s: attachment is closed", a.name)
	}
	next, err := a.newRules(peers, local)
	if err != nil {
		return err
	}
	for _, p := range peers {
		if s, ok := overTCP(p); ok {
			a.peers[placeOf(s)] = s
		}
	}
	for _, p := range peers { // one that is there for TCP alone comes before
		a.peers[placeOf(p)] = p
	}
	old := a.rules
	a.rules = next
	if err := a.kernel.replaceRules(old, next); err != nil || !a.running {
		return err
	}
	return breakOff(a.ns, next.less(old))
}

// Close takes the rules, the listeners and, with the last attachment of the
// cgroup, the programs away, ends the connections and waits for them. It does
// not close the target's NetNS.
func (a *attachment) Close() error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		return nil
	}
	a.closed = true
	err := a.kernel.replaceRules(a.rules, nil)
	a.mu.Unlock()
	err = errors.Join(err, a.kernel.leave(a), a.door.close())
	for _, in := range a.inlets {
		err = errors.Join(err, in.close())
	}
	a.cancel()
	a.wg.Wait()
	a.flows.Close()
	return errors.Join(err, a.refusals.close())
}

// relay finds out whom the client meant and hands the connection to the proxy.
func (a *attachment) relay(client *net.TCPConn) {
	source := client.RemoteAddr().(*net.TCPAddr).AddrPort()
	meant, bound, err := a.kernel.meant(a.door, source)
	if err != nil {
		a.refuse(client, fmt.Sprintf("reset connection of %s from %s: its destination is not known: %v", a.name, source, err))
		return
	}
	peer, ok := a.peer(meant, false)
	if !ok {
		a.refuse(client, fmt.Sprintf("reset connection of %s from %s to %s: no peer has that address", a.name, source, meant))
		return
	}
	var local net.Addr
	if bound { // the server is to see the source that the client chose
		local = &net.TCPAddr{IP: source.Addr().AsSlice()}
	}
	link := proxy.Link{
		From: a.name, To: peer.To, Interface: peer.Interface,
		Protocol: peer.Protocol, TLS: peer.TLS, Handler: a.handler,
		Dial: func(ctx context.Context) (net.Conn, error) { return a.dial(ctx, local, meant) },
	}
	_ = a.serve(a.ctx, client, link) // has told the handler itself
}

// dial connects to the server from where the client is; local is nil for any
// source. Our own connection is not to be redirected.
func (a *attachment) dial(ctx context.Context, local net.Addr, meant netip.AddrPort) (net.Conn, error) {
	return dial(ctx, a.ns, "tcp", meant.String(), net.Dialer{
		LocalAddr: local,
		Control: func(_, _ string, c syscall.RawConn) error {
			var markErr error
			err := c.Control(func(fd uintptr) { markErr = a.kernel.exempt(fd) })
			return errors.Join(err, markErr)
		},
	})
}

func (a *attachment) peer(meant netip.AddrPort, datagram bool) (intercept.Peer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p, ok := a.peers[place{meant, datagram}]
	if !ok {
		p, ok = a.peers[place{netip.AddrPortFrom(netip.IPv6Unspecified(), meant.Port()), datagram}]
	}
	return p, ok
}

// place is where a peer is.
type place struct {
	addr     netip.AddrPort
	datagram bool
}

func placeOf(p intercept.Peer) place {
	return place{peerKey(p.Addr), p.Protocol != nil && p.Protocol.Datagram}
}

// overTCP is the same interface for clients that connect, of a protocol of
// datagrams that knows both.
func overTCP(p intercept.Peer) (intercept.Peer, bool) {
	if p.Protocol == nil || !p.Protocol.Datagram || p.Protocol.Stream == nil {
		return p, false
	}
	p.Protocol = p.Protocol.Stream
	return p, true
}

// peerKey is Addr with one spelling for each address.
func peerKey(a netip.AddrPort) netip.AddrPort {
	if a.Addr().IsUnspecified() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func (a *attachment) refuse(client *net.TCPConn, note string) {
	client.SetLinger(0)
	client.Close()
	a.note(note)
}

func (a *attachment) note(text string) {
	a.handler.Done(intercept.Event{From: a.name, Note: text})
}
