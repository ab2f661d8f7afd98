//go:build unix

package proxy

import (
	"os"
	"syscall"
)

// tryRead reads what there is; it reports false if nothing is, and then, when
// no bytes await decoding either, the lane waits without a buffer.
func (l *lane) tryRead(fd uintptr) bool {
	l.room()
	for {
		n, err := syscall.Read(int(fd), l.buf[l.hi:])
		switch err {
		case nil:
			l.n, l.err = n, nil
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			if l.lo == l.hi {
				l.releaseBuffer()
			}
			return false
		}
		l.n, l.err = 0, os.NewSyscallError("read", err)
		return true
	}
}

// tryRead reads a datagram if there is one.
func (in *inbox) tryRead(fd uintptr) bool {
	in.room()
	for {
		in.n, in.err = syscall.Read(int(fd), *in.box)
		switch in.err {
		case nil:
			return true
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			in.release()
			return false
		}
		in.err = os.NewSyscallError("read", in.err)
		return true
	}
}
