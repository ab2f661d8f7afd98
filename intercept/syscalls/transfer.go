//go:build linux

package syscalls

import (
	"encoding/binary"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// transfer is a call that moves bytes between memory and a descriptor, as its
// arguments say.
type transfer struct {
	fd      int
	out     bool               // to the descriptor
	socket  bool               // flags, to and head are those of a socket call
	at      int64              // offset in the file; -1: its position
	flags   int                // MSG_… or RWF_…
	memory  []unix.RemoteIovec // of the caller
	to      []byte             // destination address
	head    uint64             // struct msghdr of the caller, 0: none
	control bool               // ancillary data come along
}

// length is how many bytes are to be moved.
func (t *transfer) length() (n int) {
	for _, v := range t.memory {
		n += v.Len
	}
	return n
}

// transfer reads the arguments of one of the transfers.
func (s *supervisor) transfer(k *looker, n *notification, name string) (*transfer, bool) {
	narrow := compat() != nil && n.arch == compat().audit
	t := &transfer{fd: int(int32(n.args[0])), at: -1, out: sends(name)}
	plain := func() bool {
		t.memory = []unix.RemoteIovec{{Base: uintptr(n.args[1]), Len: int(n.args[2])}}
		return true
	}
	offset := func() {
		t.at = int64(n.args[3])
		if narrow {
			t.at = int64(uint32(n.args[3])) | int64(n.args[4])<<32
		}
	}
	switch name {
	case "read", "write":
		return t, plain()
	case "pread64", "pwrite64":
		offset()
		return t, plain()
	case "readv", "writev", "preadv", "pwritev", "preadv2", "pwritev2":
		if name[0] == 'p' {
			if t.at = int64(n.args[3]); narrow {
				offset()
			}
		}
		if name == "preadv2" || name == "pwritev2" {
			t.flags = int(n.args[5])
		}
		return t, k.vectors(t, n.args[1], int(n.args[2]), narrow)
	case "send", "recv", "sendto", "recvfrom":
		t.socket, t.flags = true, int(int32(n.args[3]))
		if name == "sendto" && n.args[4] != 0 {
			t.to = make([]byte, min(n.args[5], 128))
			t.to = t.to[:k.memory(n.args[4], t.to)]
		}
		return t, plain() && !(name == "recvfrom" && n.args[4] != 0)
	case "sendmsg", "recvmsg":
		t.socket, t.flags, t.head = true, int(int32(n.args[2])), n.args[1]
		return t, k.message(t, narrow)
	}
	return nil, false
}

// vectors reads an array of struct iovec.
func (k *looker) vectors(t *transfer, addr uint64, count int, narrow bool) bool {
	if count < 0 || count > 1024 {
		return false
	}
	words := make([]uint64, 2*count)
	if narrow {
		half := make([]uint32, 2*count)
		if count > 0 && !k.words(k.tid, addr, half) {
			return false
		}
		for i, w := range half {
			words[i] = uint64(w)
		}
	} else if count > 0 {
		raw := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 16*count)
		if k.memory(addr, raw) != len(raw) {
			return false
		}
	}
	for i := range count {
		t.memory = append(t.memory, unix.RemoteIovec{Base: uintptr(words[2*i]), Len: int(words[2*i+1])})
	}
	return true
}

// message reads a struct msghdr.
func (k *looker) message(t *transfer, narrow bool) bool {
	if narrow {
		var h [6]uint32 // name, namelen, iov, iovlen, control, controllen
		if !k.words(k.tid, t.head, h[:]) {
			return false
		}
		t.control = h[5] != 0
		return k.name(t, uint64(h[0]), h[1]) && k.vectors(t, uint64(h[2]), int(h[3]), true)
	}
	var raw [48]byte
	if k.memory(t.head, raw[:]) != len(raw) {
		return false
	}
	word := func(i int) uint64 { return binary.NativeEndian.Uint64(raw[i:]) }
	t.control = word(40) != 0
	return k.name(t, word(0), uint32(word(8))) && k.vectors(t, word(16), int(word(24)), false)
}

// name reads the address in a message to be sent. One to be received cannot be
// filled in.
func (k *looker) name(t *transfer, addr uint64, size uint32) bool {
	if addr == 0 || !t.out {
		return addr == 0
	}
	t.to = make([]byte, min(size, 128))
	t.to = t.to[:k.memory(addr, t.to)]
	return true
}

// claim returns what a call would have returned had it done all it was asked to.
func (s *supervisor) claim(v *verdict) (int64, bool) {
	name := v.ev.Op
	if slices.Contains(silent, name) {
		return 0, true
	}
	k := &looker{tid: v.n.tid}
	switch name {
	case "sendfile":
		return int64(v.n.args[3]), true
	case "copy_file_range", "splice":
		return int64(v.n.args[4]), true
	}
	t, ok := s.transfer(k, &v.n, name)
	if !ok || !t.out {
		return 0, false
	}
	return int64(t.length()), true
}

