//go:build linux

package syscalls

import (
	"errors"
	"io"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// relief is how a thread of the shim puts a filter on itself. From then on any
// call of it may wait for an answer that comes only when another thread, without
// the filter, has handed the listener over. So until then it makes one call that
// matters to nobody, and above all leaves Go's scheduler alone, which would wake
// or make threads in its name (futex, mmap, clone), with locks held that the
// other needs. In that call it is to the scheduler a thread in a system call,
// which nothing waits for.
type relief struct {
	state atomic.Uint32 // one of those below, in this order

	// Written before the state that they belong to.
	listener listener
	flags    uint32
	err      error // installing failed
	lost     error // the listener could not be handed over
}

const (
	reliefWaits = iota // for the listener
	reliefHas          // there is a listener, or it is known what went wrong
	reliefDone         // faultbox answers calls now, or lost is set
)

// install puts the filter on the calling thread, which is locked, and returns
// when its calls are answered. An error: there is no filter, or nobody to
// answer. handOver is called by another goroutine at the same time.
func (h *relief) install(prog []instruction) error {
	debug.SetGCPercent(-1)               // a collection would wait for this thread
	all, before := ^uint64(0), uint64(0) // a signal would have it scheduled
	setMask(&all, &before)
	syscall.Syscall(unix.SYS_GETPID, 0, 0, 0) // the next one has no sleeping monitor to wake
	h.listener, h.flags, h.err = install(prog)
	h.state.Store(reliefHas)
	h.sleep()
	setMask(&before, nil)
	return errors.Join(h.err, h.lost)
}

// handOver sends the listener to faultbox over socket fd, or why there is none,
// and waits for the word to go on.
func (h *relief) handOver(fd int) {
	for h.state.Load() == reliefWaits { // nobody may wake us
		time.Sleep(50 * time.Microsecond)
	}
	h.lost = h.send(fd)
	h.state.Store(reliefDone)
	syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&h.state)), futexWake, 1, 0, 0, 0)
}

func (h *relief) send(fd int) error {
	if h.err != nil {
		var errno syscall.Errno
		errors.As(h.err, &errno)
		unix.Write(fd, told(toldError, uint32(errno)))
		return nil
	}
	if err := unix.Sendmsg(fd, told(toldInstalled, h.flags), unix.UnixRights(int(h.listener)), nil, 0); err != nil {
		return err
	}
	unix.Close(int(h.listener))
	var ack [1]byte
	_, err := io.ReadFull(fdReader(fd), ack[:]) // EOF: faultbox died
	return err
}

// futex(2)'s operations, on memory of this process alone (FUTEX_PRIVATE_FLAG).
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

// sleep waits until the state is reliefDone.
//
//go:nosplit
func (h *relief) sleep() {
	for h.state.Load() == reliefHas {
		syscall.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&h.state)), futexWait, reliefHas, 0, 0, 0)
	}
}

// setMask sets the calling thread's mask of blocked signals (rt_sigprocmask(2));
// old, if not nil, is what it was.
//
//go:nosplit
func setMask(mask, old *uint64) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(mask)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}
