//go:build linux

package syscalls

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Interceptor watches the system calls of programs that are yet to be started.
// It is safe for concurrent use.
type Interceptor struct {
	// Deny are calls that the kernel itself fails, with these errnos, from the
	// program's first instruction on: nobody sees or counts them.
	Deny map[string]int

	keeper keeper
}

// New returns an interceptor of system calls.
func New() *Interceptor { return &Interceptor{} }

// Supported returns nil, or an *intercept.LacksError: this kernel lacks something, or
// faultbox itself is watched so that it cannot watch others.
func (i *Interceptor) Supported() error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread, filter and all, ends with the goroutine
		l, _, err := install([]instruction{ret(giveAllow)})
		if err == nil {
			unix.Close(int(l))
		} else {
			err = explain(err)
		}
		done <- err
	}()
	return <-done
}

// Close lets go of what the attachments shared.
func (i *Interceptor) Close() error { return i.keeper.close() }

// startTimeout bounds how long the shim may take to report.
const startTimeout = 30 * time.Second

// Attach puts the shim in front of t.Exec. The watch begins when the program
// executes, which t.Exec.Started waits for.
func (i *Interceptor) Attach(_ context.Context, t intercept.Target, h intercept.Handler) (intercept.Attachment, error) {
	if t.Exec == nil {
		return nil, &intercept.LacksError{What: fmt.Sprintf("watch the system calls of %s: this build can do that to local programs only, not to containers", t.Name)}
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the shim: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "faultbox")
	if err := writeProgram(fdWriter(fds[0]), plan{watch: callsOf(t), deny: i.Deny}.program()); err != nil {
		near.Close()
		far.Close()
		return nil, fmt.Errorf("send the filter to the shim: %w", err)
	}
	a := &attachment{interceptor: i, target: t, handler: scout(h), connections: t.Exec.Connections, outputs: t.Exec.Outputs, sock: near}
	e := t.Exec
	e.Argv = append([]string{shimName, strconv.Itoa(3 + len(e.Files)), e.Path}, e.Argv...)
	e.Path, e.Files, e.Started = self, append(e.Files, far), a.started
	return a, nil
}

// callsOf returns the calls that the supervisor is to see.
func callsOf(t intercept.Target) []string {
	if t.Exec.Connections == nil {
		return t.Calls
	}
	return append([]string{"connect", "getpeername"}, t.Calls...)
}

type fdWriter int

func (w fdWriter) Write(p []byte) (int, error) { return unix.Write(int(w), p) }

// attachment is one service's.
type attachment struct {
	interceptor *Interceptor
	target      intercept.Target
	handler     intercept.Scout
	connections intercept.Connections
	outputs     []string
	sock        *os.File
	executes    atomic.Bool
	supervisor  atomic.Pointer[supervisor]
}

// Update does nothing: peers are named as they were when the service started.
func (a *attachment) Update([]intercept.Peer) error { return nil }

// Close ends the watch: from now on every call happens. It does not wait for
// processes that still live.
func (a *attachment) Close() error {
	if s := a.supervisor.Swap(nil); s != nil {
		s.close()
	}
	return a.sock.Close()
}

// Release lets calls that are delayed go on at once, as decided.
func (a *attachment) Release() {
	if s := a.supervisor.Load(); s != nil {
		s.release(s.act)
	}
}

// started takes the listener from the shim and waits for the program to execute.
func (a *attachment) started() error {
	fd := int(a.sock.Fd())
	deadline := unix.NsecToTimeval(startTimeout.Nanoseconds())
	unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &deadline)
	l, flags, err := receiveListener(fd)
	if err != nil {
		return err
	}
	s, err := a.supervise(l, flags)
	if err != nil {
		unix.Close(int(l))
		return err
	}
	a.supervisor.Store(s)
	if _, err := unix.Write(fd, []byte{0}); err != nil {
		return fmt.Errorf("let the shim go on: %w", err)
	}
	what, word, err := hear(fd)
	switch {
	case err != nil:
		return err
	case what == toldExec:
		return syscall.Errno(word)
	}
	a.executes.Store(true)
	return nil
}

