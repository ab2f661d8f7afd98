//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keeper is a small process that holds every listener too. If faultbox dies,
// it answers the calls in its place (they all happen), so that no service
// freezes or breaks; it ends with the last of them.
type keeper struct {
	mu   sync.Mutex
	sock *os.File
	cmd  *exec.Cmd
}

// hold has the keeper, started if need be, hold a listener and its arena.
func (k *keeper) hold(l listener, a *arena) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sock == nil {
		if err := k.start(); err != nil {
			return fmt.Errorf("start the keeper of system calls: %w", err)
		}
	}
	fd := int(k.sock.Fd())
	err := unix.Sendmsg(fd, []byte{0}, unix.UnixRights(int(l), int(a.file.Fd())), nil, unix.MSG_NOSIGNAL)
	if err == nil {
		var ack [1]byte
		_, err = fdReader(fd).Read(ack[:])
	}
	if err != nil {
		return fmt.Errorf("hand a listener to the keeper of system calls: %w", err)
	}
	return nil
}

func (k *keeper) start() error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	far := os.NewFile(uintptr(fds[1]), "keeper")
	defer far.Close()
	k.sock = os.NewFile(uintptr(fds[0]), "keeper")
	k.cmd = &exec.Cmd{Path: self, Args: []string{keeperName}, Dir: "/", ExtraFiles: []*os.File{far}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := k.cmd.Start(); err != nil {
		k.sock.Close()
		k.sock = nil
		return err
	}
	return nil
}

// goodbye is how long close waits for the keeper to end.
const goodbye = time.Second

// close lets the keeper go: it answers for what still lives, and ends. When
// nothing does it has ended with close, and is not left behind.
func (k *keeper) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sock == nil {
		return nil
	}
	k.sock.Close()
	k.sock = nil
	ended := make(chan struct{})
	go func() {
		k.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(goodbye):
	}
	return nil
}

// kept is what the keeper holds of one service.
type kept struct {
	l listener
	a *arena
}

// keep is the keeper's work: fd is its socket to faultbox.
func keep(fd int) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGPIPE)
	var all []kept
	for {
		k, ok := receiveKept(fd)
		if !ok {
			break
		}
		live := all[:0]
		for _, old := range all {
			if old.l.deserted() {
				unix.Close(int(old.l))
				old.a.close()
				continue
			}
			live = append(live, old)
		}
		all = append(live, k)
		unix.Write(fd, []byte{0})
	}
	var wg sync.WaitGroup
	for _, k := range all {
		wg.Go(k.answer)
	}
	wg.Wait()
}

func receiveKept(fd int) (kept, bool) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(2*4))
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, b[:], oob, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return kept{}, false
		}
		fds, err := rights(oob[:oobn])
		if err != nil || len(fds) != 2 {
			return kept{}, false
		}
		a, err := openArena(os.NewFile(uintptr(fds[1]), "calls"))
		return kept{listener(fds[0]), a}, err == nil
	}
}

// rights returns the descriptors that came along with a message.
func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return nil, fmt.Errorf("no descriptor came along: %w", err)
	}
	return unix.ParseUnixRights(&msgs[0])
}

// answer lets every call happen: first those that faultbox had been given when
// it died, then all to come.
func (k kept) answer() {
	for _, id := range k.a.waiting() {
		k.l.pass(id)
	}
	var n notification
	for !k.l.deserted() {
		if k.l.await() && k.l.receive(&n) == nil {
			k.l.pass(n.id)
		}
	}
}
