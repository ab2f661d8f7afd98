//go:build linux

package redirect

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// refusals sends "port unreachable" messages inside a network namespace.
type refusals struct {
	mu    sync.Mutex
	conns [2]*net.IPConn // IPv4, IPv6; opened when first needed
}

// send tells the owner of the socket at that nobody is there where it sent to.
// If it can't, the client hears nothing, as behind a firewall.
func (r *refusals) send(ns *os.File, at, from netip.AddrPort) {
	conn, err := r.conn(ns, at.Addr().Is6())
	if err != nil {
		return
	}
	m := icmp.Message{Type: ipv4.ICMPTypeDestinationUnreachable, Code: 3, Body: &icmp.DstUnreach{Data: sent(from, at)}}
	if at.Addr().Is6() {
		m.Type, m.Code = ipv6.ICMPTypeDestinationUnreachable, 4
	}
	if b, err := m.Marshal(nil); err == nil {
		conn.WriteTo(b, &net.IPAddr{IP: from.Addr().AsSlice()})
	}
}

func (r *refusals) conn(ns *os.File, v6 bool) (conn *net.IPConn, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i, network, address := 0, "ip4:icmp", "127.0.0.1"
	if v6 {
		i, network, address = 1, "ip6:ipv6-icmp", "::1"
	}
	if r.conns[i] != nil {
		return r.conns[i], nil
	}
	err = inside(ns, func() error {
		conn, err = net.ListenIP(network, &net.IPAddr{IP: net.ParseIP(address)})
		return err
	})
	if err == nil {
		conn.SetReadBuffer(0) // it is only written to
		r.conns[i] = conn
	}
	return conn, err
}

func (r *refusals) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, c := range r.conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// sent is the beginning of a datagram from one address to another: its IP and
// UDP headers, by which the kernel finds the socket that sent it.
func sent(from, to netip.AddrPort) []byte {
	var b []byte
	if from.Addr().Is4() {
		h := ipv4.Header{Version: 4, Len: ipv4.HeaderLen, TotalLen: ipv4.HeaderLen + 8, TTL: 64, Protocol: unix.IPPROTO_UDP,
			Src: from.Addr().AsSlice(), Dst: to.Addr().AsSlice()}
		b, _ = h.Marshal()
	} else {
		b = make([]byte, 8, ipv6.HeaderLen+8)
		b[0], b[5], b[6], b[7] = 6<<4, 8, unix.IPPROTO_UDP, 64
		b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
	}
	for _, v := range []uint16{from.Port(), to.Port(), 8, 0} {
		b = binary.BigEndian.AppendUint16(b, v)
	}
	return b
}