// receiveListener takes the listener of the filter that the shim has installed.
func receiveListener(fd int) (listener, uint32, error) {
	var b [5]byte
	oob := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	err := error(unix.EINTR)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(fd, b[:], oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, 0, fmt.Errorf("hear of the shim: %w", err)
	}
	if n != len(b) {
		return -1, 0, errors.New("the shim ended before it had the program executed")
	}
	word := binary.NativeEndian.Uint32(b[1:])
	if b[0] == toldError {
		return -1, 0, fmt.Errorf("watch system calls: %w", explain(syscall.Errno(word)))
	}
	fds, err := rights(oob[:oobn])
	if err != nil || len(fds) != 1 {
		return -1, 0, fmt.Errorf("take the listener: %w", err)
	}
	return listener(fds[0]), word, nil
}

// hear reads what the shim tells after it was let go; 0: it has become the program.
func hear(fd int) (what byte, word uint32, err error) {
	var b [5]byte
	n, err := fdReader(fd).Read(b[:])
	switch {
	case n == len(b):
		return b[0], binary.NativeEndian.Uint32(b[1:]), nil
	case errors.Is(err, io.EOF):
		return 0, 0, nil
	}
	return 0, 0, fmt.Errorf("wait for the program to execute: %w", err)
}

// supervise begins to answer.
func (a *attachment) supervise(l listener, flags uint32) (*supervisor, error) {
	arena, err := newArena()
	if err != nil {
		return nil, err
	}
	if err := a.interceptor.keeper.hold(l, arena); err != nil {
		arena.close()
		return nil, err
	}
	l.wakeSynchronously()
	s := &supervisor{
		name: a.target.Name, handler: a.handler, known: a.target.Known, cgroup: a.target.Cgroup,
		connections: a.connections, peersMatter: len(a.target.Calls) > 0, l: l, arena: arena, poll: between(6, 6, 6, 11),
		fragile: flags&installedFragile != 0, bound: flags&installedBound != 0,
		begun: a.begun, done: make(chan struct{}),
		pending: make(map[*verdict]struct{}), peers: make(map[string]netAddr), open: make(map[uint32]*verdict),
		outputs: a.outputs, unlinked: make(map[string]time.Time),
	}
	s.idle.L = &s.mu
	go s.run()
	return s, nil
}

// begun reports whether the shim has become the program: the kernel then has
// closed its end of the socket, before the program's first call.
func (a *attachment) begun() bool {
	if a.executes.Load() {
		return true
	}
	var b [1]byte
	n, _, err := unix.Recvfrom(int(a.sock.Fd()), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	return n == 0 && err == nil
}

// between reports whether the kernel is of a version from one up to another.
func between(major, minor, toMajor, toMinor int) bool {
	var u unix.Utsname
	unix.Uname(&u)
	a, rest, _ := strings.Cut(unix.ByteSliceToString(u.Release[:]), ".")
	b, _, _ := strings.Cut(rest, ".")
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(strings.TrimRightFunc(b, func(r rune) bool { return r < '0' || r > '9' }))
	v := x<<16 | y
	return v >= major<<16|minor && v < toMajor<<16|toMinor
}

// scout makes a Scout of a handler that is none: it wants to know everything.
func scout(h intercept.Handler) intercept.Scout {
	if s, ok := h.(intercept.Scout); ok {
		return s
	}
	return curious{h}
}

type curious struct{ intercept.Handler }

func (curious) Needs(*intercept.Event) intercept.Needs {
	return intercept.NeedsCall | intercept.NeedsFile | intercept.NeedsPeer | intercept.NeedsProcess
}

func (curious) Folders(*intercept.Event) []string { return nil }

func (curious) LiesAbout(*intercept.Event, *protocols.Item) bool { return false }
