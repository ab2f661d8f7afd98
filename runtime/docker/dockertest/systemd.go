//go:build linux

package dockertest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// systemd is where Debian and its kin have it.
const systemd = "/lib/systemd/systemd"

// units is the folder of what systemd is to run.
const units = "FAULTBOX_DOCKERTEST_UNITS"

// UnderSystemd runs the test again where systemd is the first process, and
// cgroups are of version 2 only: there the engine has systemd make its cgroups.
// It reports whether this is there.
func UnderSystemd(t *testing.T) bool {
	t.Helper()
	if os.Getenv(marker) == stageUnder {
		return true
	}
	if _, err := os.Stat(systemd); err != nil {
		t.Skip("needs systemd: apt-get install systemd")
	}
	dir := t.TempDir()
	if err := writeUnits(dir, t.Name()); err != nil {
		t.Fatal(err)
	}
	group, err := makeCgroup()
	if err != nil {
		t.Fatal(err)
	}
	defer removeCgroup(group)
	fd, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = []string{marker + "=" + stageSystemd, units + "=" + dir, "container=test", "SYSTEMD_LOG_TARGET=null"}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UseCgroupFD: true, CgroupFD: int(fd.Fd()), Pdeathsig: syscall.SIGKILL,
	}
	goruntime.LockOSThread() // Pdeathsig is about the thread
	defer goruntime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	said, _ := os.ReadFile(filepath.Join(dir, "out"))
	t.Logf("under systemd: %s%s", out, said)
	if err != nil || !strings.Contains(string(said), "\nPASS\n") {
		t.Errorf("under systemd: %v", err)
	}
	return false
}

// writeUnits writes a service that runs the test, and ends everything with it.
func writeUnits(dir, test string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	var env strings.Builder
	for _, kv := range append(os.Environ(), marker+"="+stageUnder) {
		fmt.Fprintf(&env, "Environment=%q\n", strings.ReplaceAll(kv, "%", "%%"))
	}
	service := fmt.Sprintf(`[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
WorkingDirectory=%s
ExecStart=%s -test.run=^%s$ -test.v -test.timeout=15m
StandardOutput=file:%s
StandardError=inherit
%s`, here, self, test, filepath.Join(dir, "out"), env.String())
	target := "[Unit]\nDefaultDependencies=no\nWants=test.service\nAllowIsolate=yes\n"
	return errors.Join(os.WriteFile(filepath.Join(dir, "test.service"), []byte(service), 0o644),
		os.WriteFile(filepath.Join(dir, "test.target"), []byte(target), 0o644))
}

// becomeSystemd makes the place that systemd expects and executes it.
func becomeSystemd() error {
	goruntime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("make a cgroup namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount cgroups: %w", err)
	}
	for target, kind := range map[string]string{"/proc": "proc", "/sys/fs/cgroup": "cgroup2", "/run": "tmpfs"} {
		if err := unix.Mount(kind, target, kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
	}
	env := append(os.Environ(), "SYSTEMD_UNIT_PATH="+os.Getenv(units))
	return unix.Exec(systemd, []string{"systemd", "--unit=test.target", "--show-status=no"}, env)
}

// makeCgroup makes a cgroup for a system of its own.
func makeCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		left, right, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(left); len(fields) > 4 && strings.HasPrefix(right, "cgroup2 ") {
			return os.MkdirTemp(fields[4], "dockertest-")
		}
	}
	return "", errors.New("make a cgroup: cgroup2 is not mounted")
}

// removeCgroup removes a cgroup with those in it.
func removeCgroup(dir string) {
	os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	var all []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, path)
		}
		return nil
	})
	for n := len(all) - 1; n >= 0; n-- {
		os.Remove(all[n])
	}
}
