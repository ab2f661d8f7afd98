//go:build linux

package process

import (
	"fmt"
	"os"
	goruntime "runtime"

	"golang.org/x/sys/unix"

	"faultbox/runtime"
)

// hostsOf returns the file that services of a world are to see as /etc/hosts;
// "" for the machine's own. A world where services find each other by name has
// such a file.
func hostsOf(w runtime.World) string {
	if h, ok := w.(interface{ Hosts() string }); ok {
		return h.Hosts()
	}
	return ""
}

// birthplace runs f where a service is to be born: in network namespace ns and,
// if hosts is a file, where that is /etc/hosts.
func birthplace(ns *os.File, hosts string, f func() error) error {
	if hosts == "" {
		return inside(ns, f)
	}
	done := make(chan error, 1)
	go func() {
		goruntime.LockOSThread() // for good: the thread ends with the goroutine
		err := os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET))
		if err == nil {
			err = mountHosts(hosts)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// mountHosts gives the thread a mount namespace of its own, mount_namespaces(7).
func mountHosts(hosts string) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("make mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount(hosts, "/etc/hosts", "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount hosts file: %w", err)
	}
	return nil
}
