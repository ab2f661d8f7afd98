//go:build linux

package world

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"faultbox/runtime/host"
)

// TestUnplug closes a world with a connection whose last bytes nobody will ever
// acknowledge: its cable goes at once, not when the kernel gives up.
func TestUnplug(t *testing.T) {
	w := make1(t, needWorlds(t, Options{}), "unplug")
	unshare := func() error { return unix.Unshare(unix.CLONE_NEWNET) }
	err := host.Elsewhere(unshare, func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "shop"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		at, err := netlink.ParseAddr("10.1.2.1/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(bridge, at); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(bridge); err != nil {
			return err
		}
		if err := Join(w.NetNS(), "shop", netip.MustParsePrefix("10.1.2.2/24"), netip.MustParseAddr("10.1.2.1")); err != nil {
			return err
		}
		l, err := net.Listen("tcp", "10.1.2.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		conn, err := w.Dial(context.Background(), "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		if err := netlink.LinkSetDown(bridge); err != nil {
			return err
		}
		if _, err := conn.Write([]byte("lost")); err != nil {
			return err
		}
		conn.Close()
		if err := w.Close(); err != nil {
			return err
		}
		links, err := netlink.LinkList()
		for _, link := range links {
			if name := link.Attrs().Name; strings.HasPrefix(name, "fbx") {
				t.Errorf("left behind: %s", name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
