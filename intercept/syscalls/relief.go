//go:build linux

package syscalls

import (
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// relief is how two threads of the shim put a filter on the first of them. From
// then on any call of that thread may wait for an answer that comes only when
// the second, which has no filter, has handed the listener over. So the first
// makes none until then, and above all leaves Go's scheduler alone, which would
// wake or make threads in its name (futex, mmap, clone) with locks held that
// the second may need.
type relief struct {
	state atomic.Uint32 // of the states below, in this order

	// Written before the state that they belong to.
	listener listener
	flags    uint32
	err      error // installing failed
	lost     error // the listener could not be handed over
}

const (
	reliefAway  = iota // the second thread is not there yet
	reliefWaits        // it waits for the listener
	reliefHas          // it has the listener, or what went wrong
	reliefDone         // faultbox answers calls now, or lost is set
)

// newRelief makes room for two threads to run without Go's scheduler.
func newRelief() *relief {
	debug.SetGCPercent(-1) // a collection stops all threads
	if runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
	return &relief{}
}

// install puts the filter on the calling thread, which is locked, and returns
// when its calls are answered. An error: there is no filter, or nobody to
// answer.
func (h *relief) install(prog []instruction) error {
	for h.state.Load() != reliefWaits {
		time.Sleep(20 * time.Microsecond)
	}
	all, before := ^uint64(0), uint64(0) // no signal has the thread be scheduled
	setMask(&all, &before)
	h.listener, h.flags, h.err = install(prog)
	h.state.Store(reliefHas)
	h.sleep(reliefHas, 0)
	setMask(&before, nil)
	return errors.Join(h.err, h.lost)
}

// handOver sends the listener to faultbox over socket fd, or why there is none,
// and waits for the word to go on.
func (h *relief) handOver(fd int) {
	runtime.LockOSThread()
	h.state.Store(reliefWaits)
	h.sleep(reliefWaits, 100*time.Microsecond)
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

// sleep waits while the state is that one. Who makes no call can't wake the
// other: every tells how often to look; 0: not until woken. The thread keeps its
// place with Go's scheduler.
//
//go:nosplit
func (h *relief) sleep(state uint32, every time.Duration) {
	timeout := unix.Timespec{Nsec: int64(every)}
	var limit *unix.Timespec
	if every > 0 {
		limit = &timeout
	}
	for h.state.Load() == state {
		syscall.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&h.state)), futexWait, uintptr(state), uintptr(unsafe.Pointer(limit)), 0, 0)
	}
}

// setMask sets the calling thread's mask of blocked signals (rt_sigprocmask(2));
// old, if not nil, is what it was.
//
//go:nosplit
func setMask(mask, old *uint64) {
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(mask)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
}
