//go:build linux

package dockertest

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	goruntime "runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// marker tells a test binary what stage it is in.
const marker = "FAULTBOX_DOCKERTEST"

// lacks says why there can be no engine; "" if there can.
func lacks() string {
	if os.Geteuid() != 0 {
		return "needs root: a Docker engine of its own"
	}
	for _, program := range []string{"dockerd", "docker", "containerd", "runc", "iptables"} {
		if _, err := exec.LookPath(program); err != nil {
			return "needs " + program + ": apt-get install docker.io iptables"
		}
	}
	return ""
}

// The stages of a test binary: the value of marker says which one it is in.
const (
	stageInit    = "init" // the first process of its namespaces
	stageTests   = "tests"
	stageSystemd = "systemd" // about to become it
	stageUnder   = "under"   // tests whose first process is systemd
)

// Main runs the tests of a package and exits. Without root, or without Docker,
// they run as they are, and those that need an engine are skipped.
func Main(m *testing.M) {
	switch stage := os.Getenv(marker); {
	case stage == stageSystemd:
		complain(becomeSystemd())
	case lacks() != "":
		os.Exit(m.Run())
	case stage == "":
		os.Exit(again(stageInit, syscall.CLONE_NEWNET|syscall.CLONE_NEWNS|syscall.CLONE_NEWPID))
	case stage == stageInit:
		os.Exit(again(stageTests, 0))
	}
	if err := settle(); err != nil {
		complain(err)
	}
	code := m.Run()
	if err := stop(); err != nil {
		complain(err)
	}
	os.Exit(code)
}

func complain(err error) {
	fmt.Fprintf(os.Stderr, "dockertest: %s\n", err)
	os.Exit(1)
}

// again runs this binary again, in a further stage and in new namespaces, and
// returns its exit code. When the first process of a PID namespace ends, so
// does all that it started.
func again(stage string, namespaces uintptr) int {
	self, err := os.Executable()
	if err != nil {
		complain(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), marker+"="+stage)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: syscall.SIGKILL}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	goruntime.LockOSThread() // Pdeathsig is about the thread
	if err := cmd.Start(); err != nil {
		complain(fmt.Errorf("make namespaces: %w", err))
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	// It may be the first process of its namespace, with the orphans of others to
	// reap: wait for whoever ends.
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			complain(fmt.Errorf("wait for the tests: %w", err))
		case pid == cmd.Process.Pid && status.Signaled():
			return 128 + int(status.Signal())
		case pid == cmd.Process.Pid:
			return status.ExitStatus()
		}
	}
}

// settle gives the new namespaces what programs expect of them. What runs on
// this machine is out of sight: /run is empty.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if os.Getenv(marker) != stageUnder { // systemd has its own
		if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount /run: %w", err)
		}
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, out)
	}
	return serveNames()
}
