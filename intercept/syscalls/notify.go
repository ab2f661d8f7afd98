//go:build linux

package syscalls

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// notification is struct seccomp_notif (linux/seccomp.h).
type notification struct {
	id    uint64
	tid   uint32 // as this process's namespace numbers it; 0: not in it
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	val   int64
	err   int32 // negative errno
	flags uint32
}

const (
	ioctlRecv  = unix.SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend  = unix.SECCOMP_IOCTL_NOTIF_SEND
	ioctlValid = unix.SECCOMP_IOCTL_NOTIF_ID_VALID
	ioctlFlags = unix.SECCOMP_IOCTL_NOTIF_SET_FLAGS
)

// listener is the descriptor of a filter's notifications. Methods may be
// called from any thread; receive from one at a time.
type listener int

func (l listener) ioctl(request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(l), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// receive waits for a call and fills n. ENOENT: the caller died, or was
// interrupted, in between; or the last process with the filter is gone.
func (l listener) receive(n *notification) error {
	*n = notification{}
	return l.ioctl(ioctlRecv, unsafe.Pointer(n))
}

// send answers a call. ENOENT: nobody waits for the answer any more.
func (l listener) send(r response) error { return l.ioctl(ioctlSend, unsafe.Pointer(&r)) }

// pass lets a call happen.
func (l listener) pass(id uint64) error {
	return l.send(response{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE})
}

// valid reports whether the caller still waits: what was read of the process
// before was read of that process.
func (l listener) valid(id uint64) bool { return l.ioctl(ioctlValid, unsafe.Pointer(&id)) == nil }

// wakeSynchronously has the kernel hand the processor over with the call
// instead of waking a thread elsewhere (Linux 6.6).
func (l listener) wakeSynchronously() bool {
	_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(l), ioctlFlags, unix.SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP)
	return e == 0
}

// deserted reports whether the last process with the filter is gone.
func (l listener) deserted() bool {
	fds := []unix.PollFd{{Fd: int32(l)}}
	unix.Poll(fds, 0)
	return fds[0].Revents&(unix.POLLHUP|unix.POLLNVAL) != 0
}

// await waits until there is a call, or the last process is gone, and reports
// whether there is a call: without one receive would wait, before Linux 6.11 also
// for processes that are gone.
func (l listener) await() bool {
	fds := []unix.PollFd{{Fd: int32(l), Events: unix.POLLIN}}
	unix.Poll(fds, -1)
	return fds[0].Revents&unix.POLLIN != 0
}

// waitKillable is 0 in tests that play a kernel before Linux 5.19.
var waitKillable uintptr = unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

// install puts a filter on the calling thread and what it starts or executes,
// and returns the filter's listener and flags (installedBound …). Without the
// right to do so it gives up for good the privileges of setuid programs. Once
// the filter is in it makes no call, nor has Go's scheduler make one. The
// listener is closed by execve(2).
func install(prog []instruction) (l listener, told uint32, err error) {
	fprog := struct {
		n    uint16
		prog *instruction
	}{uint16(len(prog)), &prog[0]}
	flags := unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | waitKillable
	if waitKillable == 0 {
		told |= installedFragile
	}
	for {
		fd, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&fprog)))
		switch {
		case e == 0:
			return listener(fd), told, nil
		case e == unix.EACCES && told&installedBound == 0:
			if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
				return -1, 0, err
			}
			told |= installedBound
		case e == unix.EINVAL && flags&waitKillable != 0: // before Linux 5.19
			flags &^= waitKillable
			told |= installedFragile
		default:
			return -1, 0, e
		}
	}
}

// explain says what to do about an error of install.
func explain(err error) error {
	var e unix.Errno
	if !errors.As(err, &e) {
		return err
	}
	switch e {
	case unix.EBUSY:
		return &intercept.LacksError{What: "a seccomp listener watches this process already (EBUSY): the kernel allows one only; run faultbox outside of what watches it (a sandbox, a container manager with a seccomp agent)"}
	case unix.EINVAL, unix.ENOSYS:
		return &intercept.LacksError{What: "this kernel cannot notify of system calls: faults of system calls need Linux 5.5 with CONFIG_SECCOMP_FILTER"}
	}
	return err
}
