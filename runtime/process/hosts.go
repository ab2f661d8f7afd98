//go:build linux

package process

import (
	"errors"
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// hostsOf returns the file that services of a world see as /etc/hosts. A world
// where services find each other by name has one.
func hostsOf(w runtime.World) []overlay {
	if h, ok := w.(interface{ Hosts() string }); ok && h.Hosts() != "" {
		return []overlay{{h.Hosts(), "/etc/hosts"}}
	}
	return nil
}

// birthplace runs f where a service is to be born: in network namespace ns and
// where it sees the overlays, if there are any.
func birthplace(ns *os.File, overlays []overlay, f func() error) error {
	if len(overlays) == 0 {
		return host.Inside(ns, f)
	}
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // for good: the thread ends with the goroutine
		err := host.Enter(ns)
		if err == nil {
			err = mount(overlays)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// mount gives the thread a mount namespace of its own, mount_namespaces(7), with
// the overlays in it.
func mount(overlays []overlay) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	switch err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); {
	case errors.Is(err, unix.EINVAL):
		return errors.New("make mounts private: / is not a mount point, as in a chroot: `mount --bind DIR DIR` before `chroot DIR` makes it one")
	case err != nil:
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, o := range overlays {
		if err := unix.Mount(o.file, o.at, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", o.file, o.at, err)
		}
	}
	return nil
}
