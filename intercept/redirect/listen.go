//go:build linux

package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// door is what an attachment has in its target's network namespace.
type door struct {
	netns     uint64         // cookie: unlike an inode never used again
	port      uint16         // of the listeners
	listeners []net.Listener // 127.0.0.1 and, where there is IPv6, [::1]
}

// Listeners take a port below 1024, which no client is given as its source.
// They search downwards from the top of a range that no service is known by.
const highestPort, lowestPort = 846, 512

// Who may not listen there listens above what clients are given by default,
// ip_local_port_range.
const highestOpenPort, lowestOpenPort = 65535, 61000

func openDoor(ctx context.Context, ns *os.File) (*door, error) {
	d := &door{}
	err := inside(ns, func() (err error) {
		if err = d.listen(ctx); err == nil {
			err = d.identify()
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *door) listen(ctx context.Context) error {
	err := d.listenWithin(ctx, lowestPort, highestPort)
	if errors.Is(err, syscall.EACCES) {
		err = d.listenWithin(ctx, lowestOpenPort, highestOpenPort)
	}
	return err
}

func (d *door) listenWithin(ctx context.Context, lowest, highest uint16) error {
	for port := highest; port >= lowest; port-- {
		err := d.listenOn(ctx, port)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		d.close()
	}
	return fmt.Errorf("listen on 127.0.0.1: every port from %d to %d is taken", lowest, highest)
}

func (d *door) listenOn(ctx context.Context, port uint16) error {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	d.port, d.listeners = port, nil
	for _, ip := range []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()} {
		l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(ip, port).String())
		if err != nil && ip.Is6() && (errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT)) {
			return nil // a namespace without IPv6
		}
		if err != nil {
			return err
		}
		d.listeners = append(d.listeners, l)
	}
	return nil
}

func (d *door) ipv6() bool { return len(d.listeners) > 1 }

// identify reads the namespace's cookie off the listener, and its addresses.
func (d *door) identify() error {
	raw, err := d.listeners[0].(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var cookieErr error
	err = raw.Control(func(fd uintptr) {
		d.netns, cookieErr = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	})
	if err = errors.Join(err, cookieErr); err != nil {
		return fmt.Errorf("read cookie of network namespace: %w", err)
	}
	return nil
}

// readAddrs returns the addresses of ns, but for loopback and link-local IPv6.
func readAddrs(ns *os.File) (map[netip.Addr]bool, error) {
	addrs := map[netip.Addr]bool{}
	err := inside(ns, func() error {
		all, err := net.InterfaceAddrs()
		if err != nil {
			return fmt.Errorf("read addresses of network namespace: %w", err)
		}
		for _, a := range all {
			p, err := netip.ParsePrefix(a.String())
			if ip := p.Addr().Unmap(); err == nil && !ip.IsLoopback() && !(ip.Is6() && ip.IsLinkLocalUnicast()) {
				addrs[ip] = true
			}
		}
		return nil
	})
	return addrs, err
}

func (d *door) close() error {
	var errs []error
	for _, l := range d.listeners {
		errs = append(errs, l.Close())
	}
	d.listeners = nil
	return errors.Join(errs...)
}