// shorten does a part of a call in the caller's place, on a copy of its
// descriptor, and answers with what that came to.
func (s *supervisor) shorten(v *verdict, limit int) {
	pass := func() { s.conclude(v, response{flags: proceed}, intercept.Untouched) }
	k := &looker{tid: v.n.tid}
	t, ok := s.transfer(k, &v.n, v.ev.Op)
	if !ok || t.control || t.length() <= limit {
		pass()
		return
	}
	fd, err := k.borrow(t.fd)
	if err != nil || !s.l.valid(v.n.id) {
		pass()
		return
	}
	defer unix.Close(fd)
	if !s.awaitReady(v, fd, t) {
		pass()
		return
	}
	n, err := k.move(fd, t, limit)
	var errno unix.Errno
	switch {
	case err != nil: // as it would have failed anyway
		errno, _ = err.(unix.Errno)
		v.ev.Err = ErrnoName(int(errno))
		if errno == unix.EPIPE && t.flags&unix.MSG_NOSIGNAL == 0 {
			unix.Tgkill(k.status("Tgid:"), int(v.n.tid), unix.SIGPIPE)
		}
		s.conclude(v, response{err: -int32(errno)}, intercept.Untouched)
	case n < limit && t.flags&unix.MSG_WAITALL == 0: // there was no more to be had
		s.conclude(v, response{val: int64(n)}, intercept.Untouched)
	default:
		s.conclude(v, response{val: int64(n)}, intercept.Shortened)
	}
}

// awaitReady waits, while the caller does, until the descriptor can be used
// without waiting. One that shall not wait is used as it is.
func (s *supervisor) awaitReady(v *verdict, fd int, t *transfer) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 || t.socket && t.flags&unix.MSG_DONTWAIT != 0 {
		return err == nil
	}
	events := int16(unix.POLLIN)
	if t.out {
		events = unix.POLLOUT
	}
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		if n, _ := unix.Poll(fds, int((100 * time.Millisecond).Milliseconds())); n > 0 {
			return true
		}
		if s.passing.Load() || !s.l.valid(v.n.id) {
			return false
		}
	}
}

// move moves at most limit bytes.
func (k *looker) move(fd int, t *transfer, limit int) (int, error) {
	buf := make([]byte, min(limit, t.length()))
	memory := first(t.memory, len(buf))
	if t.out {
		if err := k.copyMemory(memory, buf, unix.ProcessVMReadv); err != nil {
			return 0, err
		}
	}
	n, err := t.do(fd, buf)
	if err != nil || t.out {
		return n, err
	}
	return n, k.copyMemory(first(memory, n), buf[:n], unix.ProcessVMWritev)
}

// do makes the call on our own memory.
func (t *transfer) do(fd int, buf []byte) (int, error) {
	var base unsafe.Pointer
	if len(buf) > 0 {
		base = unsafe.Pointer(&buf[0])
	}
	call := func(nr uintptr, rest ...uintptr) (int, error) {
		a := [6]uintptr{uintptr(fd), uintptr(base), uintptr(len(buf))}
		copy(a[3:], rest)
		n, _, e := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
		if e != 0 {
			return 0, e
		}
		return int(n), nil
	}
	switch {
	case t.socket && t.out && len(t.to) > 0:
		return call(unix.SYS_SENDTO, uintptr(t.flags|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT), uintptr(unsafe.Pointer(&t.to[0])), uintptr(len(t.to)))
	case t.socket && t.out:
		return call(unix.SYS_SENDTO, uintptr(t.flags|unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT))
	case t.socket:
		return call(unix.SYS_RECVFROM, uintptr(t.flags&^unix.MSG_WAITALL|unix.MSG_DONTWAIT))
	case t.out && t.at >= 0:
		return call(unix.SYS_PWRITE64, uintptr(t.at))
	case t.out:
		return call(unix.SYS_WRITE)
	case t.at >= 0:
		return call(unix.SYS_PREAD64, uintptr(t.at))
	}
	return call(unix.SYS_READ)
}

// first returns the first n bytes of memory.
func first(memory []unix.RemoteIovec, n int) (out []unix.RemoteIovec) {
	for _, v := range memory {
		if n == 0 {
			break
		}
		v.Len = min(v.Len, n)
		n -= v.Len
		out = append(out, v)
	}
	return out
}

func (k *looker) copyMemory(memory []unix.RemoteIovec, buf []byte, do func(int, []unix.Iovec, []unix.RemoteIovec, uint) (int, error)) error {
	if len(buf) == 0 {
		return nil
	}
	local := []unix.Iovec{{Base: &buf[0]}}
	local[0].SetLen(len(buf))
	if n, err := do(int(k.tid), local, memory, 0); err != nil || n != len(buf) {
		return unix.EFAULT
	}
	return nil
}
