//go:build linux

package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
)

// ByCall is an intercept.Interceptor that needs no privileges and no programs
// in the kernel: it takes part in the connect(2) of programs that are about to
// be started (intercept.Connections), so whoever watches their system calls has
// to be attached after it. Its methods may be called by many goroutines at once.
type ByCall struct {
	// TLS is terminated like this; nil: it is relayed unread. Set before use.
	TLS *proxy.TLS

	serve func(context.Context, net.Conn, proxy.Link) error
}

var _ intercept.Interceptor = (*ByCall)(nil)

// NewByCall returns a ByCall.
func NewByCall() *ByCall { return &ByCall{serve: proxy.Serve} }

// Supported returns nil, or an *intercept.LacksError: this process may not look
// into those that it starts, or the kernel does not tell who listens.
func (i *ByCall) Supported() error {
	if err := mayTrace(); err != nil {
		return &intercept.LacksError{What: err.Error()}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("redirect connections: %w", err)
	}
	defer l.Close()
	d, err := openSocketTable()
	if err != nil {
		return err
	}
	defer d.close()
	if !d.listens(l.Addr().(*net.TCPAddr).AddrPort()) {
		return &intercept.LacksError{What: "redirect connections: this kernel does not tell who listens (CONFIG_INET_DIAG): run `modprobe tcp_diag` as root"}
	}
	return nil
}

// mayTrace checks what pidfd_getfd(2) and process_vm_readv(2) need.
func mayTrace() error {
	const file = "/proc/sys/kernel/yama/ptrace_scope"
	text, _ := os.ReadFile(file)
	scope := strings.TrimSpace(string(text))
	capable, err := hasCapability(unix.CAP_SYS_PTRACE)
	if err != nil {
		return err
	}
	if scope == "3" || scope == "2" && !capable {
		return fmt.Errorf("redirect connections without root: this machine lets no process look into those that it starts: set %s to 1, or run faultbox as root", file)
	}
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err == nil {
		defer unix.Close(self)
		var fd int
		if fd, err = unix.PidfdGetfd(self, self, 0); err == nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return fmt.Errorf("redirect connections without root: pidfd_getfd: %w: it needs Linux 5.6", err)
	}
	return nil
}

// Close does nothing.
func (i *ByCall) Close() error { return nil }

// Attach makes t.Exec take its connections to the peers through the proxy.
func (i *ByCall) Attach(ctx context.Context, t intercept.Target, h intercept.Handler) (intercept.Attachment, error) {
	if t.Exec == nil {
		return nil, &intercept.LacksError{What: fmt.Sprintf("intercept %s: without root that is possible for local programs only, not for containers", t.Name)}
	}
	a := &callAttachment{name: t.Name, handler: h, serve: i.serve, tls: i.TLS, ns: t.NetNS, peers: map[netip.AddrPort]intercept.Peer{}}
	a.routes.registered.L = &a.routes.mu
	a.ctx, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	err := a.open(ctx)
	if err == nil {
		err = a.Update(t.Peers)
	}
	if err != nil {
		return nil, fmt.Errorf("intercept %s: %w", t.Name, errors.Join(err, a.Close()))
	}
	t.Exec.Connections = a
	return a, nil
}

// callAttachment is one target's. It implements intercept.Connections.
type callAttachment struct {
	name    string
	handler intercept.Handler
	serve   func(context.Context, net.Conn, proxy.Link) error
	tls     *proxy.TLS
	ns      *os.File
	door    *door
	table   *socketTable
	routes  routes

	ctx    context.Context // of the connections
	cancel context.CancelFunc
	wg     sync.WaitGroup // accept loops and connections
	miss   sync.Once

	mu     sync.RWMutex
	closed bool
	local  map[netip.Addr]bool
	live   map[netip.AddrPort]bool // what is redirected, by peerKey
	peers  map[netip.AddrPort]intercept.Peer
}

func (a *callAttachment) open(ctx context.Context) (err error) {
	if a.door, err = openDoor(ctx, a.ns); err != nil {
		return err
	}
	for _, l := range a.door.listeners {
		a.wg.Go(func() { accept(l, a.name, &a.wg, a.relay, a.note) })
	}
	return inside(a.ns, func() (err error) {
		a.table, err = openSocketTable()
		return err
	})
}

// Update replaces the list of peers for connections yet to be made.
func (a *callAttachment) Update(peers []intercept.Peer) error {
	local, err := readAddrs(a.ns)
	if err != nil {
		return err
	}
	live := make(map[netip.AddrPort]bool)
	for _, p := range peers {
		ip := p.Addr.Addr().Unmap()
		switch {
		case p.Protocol != nil && p.Protocol.Datagram:
			return &intercept.LacksError{What: fmt.Sprintf("intercept UDP from %s to %s: without root only TCP can be redirected", a.name, p.To)}
		case !ip.IsUnspecified() && !ip.IsLoopback() && !local[ip]:
			return &intercept.LacksError{What: fmt.Sprintf("intercept connections from %s to %s at %s: without root only those within this machine can be redirected", a.name, p.To, p.Addr)}
		}
		live[peerKey(p.Addr)] = true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.local, a.live = local, live
	for _, p := range peers {
		a.peers[peerKey(p.Addr)] = p
	}
	return nil
}

// Close lets connections go their own way from now on, ends those that were
// led elsewhere and waits for them.
func (a *callAttachment) Close() error {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel()
	var err error
	if a.door != nil {
		err = a.door.close()
	}
	a.wg.Wait()
	if a.table != nil {
		a.table.close()
	}
	return err
}

// relay hands the connection to the proxy. One of which nothing is known is
// not of our target.
func (a *callAttachment) relay(client *net.TCPConn) {
	r, ok := a.routes.take(unmap(client.RemoteAddr().(*net.TCPAddr).AddrPort()))
	peer, known := a.peer(r.meant)
	if !ok || !known {
		client.SetLinger(0)
		client.Close()
		return
	}
	var d net.Dialer
	if r.bound { // the server is to see the source that the client chose
		d.LocalAddr = &net.TCPAddr{IP: client.RemoteAddr().(*net.TCPAddr).IP}
	}
	_ = a.serve(a.ctx, client, proxy.Link{
		From: a.name, To: peer.To, Interface: peer.Interface, Protocol: peer.Protocol, TLS: peer.TLS, TLSConfig: a.tls, Handler: a.handler,
		Dial: func(ctx context.Context) (net.Conn, error) { return dial(ctx, a.ns, "tcp", r.meant.String(), d) },
	}) // has told the handler itself
}

func (a *callAttachment) peer(meant netip.AddrPort) (intercept.Peer, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p, ok := a.peers[meant]
	if !ok {
		p, ok = a.peers[anywhere(meant)]
	}
	return p, ok
}

func (a *callAttachment) note(text string) {
	a.handler.Done(intercept.Event{Kind: intercept.Note, From: a.name, Note: text})
}

// anywhere is the key of a peer that is reached at every address.
func anywhere(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
