package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"faultbox/runtime/world"
)

// asHelper tells a faultbox that another started in a user namespace: to probe
// what it may do there, or to do everything there.
const asHelper = "FAULTBOX_IN_NAMESPACE"

// helper answers a probe, and does not return, if this process was started for that.
func helper() {
	if os.Getenv(asHelper) != "probe" {
		return
	}
	err := world.Alone()
	if err == nil {
		err = world.New(world.Options{NoCgroups: true}).Supported()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// look finds out what this process may do.
func look(host bool) means {
	m := means{host: host}
	powerful := capable(unix.CAP_SYS_ADMIN) && capable(unix.CAP_NET_ADMIN)
	ids, _ := os.ReadFile("/proc/self/uid_map")
	initial := strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
	m.root = powerful && initial
	m.inside = powerful && !initial
	if m.root || m.inside || m.host {
		return m
	}
	if out, err := inUserNamespace("probe").CombinedOutput(); err != nil {
		if len(out) > 0 {
			err = errors.New(strings.TrimSpace(string(out)))
		}
		m.userNS = forbidden(err)
	}
	return m
}

// forbidden says what forbids user namespaces, and how to allow them.
func forbidden(err error) error {
	for _, rule := range []struct{ name, value, allows string }{
		{"user.max_user_namespaces", "0", "1000"},
		{"kernel.unprivileged_userns_clone", "0", "1"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	} {
		value, _ := os.ReadFile("/proc/sys/" + strings.ReplaceAll(rule.name, ".", "/"))
		if strings.TrimSpace(string(value)) == rule.value {
			return fmt.Errorf("%s is %s; `sudo sysctl %s=%s` allows them", rule.name, rule.value, rule.name, rule.allows)
		}
	}
	return err
}

func capable(bit uint) bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&hdr, &data[0]) == nil && data[bit/32].Effective&(1<<(bit%32)) != 0
}

// inUserNamespace is this program in a user namespace and a network namespace
// of its own, where it is the same user and may do what root may: see
// user_namespaces(7). What it starts must not inherit that (PR_CAP_AMBIENT).
func inUserNamespace(what string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), asHelper+"="+what)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_PTRACE},
		Setpgid:     true, // signals of the terminal come by way of us, once
		Pdeathsig:   unix.SIGTERM,
	}
	return cmd
}

// enterNamespace does in a user namespace all that this process was to do. The
// error is its exit code.
func enterNamespace() error {
	goruntime.LockOSThread() // Pdeathsig is about the thread
	defer goruntime.UnlockOSThread()
	signals := make(chan os.Signal, 8)
	signal.Reset(unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT)
	cmd := inUserNamespace("all")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("enter a user namespace: %w", err)
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	cmd.Wait() // how it went is in the state
	ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		fmt.Fprintf(os.Stderr, "faultbox: killed by %s: services may live on; the next run ends them\n", unix.SignalName(ws.Signal()))
		return exitCode(128 + int(ws.Signal()))
	}
	return exitCode(ws.ExitStatus())
}

// settleIn makes the user namespace that this process is in a place to work.
func settleIn() error {
	os.Unsetenv(asHelper)
	return world.Alone()
}
