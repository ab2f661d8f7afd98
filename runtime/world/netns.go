//go:build linux

package world

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"faultbox/runtime/host"
)

// newNetNS makes a network namespace whose loopback is up, for IPv4 and IPv6.
// open lets everybody in it listen below port 1024: there is no root.
func newNetNS(open bool) (ns *os.File, err error) {
	err = host.Elsewhere(
		func() error { return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET)) },
		func() error {
			if err := loopbackUp(); err != nil {
				return err
			}
			if open { // where the kernel refuses, services hear of it
				os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0)
			}
			ns, err = host.NetNS()
			return err
		})
	if err != nil {
		return nil, fmt.Errorf("make network namespace: %w", err)
	}
	return ns, nil
}

// Alone makes a network namespace that this process has for itself fit to work
// in: its loopback is up.
func Alone() error { return loopbackUp() }

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
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	hosts := []string{name}
	if name == "localhost" || name == "" {
		hosts = []string{"127.0.0.1", "::1"}
	} else if _, err := netip.ParseAddr(name); err != nil {
		return nil, fmt.Errorf("dial %s: a world knows localhost and IP addresses only; local services share its loopback: use localhost:%s", address, port)
	}
	return host.Dial(ctx, ns, network, hosts, port)
}
