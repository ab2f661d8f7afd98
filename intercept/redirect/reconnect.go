//go:build linux

package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"faultbox/bpf"
	"faultbox/intercept"
)

// Messages and their layout: sock_diag(7), linux/inet_diag.h.
const (
	sockDiagByFamily = 20
	sockDestroy      = 21

	diagRequestLen = 56 // struct inet_diag_req_v2
	diagIDOffset   = 8  // of the struct inet_diag_sockid in it
	diagReplyID    = 4  // and in a struct inet_diag_msg
	diagIDLen      = 48

	connected = 1<<1 | 1<<2 | 1<<8 // TCP_ESTABLISHED, TCP_SYN_SENT, TCP_CLOSE_WAIT
)

// breakOff ends the connections of namespace ns that go where the rules say, so
// that whoever has them makes them anew. The application reads ECONNABORTED.
func breakOff(ns *os.File, rules ruleset) error {
	goal := make(map[bpf.RedirectEndpoint]bool)
	for key := range rules {
		if key.Protocol != unix.IPPROTO_TCP {
			continue
		}
		goal[bpf.RedirectEndpoint{Ip: key.Ip, Port: key.Port}] = true
	}
	err := inside(ns, func() error {
		for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
			if err := breakOffFamily(family, goal); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case errors.Is(err, unix.ENOENT):
		return &intercept.LacksError{What: "break off connections that exist: this kernel does not list them (CONFIG_INET_DIAG): run `modprobe tcp_diag` as root"}
	case err != nil:
		return fmt.Errorf("break off connections that exist: %w", err)
	}
	return nil
}

func breakOffFamily(family byte, goal map[bpf.RedirectEndpoint]bool) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	ids, err := dumpIDs(s, family)
	if err != nil {
		return err
	}
	for _, id := range ids {
		to := destination(family, id)
		if !goal[to] && !(addrPort(to).Addr().IsLoopback() && goal[bpf.RedirectEndpoint{Port: to.Port}]) {
			continue
		}
		_, err := exchange(s, sockDestroy, unix.NLM_F_REQUEST|unix.NLM_F_ACK, diagRequest(family, id))
		if err != nil && err != unix.ENOENT { // it went by itself
			return os.NewSyscallError("SOCK_DESTROY", err)
		}
	}
	return nil
}

// dumpIDs returns the struct inet_diag_sockid of every connection.
func dumpIDs(s int, family byte) (ids [][]byte, err error) {
	if err := send(s, sockDiagByFamily, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, diagRequest(family, nil)); err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(s, buf, 0)
		if err != nil {
			return nil, err
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size, kind := int(binary.NativeEndian.Uint32(rest)), binary.NativeEndian.Uint16(rest[4:])
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return nil, fmt.Errorf("netlink answered with a message of %d bytes", size)
			}
			body := rest[unix.SizeofNlMsghdr:size]
			switch {
			case kind == unix.NLMSG_DONE:
				return ids, nil
			case kind == unix.NLMSG_ERROR:
				return nil, errorOf(body)
			case len(body) >= diagReplyID+diagIDLen:
				ids = append(ids, append([]byte(nil), body[diagReplyID:diagReplyID+diagIDLen]...))
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
}

// diagRequest asks for all connections of a family, or names one.
func diagRequest(family byte, id []byte) []byte {
	b := make([]byte, diagRequestLen)
	b[0], b[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], connected)
	copy(b[diagIDOffset:], id)
	return b
}

// destination reads the far end off a struct inet_diag_sockid: source port,
// destination port, 16 bytes of source, 16 of destination.
func destination(family byte, id []byte) (e bpf.RedirectEndpoint) {
	e.Port = binary.NativeEndian.Uint16(id[2:])
	for i := range e.Ip {
		e.Ip[i] = binary.NativeEndian.Uint32(id[20+4*i:])
	}
	if family == unix.AF_INET { // in the first word
		e.Ip = [4]uint32{2: binary.NativeEndian.Uint32([]byte{0, 0, 0xff, 0xff}), 3: e.Ip[0]}
	}
	return e
}
