//go:build linux

package redirect

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Concerns implements intercept.Connections.
func (a *callAttachment) Concerns(to netip.AddrPort) bool {
	to = named(to)
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.closed || to.Addr().Is6() && !a.door.ipv6() {
		return false
	}
	return a.live[to] || a.live[anywhere(to)] && (to.Addr().IsLoopback() || a.local[to.Addr()])
}

// named puts loopback's address in the place of 0.0.0.0 and ::, which stand for it.
func named(to netip.AddrPort) netip.AddrPort {
	to = unmap(to)
	if !to.Addr().IsUnspecified() {
		return to
	}
	if to.Addr().Is4() {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), to.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), to.Port())
}

// Connect implements intercept.Connections. Whatever goes wrong on the way to
// our listener, the program's own connect is then made, and tells how it fails.
func (a *callAttachment) Connect(fd int, to netip.AddrPort) (syscall.Errno, bool) {
	to = named(to)
	if !a.takes(fd) || !a.table.listens(to) {
		return 0, false
	}
	source, err := nameOf(fd, unix.Getsockname)
	if err != nil {
		return 0, false
	}
	bound := !source.Addr().IsUnspecified()
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil || !bound && !to.Addr().IsLoopback() && bindTo(fd, domain, to.Addr()) != nil {
		return 0, false
	}
	listener := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.door.port)
	if to.Addr().Is6() {
		listener = netip.AddrPortFrom(netip.IPv6Loopback(), a.door.port)
	}
	a.routes.begin()
	err = unix.Connect(fd, sockaddr(listener, domain))
	if err == nil || err == unix.EINPROGRESS {
		source, _ = nameOf(fd, unix.Getsockname)
		a.routes.end(source, route{to, bound})
	} else {
		a.routes.end(netip.AddrPort{}, route{})
	}
	switch err {
	case nil:
		return 0, true
	case unix.EINPROGRESS:
		return unix.EINPROGRESS, true
	}
	return 0, false
}

// takes reports whether a socket is one that can be led elsewhere: TCP, of our
// namespace, not connected or about to be, not bound to a device. With
// TCP_FASTOPEN_CONNECT it would connect only when it is first written to.
func (a *callAttachment) takes(fd int) bool {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP {
		return false
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.State != tcpClose {
		return false
	}
	if fast, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_FASTOPEN_CONNECT); err == nil && fast != 0 {
		return false
	}
	if device, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err == nil && device != "" {
		return false
	}
	netns, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err == nil && netns == a.door.netns
}

const tcpClose = 7 // TCP_CLOSE, linux/tcp_states.h

// bindTo gives a socket the source that the kernel would have chosen for a
// destination of its own namespace, and leaves the port open.
func bindTo(fd, domain int, ip netip.Addr) error {
	const level, option = unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT
	before, err := unix.GetsockoptInt(fd, level, option)
	if err == nil {
		err = unix.SetsockoptInt(fd, level, option, 1)
	}
	if err != nil {
		return err
	}
	defer unix.SetsockoptInt(fd, level, option, before)
	return unix.Bind(fd, sockaddr(netip.AddrPortFrom(ip, 0), domain))
}

// Peer implements intercept.Connections.
func (a *callAttachment) Peer(fd int) (netip.AddrPort, bool) {
	peer, err := nameOf(fd, unix.Getpeername)
	if err != nil || peer.Port() != a.door.port || !peer.Addr().IsLoopback() {
		return netip.AddrPort{}, false
	}
	source, err := nameOf(fd, unix.Getsockname)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return a.routes.of(source)
}

// Missed implements intercept.Connections.
func (a *callAttachment) Missed(to netip.AddrPort, err error) {
	where := ""
	if to.IsValid() {
		where = fmt.Sprint(" to ", to)
	}
	a.miss.Do(func() {
		a.note(fmt.Sprintf("a connection of %s%s went its own way, past every fault: the kernel does not let its maker be looked into (%v), as it is not dumpable (prctl(2)) or its file not readable: run faultbox as root", a.name, where, err))
	})
}

// nameOf returns what getsockname(2) or getpeername(2) say.
func nameOf(fd int, ask func(int) (unix.Sockaddr, error)) (netip.AddrPort, error) {
	sa, err := ask(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, net.UnknownNetworkError("not IP")
}

func sockaddr(a netip.AddrPort, domain int) unix.Sockaddr {
	if domain == unix.AF_INET {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
