//go:build linux

package world

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"faultbox/runtime/host"
)

// Join makes namespace ns a host of a network: a virtual cable (veth(4)) from
// its eth0 to a bridge of the machine's own namespace. It has address there, and
// reaches everything else by way of gateway. Closing the world takes it away.
func Join(ns *os.File, bridge string, address netip.Prefix, gateway netip.Addr) error {
	br, err := netlink.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find bridge %s: %w", bridge, err)
	}
	name := "fbx" + strings.ToLower(rand.Text()[:10])
	cable := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: name, MasterIndex: br.Attrs().Index, Flags: net.FlagUp, MTU: br.Attrs().MTU},
		PeerName:      "eth0",
		PeerNamespace: netlink.NsFd(ns.Fd()),
	}
	if err := netlink.LinkAdd(cable); err != nil {
		return fmt.Errorf("lay cable to bridge %s: %w", bridge, err)
	}
	if err := netlink.LinkSetUp(cable); err != nil {
		return fmt.Errorf("lay cable to bridge %s: %w", bridge, err)
	}
	h, err := netlink.NewHandleAt(netns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		return fmt.Errorf("find eth0: %w", err)
	}
	at := &netlink.Addr{IPNet: &net.IPNet{IP: address.Addr().AsSlice(), Mask: net.CIDRMask(address.Bits(), 32)}}
	if err := h.AddrAdd(eth, at); err != nil {
		return fmt.Errorf("set address %s: %w", address, err)
	}
	if err := h.LinkSetUp(eth); err != nil {
		return fmt.Errorf("set eth0 up: %w", err)
	}
	if err := h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Gw: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("set route by way of %s: %w", gateway, err)
	}
	return nil
}

// unplug ends what keeps a namespace without processes alive, and with it what
// others see of it: its cables, and TCP connections with data that nobody
// acknowledges. The kernel sends that again for as long as net.ipv4.tcp_orphan_retries
// says, by default two minutes.
func unplug(ns *os.File) error {
	err := host.Inside(ns, func() error {
		// Where it is read-only, the kernel takes its time.
		os.WriteFile("/proc/sys/net/ipv4/tcp_orphan_retries", []byte("1"), 0)
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		var errs []error
		for _, link := range links {
			if cable, ok := link.(*netlink.Veth); ok {
				errs = append(errs, netlink.LinkDel(cable))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("remove cables of a network namespace: %w", err)
	}
	return nil
}
