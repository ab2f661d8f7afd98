package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"faultbox/intercept/proxy"
)

// throughDatagrams is through for a protocol of datagrams. upstream belongs to
// the connection that it returns.
func throughDatagrams(upstream net.Conn, link proxy.Link) (net.Conn, error) {
	far, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		upstream.Close()
		return nil, err
	}
	near, err := net.DialUDP("udp4", nil, far.LocalAddr().(*net.UDPAddr))
	if err != nil {
		upstream.Close()
		far.Close()
		return nil, err
	}
	s := &datagramStep{UDPConn: near, far: far, addr: near.LocalAddr().(*net.UDPAddr).AddrPort()}
	s.flow = proxy.NewFlow(s, upstream, link)
	return s, nil
}

// datagramStep is a step's end of a relayed flow, and the flow's proxy.Client.
// What the step writes goes to the flow, what comes back through the socket.
type datagramStep struct {
	*net.UDPConn
	far     *net.UDPConn
	addr    netip.AddrPort // of UDPConn
	flow    *proxy.Flow
	refused atomic.Bool
}

func (s *datagramStep) Write(b []byte) (int, error) {
	if !s.flow.Take(b) {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

// Send implements proxy.Client.
func (s *datagramStep) Send(b []byte) error {
	_, err := s.far.WriteToUDPAddrPort(b, s.addr)
	return err
}

// Refuse implements proxy.Client: the next read fails, as that of a connected
// socket does.
func (s *datagramStep) Refuse() {
	s.refused.Store(true)
	s.UDPConn.SetReadDeadline(time.Unix(1, 0))
}

func (s *datagramStep) Read(b []byte) (int, error) {
	n, err := s.UDPConn.Read(b)
	if err != nil && s.refused.CompareAndSwap(true, false) {
		err = &net.OpError{Op: "read", Net: "udp", Addr: s.RemoteAddr(), Err: os.NewSyscallError("read", syscall.ECONNREFUSED)}
	}
	return n, err
}

func (s *datagramStep) SetReadDeadline(t time.Time) error {
	err := s.UDPConn.SetReadDeadline(t)
	if s.refused.Load() {
		err = s.UDPConn.SetReadDeadline(time.Unix(1, 0))
	}
	return err
}

func (s *datagramStep) SetDeadline(t time.Time) error {
	s.UDPConn.SetWriteDeadline(t)
	return s.SetReadDeadline(t)
}

// Close ends the flow when what is delayed has been sent.
func (s *datagramStep) Close() error {
	s.flow.CloseWhenSent()
	return errors.Join(s.UDPConn.Close(), s.far.Close())
}
