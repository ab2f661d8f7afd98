//go:build linux

package syscalls

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
)

func init() { programs["boss"] = boss }

// boss starts a program under watch, with fsync delayed for long, and waits to be killed.
func boss(args []string) {
	slow, _ := intercept.NewTerm(intercept.Syscalls, "call", "", "fsync")
	rules := intercept.NewRules(1)
	rules.Arm(intercept.Rule{To: "svc", Proto: "syscall", Match: intercept.Match{slow}, Trigger: intercept.Always, Fault: intercept.Fault{Delay: time.Hour}})
	e := &intercept.Exec{Path: args[0], Argv: args}
	_, err := New().Attach(context.Background(), intercept.Target{Name: "svc", Calls: []string{"fsync", "write", "getppid"}, Exec: e}, &recorder{Rules: rules})
	if err == nil {
		cmd := &exec.Cmd{Path: e.Path, Args: e.Argv, ExtraFiles: e.Files, Stdout: os.Stdout, Stderr: os.Stderr}
		err = cmd.Start()
		for _, f := range e.Files {
			f.Close()
		}
	}
	if err == nil {
		err = e.Started()
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	time.Sleep(time.Hour)
}

// TestSupervisorKilled kills whatever supervises with SIGKILL while calls of a
// service wait for it: those that it had been given, and those still to come,
// all happen.
func TestSupervisorKilled(t *testing.T) {
	cmd := &exec.Cmd{Path: self, Args: []string{"boss", "/usr/bin/python3", "-u", "-c", `
import os, threading, tempfile, time
f = tempfile.TemporaryFile()
def wait(i):
    os.fsync(f.fileno()); os.write(1, b"synced\n")
ts = [threading.Thread(target=wait, args=(i,)) for i in range(20)]
[t.start() for t in ts]
print("waiting")
deadline = time.time() + 1
while time.time() < deadline: os.getppid()
[t.join() for t in ts]
os.fsync(f.fileno())
print("done", os.getppid() > 0)`}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	synced := 0
	for lines.Scan() {
		switch text := lines.Text(); {
		case text == "waiting":
			time.Sleep(300 * time.Millisecond)
			if synced > 0 {
				t.Error("a delayed call was not delayed")
			}
			cmd.Process.Signal(syscall.SIGKILL)
		case strings.HasPrefix(text, "synced"):
			synced++
		case text == "done True":
			if synced != 20 {
				t.Errorf("%d calls that waited went on, want 20", synced)
			}
			cmd.Wait()
			return
		default:
			t.Logf("says: %s", text)
		}
	}
	t.Error("the service did not come to its end")
}

// TestKeeperEnds shows that no keeper outlives what it is there for.
func TestKeeperEnds(t *testing.T) {
	i := New()
	w := startTarget(t, i, intercept.Target{Name: "svc", Calls: []string{"fsync"}}, newRecorder(), "sleep", "1000")
	pid := i.keeper.cmd.Process.Pid
	i.Close()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the keeper of a service that lives: %v", err)
	}
	w.Process.Kill()
	w.Wait()
	for range 3000 {
		if syscall.Kill(pid, 0) != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the keeper is still there 30 s after the last process")
}
