//go:build linux

package syscalls

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// happen lets a call happen that nothing was decided on.
func (s *supervisor) happen(n *notification, name string) {
	if s.connections == nil || name != "connect" && name != "getpeername" {
		s.l.pass(n.id)
		return
	}
	v := &verdict{n: *n, slot: -1}
	s.lead(v, name, func(r response) {
		r.id = v.n.id
		s.l.send(r)
		s.arena.drop(v.slot)
	})
}

// lead answers a call that is to happen: a connection that is to go elsewhere
// is made in the caller's place, and has the peer that the caller meant.
func (s *supervisor) lead(v *verdict, name string, answer func(response)) {
	pass := response{flags: proceed}
	switch {
	case s.connections == nil:
		answer(pass)
	case name == "connect":
		s.connect(v, answer)
	case name == "getpeername":
		if !s.peerName(v, answer) {
			answer(pass)
		}
	default:
		answer(pass)
	}
}

// connect offers a connection to whom it may concern. One that may take its
// time is made beside the thread.
func (s *supervisor) connect(v *verdict, answer func(response)) {
	pass := response{flags: proceed}
	k := &looker{tid: v.n.tid}
	fd := -1
	to, err := k.destination(&v.n)
	if to.IsValid() && s.connections.Concerns(to) {
		fd, err = k.borrow(int(int32(v.n.args[0])))
	}
	if !s.l.valid(v.n.id) {
		if fd >= 0 {
			unix.Close(fd)
		}
		answer(pass)
		return
	}
	if err == unix.EPERM {
		s.connections.Missed(to, err)
	}
	if fd < 0 {
		answer(pass)
		return
	}
	do := func() {
		errno, ok := s.connections.Connect(fd, to)
		unix.Close(fd)
		if !ok {
			answer(pass)
			return
		}
		answer(response{err: -int32(errno)})
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err == nil && flags&unix.O_NONBLOCK != 0 {
		do()
		return
	}
	s.beside(v, do)
}

// destination reads the IP address that connect(2) is given; none: it is of
// another family, or not there.
func (k *looker) destination(n *notification) (netip.AddrPort, error) {
	var raw [28]byte // struct sockaddr_in6
	size := min(max(int(int32(n.args[2])), 0), len(raw))
	if n.args[1] == 0 || size == 0 {
		return netip.AddrPort{}, nil
	}
	local := []unix.Iovec{{Base: &raw[0]}}
	local[0].SetLen(size)
	got, err := unix.ProcessVMReadv(int(k.tid), local, []unix.RemoteIovec{{Base: uintptr(n.args[1]), Len: size}}, 0)
	return parseAddress(raw[:max(got, 0)]).ip, err
}

// peerName answers getpeername(2) for a connection that went elsewhere; false:
// the kernel is to answer.
func (s *supervisor) peerName(v *verdict, answer func(response)) bool {
	k := &looker{tid: v.n.tid}
	fd, err := k.borrow(int(int32(v.n.args[0])))
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	to, ok := s.connections.Peer(fd)
	if !ok {
		return false
	}
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	var room [1]uint32
	if err != nil || !k.words(k.tid, v.n.args[2], room[:]) || int32(room[0]) < 0 || !s.l.valid(v.n.id) {
		return false
	}
	name := sockaddr(to, domain)
	size := binary.NativeEndian.AppendUint32(nil, uint32(len(name)))
	if !k.write(v.n.args[1], name[:min(len(name), int(room[0]))]) || !k.write(v.n.args[2], size) {
		return false
	}
	answer(response{})
	return true
}

// write writes to the caller's memory.
func (k *looker) write(addr uint64, src []byte) bool {
	if len(src) == 0 {
		return true
	}
	memory := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(src)}}
	return k.copyMemory(memory, src, unix.ProcessVMWritev) == nil
}

// sockaddr is a struct sockaddr_in or sockaddr_in6, ip(7), ipv6(7).
func sockaddr(a netip.AddrPort, domain int) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(domain))
	b = binary.BigEndian.AppendUint16(b, a.Port())
	if domain == unix.AF_INET {
		ip := a.Addr().Unmap().As4()
		return append(append(b, ip[:]...), make([]byte, 8)...)
	}
	ip := a.Addr().As16()
	return append(append(append(b, 0, 0, 0, 0), ip[:]...), 0, 0, 0, 0)
}
