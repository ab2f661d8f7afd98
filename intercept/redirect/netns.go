//go:build linux

package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// home is the network namespace that this process lives in.
var home = sync.OnceValues(func() (*os.File, error) { return os.Open("/proc/self/ns/net") })

// visit is a stay of the calling goroutine, on a thread of its own, in another
// network namespace. A socket belongs to the namespace it was created in, for
// good. A goroutine that fails to leave stays locked; it must end, and the
// thread ends with it.
type visit struct{ left bool }

func enter(ns *os.File) (*visit, error) {
	h, err := home()
	if err != nil {
		return nil, fmt.Errorf("open own network namespace: %w", err)
	}
	if sameFile(ns, h) { // entering it would take privileges
		return &visit{left: true}, nil
	}
	runtime.LockOSThread()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("enter network namespace %s: %w", ns.Name(), err)
	}
	return &visit{}, nil
}

func sameFile(f, g *os.File) bool {
	a, errA := f.Stat()
	b, errB := g.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func (v *visit) leave() error {
	if v.left {
		return nil
	}
	h, _ := home()
	if err := unix.Setns(int(h.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("leave network namespace: %w", err)
	}
	v.left = true
	runtime.UnlockOSThread()
	return nil
}

// inside calls f on a thread that is in ns.
func inside(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		v, err := enter(ns)
		if err == nil {
			err = errors.Join(f(), v.leave())
		}
		done <- err
	}()
	return <-done
}

// Dial connects from inside the network namespace ns to an address whose host
// is an IP literal. The connection belongs to the caller.
func Dial(ctx context.Context, ns *os.File, network, address string) (net.Conn, error) {
	return dial(ctx, ns, network, address, net.Dialer{})
}

// dial is Dial with the options of d, whose Control it takes over: what d asks
// for is done to the new socket at home.
func dial(ctx context.Context, ns *os.File, network, address string, d net.Dialer) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial %s: not an IP address and port", address)
	}
	d.SetMultipathTCP(false)
	if h, err := home(); err == nil && sameFile(ns, h) {
		return d.DialContext(ctx, network, address)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err = dialOut(ctx, ns, network, address, d)
	}()
	<-done
	if !errors.Is(err, errSecondSocket) {
		return conn, err
	}
	err = inside(ns, func() error {
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// errSecondSocket: package net wants to try again with another socket, as it
// does when it connected to itself (nobody listens, and the kernel chose the
// port dialled as source) or ran out of ports.
var errSecondSocket = errors.New("second socket")

// dialOut is in the namespace no longer than it takes to create the socket, so
// that no thread is held while the connection is made.
func dialOut(ctx context.Context, ns *os.File, network, address string, d net.Dialer) (net.Conn, error) {
	v, err := enter(ns)
	if err != nil {
		return nil, err
	}
	control := d.Control
	d.Control = func(network, address string, c syscall.RawConn) error {
		if v.left {
			return errSecondSocket
		}
		if err := v.leave(); err != nil || control == nil {
			return err
		}
		return control(network, address, c)
	}
	conn, err := d.DialContext(ctx, network, address)
	if leaveErr := v.leave(); leaveErr != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, errors.Join(err, leaveErr)
	}
	return conn, err
}
