//go:build linux

package dockertest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// marker tells a test binary that it has its namespaces.
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

// Main runs the tests of a package and exits. Without root, or without Docker,
// they run as they are, and those that need an engine are skipped.
func Main(m *testing.M) {
	switch {
	case lacks() != "":
		os.Exit(m.Run())
	case os.Getenv(marker) == "":
		os.Exit(again())
	}
	if err := settle(); err != nil {
		fmt.Fprintf(os.Stderr, "dockertest: %s\n", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stop(); err != nil {
		fmt.Fprintf(os.Stderr, "dockertest: %s\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// again runs this binary again in new namespaces, of which it is the first
// process: when it ends, so does all that it started.
func again() int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintf(os.Stderr, "dockertest: %s\n", err)
		return 1
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), marker+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT)
	if err := cmd.Start(); err != nil {
		fmt.Fprintf(os.Stderr, "dockertest: make namespaces: %s\n", err)
		return 1
	}
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(os.Stderr, "dockertest: %s\n", err)
		return 1
	}
	return max(cmd.ProcessState.ExitCode(), 0)
}

// settle gives the new namespaces what programs expect of them.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount proc: %w", err)
	}
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("set lo up: %w: %s", err, out)
	}
	return serveNames()
}
