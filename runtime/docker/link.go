//go:build linux

package docker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"faultbox/runtime/host"
)

// removeBridge removes a bridge that is still there although its network is
// not: Podman leaves one that others than its containers are on. See
// netdevice(7) and the kernel's documentation of bridges.
func removeBridge(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	defer unix.Close(fd)
	link, err := unix.NewIfreq(name)
	if err != nil {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	if err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, link); err == nil {
		link.SetUint16(link.Uint16() &^ unix.IFF_UP)
		if err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, link); err == nil {
			err = unix.IoctlIfreq(fd, unix.SIOCBRDELBR, link)
		}
	}
	if err != nil && !errors.Is(err, unix.ENODEV) && !errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("remove bridge %s: %w", name, err)
	}
	return nil
}

// announce tells the hosts of a container's networks what MAC address it has
// now, as Docker does: under Podman a container that is started again has
// another one, and who remembers the first would not reach it for a while.
func announce(ns *os.File) error {
	err := host.Inside(ns, func() error {
		links, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, link := range links {
			addrs, _ := link.Addrs()
			for _, a := range addrs {
				if n, ok := a.(*net.IPNet); ok && len(link.HardwareAddr) == 6 && n.IP.To4() != nil {
					err = errors.Join(err, gratuitous(link, n.IP.To4()))
				}
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("announce the container on its network: %w", err)
	}
	return nil
}

// gratuitous sends an ARP announcement: RFC 5227, section 2.3.
func gratuitous(link net.Interface, ip net.IP) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	packet := []byte{0, 1, 8, 0, 6, 4, 0, 1} // Ethernet, IPv4, their lengths; a request
	for range 2 {                            // sender, target
		packet = append(append(packet, link.HardwareAddr...), ip...)
	}
	to := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{8, 6}), Ifindex: link.Index, Halen: 6}
	copy(to.Addr[:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	return os.NewSyscallError("sendto", unix.Sendto(fd, packet, 0, to))
}
