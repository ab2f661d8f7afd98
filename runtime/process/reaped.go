//go:build linux

package process

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/runtime"
)

// reapedTree is the processes of a service that has no cgroup: those below a
// reaper (see reaper.go).
type reapedTree struct {
	reaper *os.Process
	sock   *os.File

	ended chan struct{} // the first process has
	ws    syscall.WaitStatus
	gone  chan struct{} // the reaper is, and with it the last process

	mu      sync.Mutex // one command at a time
	replies chan struct{}
}

// startReaped starts a reaper, makes it known to the world and has it execute
// the command.
func (c *command) startReaped(exec *intercept.Exec, at birth, logs *logs) (tree, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket to the reaper: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "reaper"), os.NewFile(uintptr(fds[1]), "faultbox")
	defer far.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		near.Close()
		return nil, err
	}
	defer null.Close()
	attr := &os.ProcAttr{
		Dir: c.dir, Env: c.env, Sys: &syscall.SysProcAttr{Setsid: true},
		Files: append([]*os.File{null, logs.stdout, logs.stderr, far}, exec.Files...),
	}
	t := &reapedTree{sock: near, ended: make(chan struct{}), gone: make(chan struct{}), replies: make(chan struct{}, 1)}
	argv := append([]string{reaperName, strconv.Itoa(len(exec.Files)), exec.Path}, exec.Argv...)
	err = birthplace(at.ns, at.overlays, func() (err error) {
		t.reaper, err = os.StartProcess(self, argv, attr)
		return err
	})
	if err != nil {
		near.Close()
		return nil, c.explain(err)
	}
	if a, ok := at.world.(interface{ Adopt(pid int) error }); ok {
		err = a.Adopt(t.reaper.Pid)
	}
	if err == nil {
		err = t.send(cmdStart, 0)
	}
	var word uint32
	var what byte
	if err == nil {
		what, word, err = t.receive()
	}
	switch {
	case err == nil && what == toldStarted:
		go t.listen()
		return t, nil
	case err == nil:
		err = c.explain(syscall.Errno(word))
	default:
		err = fmt.Errorf("start service: %w", err)
	}
	near.Close()
	t.reaper.Wait()
	return nil, err
}

// asOurselves checks that a service without a cgroup, and so without root, is
// to run as the user that faultbox runs as.
func (c *command) asOurselves(s *runtime.Service) error {
	if c.cred == nil || int(c.cred.Uid) == os.Geteuid() && int(c.cred.Gid) == os.Getegid() {
		c.cred = nil
		return nil
	}
	return &runtime.LacksError{What: fmt.Sprintf("run %s as user %q: becoming another user needs root: run `sudo faultbox test …`", s.Name, s.User)}
}

// listen hears what the reaper tells.
func (t *reapedTree) listen() {
	defer close(t.gone)
	first := sync.OnceFunc(func() { close(t.ended) })
	defer first()
	t.ws = syscall.WaitStatus(unix.SIGKILL) // if the reaper is killed itself
	for {
		switch what, word, err := t.receive(); {
		case err != nil:
			t.reaper.Wait()
			return
		case what == toldEnded:
			t.ws = syscall.WaitStatus(word)
			first()
		case what == toldDone:
			t.replies <- struct{}{}
		}
	}
}

func (t *reapedTree) send(what byte, word uint32) error {
	return unix.Sendmsg(int(t.sock.Fd()), message(what, word), nil, nil, unix.MSG_NOSIGNAL)
}

func (t *reapedTree) receive() (what byte, word uint32, err error) { return receive(int(t.sock.Fd())) }

// do has the reaper do something, and waits until that is done or no process
// is left.
func (t *reapedTree) do(what byte, word uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.send(what, word) != nil {
		<-t.gone
		return
	}
	select {
	case <-t.replies:
	case <-t.gone:
	}
}

func (t *reapedTree) wait() (syscall.WaitStatus, error) {
	<-t.ended
	return t.ws, nil
}

func (t *reapedTree) empty(ctx context.Context) error {
	select {
	case <-t.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for processes below %d to die: %w", t.reaper.Pid, context.Cause(ctx))
	}
}

func (t *reapedTree) signal(sig syscall.Signal) { t.do(cmdSignal, uint32(sig)) }

func (t *reapedTree) pause() (thaw func() error, err error) {
	t.do(cmdStop, 0)
	return sync.OnceValue(func() error {
		t.do(cmdContinue, 0)
		return nil
	}), nil
}

func (t *reapedTree) kill(ctx context.Context) error {
	go t.do(cmdKill, 0)
	return t.empty(ctx)
}

func (t *reapedTree) end(ctx context.Context) error {
	if err := t.kill(ctx); err != nil {
		return err
	}
	t.sock.Close()
	return nil
}

func (t *reapedTree) abort() { t.end(context.Background()) }
