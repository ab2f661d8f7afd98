//go:build linux

package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"faultbox/bpf"
	"faultbox/intercept/proxy"
)

// inlet is a port of ours on loopback that stands for a destination of
// datagrams: what comes to it was meant for there. With an unspecified
// destination it was meant for the loopback address that it came to.
type inlet struct {
	a     *attachment
	meant netip.AddrPort
	port  uint16
	socks []*net.UDPConn // for IPv4 on all of loopback, for IPv6 on ::1
	pings *refusals
}

// receiveBuffer is what a burst may fill before we look at it.
const receiveBuffer = 8 << 20

// openInlet listens in the target's network namespace.
func (a *attachment) openInlet(meant netip.AddrPort) (_ *inlet, err error) {
	in := &inlet{a: a, meant: meant, pings: &a.refusals}
	err = inside(a.ns, func() error {
		err := in.listenWithin(lowestPort, highestPort)
		if errors.Is(err, syscall.EACCES) {
			err = in.listenWithin(lowestOpenPort, highestOpenPort)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := in.announce(); err != nil {
		return nil, errors.Join(err, in.close())
	}
	for _, c := range in.socks {
		a.wg.Go(func() { in.read(c) })
	}
	return in, nil
}

// announce tells the programs what the inlet stands for.
func (in *inlet) announce() error {
	to := endpoint(in.meant)
	if in.meant.Addr().IsUnspecified() {
		to.Ip = [4]uint32{}
	}
	for _, c := range in.socks {
		if err := in.a.kernel.objs.Inlets.Put(in.key(c), to); err != nil {
			return fmt.Errorf("write inlet: %w", err)
		}
	}
	return nil
}

func (in *inlet) key(c *net.UDPConn) bpf.RedirectInlet {
	key := bpf.RedirectInlet{Netns: in.a.netns, Port: bigEndian(in.port)}
	if c.LocalAddr().(*net.UDPAddr).IP.To4() == nil {
		key.V6 = 1
	}
	return key
}

func (in *inlet) close() error {
	var errs []error
	for _, c := range in.socks {
		if err := in.a.kernel.objs.Inlets.Delete(in.key(c)); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("delete inlet: %w", err))
		}
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

func (in *inlet) listenWithin(lowest, highest uint16) error {
	for port := highest; port >= lowest; port-- {
		err := in.listenOn(port)
		if err == nil {
			in.port = port
			return nil
		}
		for _, c := range in.socks {
			c.Close()
		}
		in.socks = nil
		if !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
	}
	return fmt.Errorf("listen for datagrams on loopback: every port from %d to %d is taken", lowest, highest)
}

func (in *inlet) listenOn(port uint16) error {
	if to := in.meant.Addr(); to.IsUnspecified() || to.Is4() {
		if err := in.listen("udp4", netip.AddrPortFrom(netip.IPv4Unspecified(), port)); err != nil {
			return err
		}
	}
	if to := in.meant.Addr(); to.IsUnspecified() && in.a.door.ipv6() || to.Is6() && !to.IsUnspecified() {
		return in.listen("udp6", netip.AddrPortFrom(netip.IPv6Loopback(), port))
	}
	return nil
}

func (in *inlet) listen(network string, at netip.AddrPort) error {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return control(c, func(fd int) error {
			if err := in.a.kernel.exempt(uintptr(fd)); err != nil {
				return err
			}
			enlarge(fd)
			if at.Addr().Is6() {
				return nil
			}
			if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "lo"); err != nil {
				return fmt.Errorf("bind to lo: %w", err)
			}
			return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		})
	}}
	c, err := lc.ListenPacket(context.Background(), network, at.String())
	if err != nil {
		return err
	}
	in.socks = append(in.socks, c.(*net.UDPConn))
	return nil
}

// enlarge gives a socket room for a burst, as much as we are allowed to.
func enlarge(fd int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
}

// control calls f with the descriptor of a socket.
func control(c syscall.RawConn, f func(fd int) error) error {
	var inner error
	err := c.Control(func(fd uintptr) { inner = f(int(fd)) })
	return errors.Join(err, inner)
}

// read takes in what clients send, until the socket is closed.
func (in *inlet) read(c *net.UDPConn) {
	buf, info := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(unix.SizeofInet4Pktinfo))
	for {
		n, oob, _, from, err := c.ReadMsgUDPAddrPort(buf, info)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // of an earlier answer, to a client that is gone
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		at := netip.AddrPortFrom(destinationIn(info[:oob]), in.port)
		err = in.a.flows.Take(proxy.FlowKey{Client: from, To: at}, buf[:n], func() (*proxy.Flow, error) {
			return in.open(&caller{in, c, from, at, reply4(at.Addr())})
		})
		if err != nil && in.a.ctx.Err() == nil {
			in.a.note(fmt.Sprintf("a datagram of %s from %s: %v", in.a.name, from, err))
		}
	}
}

// open begins a flow to where the client meant.
func (in *inlet) open(client *caller) (*proxy.Flow, error) {
	a, meant := in.a, in.meant
	if meant.Addr().IsUnspecified() {
		meant = netip.AddrPortFrom(client.at.Addr(), meant.Port())
	}
	peer, ok := a.peer(meant, true)
	if !ok {
		return nil, fmt.Errorf("no peer has the address %s", meant)
	}
	var local net.Addr
	if source := client.from.Addr(); !source.IsLoopback() || meant.Addr().IsLoopback() || client.at.Addr() == choseLoopback {
		local = &net.UDPAddr{IP: source.AsSlice()} // the client's own choice, or the kernel's for that destination
	}
	server, err := dial(a.ctx, a.ns, "udp", meant.String(), net.Dialer{
		LocalAddr: local,
		Control: func(_, _ string, c syscall.RawConn) error {
			return control(c, func(fd int) error {
				enlarge(fd)
				return a.kernel.exempt(uintptr(fd))
			})
		},
	})
	if err != nil {
		client.Refuse()
		return nil, err
	}
	return proxy.NewFlow(client, server, proxy.Link{
		From: a.name, To: peer.To, Interface: peer.Interface, Protocol: peer.Protocol, Handler: a.handler,
	}), nil
}

// choseLoopback is where the programs lead a datagram that goes from loopback to
// elsewhere because the client bound its socket so (LOOPBACK4_FROM).
var choseLoopback = netip.AddrFrom4([4]byte{127, 0, 0, 2})

// caller is a client, as a proxy.Client.
type caller struct {
	in   *inlet
	conn *net.UDPConn
	from netip.AddrPort
	at   netip.AddrPort // our address, as it was reached
	info []byte         // has the answer leave from there; nil for IPv6
}

func (c *caller) Send(b []byte) error {
	_, _, err := c.conn.WriteMsgUDPAddrPort(b, c.info, c.from)
	return err
}

func (c *caller) Refuse() { c.in.pings.send(c.in.a.ns, c.at, c.from) }

// destinationIn reads the address that a datagram came to off its control
// message, ip(7) IP_PKTINFO. Without one it is ::1.
func destinationIn(info []byte) netip.Addr {
	if len(info) > 0 {
		h, data, _, err := unix.ParseOneSocketControlMessage(info)
		if err == nil && h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo {
			return netip.AddrFrom4([4]byte(data[8:12])) // ipi_addr
		}
	}
	return netip.IPv6Loopback()
}

// reply4 is the control message that has an answer leave from that address.
func reply4(at netip.Addr) []byte {
	if !at.Is4() {
		return nil
	}
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: at.As4()})
}
