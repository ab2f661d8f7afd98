//go:build linux

package docker

import (
	"context"
	"net"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"
)

// inside runs f on a locked thread in network namespace ns and brings the
// thread home; one that cannot go home ends.
func inside(ns *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			goruntime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		if err = os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)); err == nil {
			err = f()
		}
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			goruntime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// dialInside connects from namespace ns to an address whose host is an IP.
func dialInside(ctx context.Context, ns *os.File, network, address string) (conn net.Conn, err error) {
	err = inside(ns, func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
