package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// interruptAnywhere runs a command once to learn how long it takes, then again
// N times, each of which is interrupted at another moment of that time, and
// checks that it ends with 130, or as it would have if it was done already, and
// leaves nothing: interrupt-anywhere N command args…
func interruptAnywhere(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt-anywhere N command args…")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	before := time.Now()
	whole := commandIn(ts, args[1], args[2:]...)
	if out, err := whole.CombinedOutput(); err != nil {
		ts.Fatalf("%v:\n%s", err, out)
	}
	took := time.Since(before)
	interrupted, seen := 0, 0
	for i := range n {
		cmd := commandIn(ts, args[1], args[2:]...)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		ts.Check(cmd.Start())
		time.Sleep(took * time.Duration(i) / time.Duration(n))
		worlds := worldsOf(cmd.Process.Pid)
		cmd.Process.Signal([]syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2])
		time.Sleep(took / 20)
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait()
		switch code := cmd.ProcessState.ExitCode(); {
		case code == 130:
			interrupted++
		case code == -1 && len(worlds) == 0: // the signal came before there was a handler, or anything else
		case code != 0:
			ts.Fatalf("interrupted %d/%d on its way: exit code %d, want 130\n%s", i, n, code, &out)
		}
		nothingLeft(ts, false, nil)
		for _, dir := range worlds {
			if _, err := os.Stat(dir); err == nil {
				ts.Fatalf("interrupted %d/%d on its way: it left %s", i, n, dir)
			}
		}
		seen += len(worlds)
	}
	if interrupted < n/2 || seen == 0 {
		ts.Fatalf("only %d of %d interrupts came while it ran, %d cgroups seen", interrupted, n, seen)
	}
}

// worldsOf lists the cgroups that a process holds open: those of its run.
func worldsOf(pid int) (dirs []string) {
	fds, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "fd/*"))
	for _, fd := range fds {
		if dir, err := os.Readlink(fd); err == nil && strings.HasPrefix(filepath.Base(dir), "faultbox-") && strings.HasPrefix(dir, "/sys/fs/cgroup") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
