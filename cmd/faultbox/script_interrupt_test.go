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
//
// A run that was done already corrects what is known of the time, which others
// on the machine change, and is made again.
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
	interrupted, seen, again := 0, 0, 0
	for i := 0; i < n; i++ {
		after := took * time.Duration(i) / time.Duration(n)
		code, ran, worlds := interruptAfter(ts, after, took/20, []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2], args[1:])
		switch {
		case code == 130:
			interrupted++
		case code == -1 && worlds == 0: // the signal came before there was a handler, or anything else
		case code != 0:
			ts.Fatalf("interrupted %d/%d on its way: exit code %d, want 130", i, n, code)
		case again < 3*n:
			took = min(took, ran)
			i--
			again++
		}
		seen += worlds
	}
	if interrupted < n/2 || seen == 0 {
		ts.Fatalf("only %d of %d interrupts came while it ran, %d cgroups seen", interrupted, n, seen)
	}
}

// interruptAfter runs a command that hears sig after a time and SIGINT after
// another, and checks that it leaves nothing. It returns the exit code, how long
// the command ran, and how many cgroups it had when it was interrupted.
func interruptAfter(ts *testscript.TestScript, first, second time.Duration, sig syscall.Signal, args []string) (code int, ran time.Duration, worlds int) {
	cmd := commandIn(ts, args[0], args[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	ts.Check(cmd.Start())
	ended := make(chan time.Duration, 1)
	go func() {
		cmd.Wait()
		ended <- time.Since(began)
	}()
	time.Sleep(first)
	dirs := worldsOf(cmd.Process.Pid)
	cmd.Process.Signal(sig)
	time.Sleep(second)
	cmd.Process.Signal(syscall.SIGINT)
	ran = <-ended
	if code = cmd.ProcessState.ExitCode(); code != 0 && code != 130 {
		ts.Logf("%s", &out)
	}
	nothingLeft(ts, false, nil)
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			ts.Fatalf("interrupted after %s: it left %s", first, dir)
		}
	}
	return code, ran, len(dirs)
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
