//go:build linux

package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// NetNS returns the network namespace of the calling thread.
func NetNS() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// Inside runs f in network namespace ns, on a thread of its own. What f starts
// is born there.
func Inside(ns *os.File, f func() error) error {
	if home, err := NetNS(); err == nil {
		defer home.Close()
		if sameFile(ns, home) { // entering it would take privileges
			return f()
		}
	}
	return Elsewhere(func() error { return Enter(ns) }, f)
}

func sameFile(f, g *os.File) bool {
	a, errA := f.Stat()
	b, errB := g.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Enter takes the calling thread, which is locked, to namespace ns.
func Enter(ns *os.File) error {
	raw, err := ns.SyscallConn()
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	var set error
	if raw.Control(func(fd uintptr) { set = unix.Setns(int(fd), unix.CLONE_NEWNET) }) != nil {
		return fmt.Errorf("enter network namespace: its world is closed: %w", net.ErrClosed)
	}
	return os.NewSyscallError("setns", set)
}

// Elsewhere runs enter, which takes the thread to another network namespace,
// and then f on a locked thread, and brings the thread home. A thread that
// cannot go home ends.
func Elsewhere(enter, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := NetNS()
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err = enter(); err == nil {
			err = f()
		}
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Dial connects from namespace ns to one of hosts, which are IP addresses, the
// first that can be reached. Its error is the first host's.
func Dial(ctx context.Context, ns *os.File, network string, hosts []string, port string) (conn net.Conn, err error) {
	var first error
	for _, h := range hosts {
		err = Inside(ns, func() (err error) {
			conn, err = new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(h, port))
			return err
		})
		if err == nil {
			return conn, nil
		}
		if first == nil {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}
