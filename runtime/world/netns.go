//go:build linux

package world

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// openNetNS returns the network namespace of the calling thread.
func openNetNS() (*os.File, error) { return os.Open("/proc/thread-self/ns/net") }

// elsewhere runs enter and then f on a locked thread, and brings the thread
// home. A thread that cannot go home ends.
func elsewhere(enter, f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		home, err := openNetNS()
		if err != nil {
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err = enter(); err == nil {
			err = f()
		}
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			goruntime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// inside runs f on a thread in namespace ns.
func inside(ns *os.File, f func() error) error {
	return elsewhere(func() error {
		raw, err := ns.SyscallConn()
		if err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		var set error
		if raw.Control(func(fd uintptr) { set = unix.Setns(int(fd), unix.CLONE_NEWNET) }) != nil {
			return fmt.Errorf("enter network namespace: the world is closed: %w", net.ErrClosed)
		}
		return os.NewSyscallError("setns", set)
	}, f)
}

// newNetNS makes a network namespace whose loopback is up, for IPv4 and IPv6.
func newNetNS() (ns *os.File, err error) {
	err = elsewhere(
		func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) },
		func() error {
			if err := loopbackUp(); err != nil {
				return err
			}
			ns, err = openNetNS()
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return ns, nil
}

// loopbackUp sets lo up in the thread's namespace (netdevice(7)); the kernel
// then gives it 127.0.0.1 and ::1.
func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	return os.NewSyscallError("set lo up", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr))
}

// dialInside connects from namespace ns. The host is an IP address or
// localhost, which stands for 127.0.0.1, then ::1.
func dialInside(ctx context.Context, ns *os.File, network, address string) (conn net.Conn, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	hosts := []string{host}
	if host == "localhost" || host == "" {
		hosts = []string{"127.0.0.1", "::1"}
	} else if _, err := netip.ParseAddr(host); err != nil {
		return nil, fmt.Errorf("dial %s: a world knows localhost and IP addresses only; local services share its loopback: use localhost:%s", address, port)
	}
	var first error
	for _, h := range hosts {
		err = inside(ns, func() (err error) {
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
