//go:build linux

package process_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/runtime"
	"faultbox/runtime/process"
	"faultbox/runtime/world"
)

// TestMain lets the test binary be a reaper, and play a run that is killed.
func TestMain(m *testing.M) {
	process.Helper()
	if root := os.Getenv("PROCESS_TEST_VICTIM"); root != "" {
		victim(root)
	}
	os.Exit(m.Run())
}

// bare: worlds have no cgroups.
var bare bool

// TestWithoutCgroups: all the same where a reaper keeps processes together.
func TestWithoutCgroups(t *testing.T) {
	bare = true
	defer func() { bare = false }()
	for name, test := range map[string]func(*testing.T){
		"Endings": TestEndings, "Daemon": TestDaemon, "Stop": TestStop, "Restart": TestRestart,
		"Dial": TestDial, "NoZombies": TestNoZombies, "PauseAndKill": TestPauseAndKill, "SameToTheService": testSameToTheService,
	} {
		t.Run(name, test)
	}
	if left := children(os.Getpid()); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// children lists a process's children.
func children(pid int) (pids []string) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// state returns a process's state, proc_pid_stat(5).
func state(pid int) string {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return strings.TrimSpace(rest[:min(1, len(rest))])
}

// forked starts a service with an orphan in another session and returns their numbers.
func forked(tb testing.TB, w runtime.World) (runtime.Instance, []int) {
	i := start(tb, w, sh("forked", "setsid sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" &'; echo $$; exec sleep 1000"))
	eventually(tb, "both up", func() bool { return len(i.Tail(2)) == 2 })
	var pids []int
	for _, line := range i.Tail(2) {
		pid, _ := strconv.Atoi(line)
		pids = append(pids, pid)
	}
	return i, pids
}

func TestPauseAndKill(t *testing.T) {
	i, pids := forked(t, newWorld(t))
	thaw, err := i.(runtime.Pauser).Pause()
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if bare && state(pid) != "T" { // cgroups leave the state alone
			t.Errorf("process %d has not stopped: %s", pid, state(pid))
		}
	}
	if err := thaw(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		eventually(t, "goes on", func() bool { return state(pid) == "S" })
	}
	if err := i.(runtime.Killer).Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, "exit", i.Exited())
	if got := fmt.Sprint(i.Err()); got != "killed by SIGKILL" {
		t.Errorf("ended with %q", got)
	}
	for _, pid := range pids {
		if syscall.Kill(pid, 0) == nil && !zombie(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	if err := i.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// testSameToTheService compares what a service sees of itself under a reaper
// with what it sees in a cgroup.
func testSameToTheService(t *testing.T) {
	const script = `
import os, signal
print(sorted(os.listdir("/proc/self/fd")), os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())
print([l for l in open("/proc/self/status") if l.split(":")[0] in ("Uid", "Gid", "SigBlk", "SigIgn", "SigCgt", "CapEff", "CapAmb", "NoNewPrivs", "Seccomp", "Umask")])
print(open("/proc/self/cmdline").read(), os.getcwd(), open("/proc/self/limits").read())
print({k: v for k, v in os.environ.items() if k != "TMPDIR"})`
	see := func(without bool) string {
		bare = without
		i := start(t, newWorld(t), &runtime.Service{Name: "see", Binary: "/usr/bin/python3", Args: []string{"-S", "-c", script}})
		within(t, "exit", i.Exited())
		if err := i.Err(); err != nil {
			t.Fatal(err, i.Tail(50))
		}
		defer i.Stop(context.Background())
		return strings.Join(i.Tail(1000), "\n")
	}
	direct := see(false)
	if reaped := see(true); direct != reaped {
		t.Errorf("in a cgroup:\n%s\nunder a reaper:\n%s", direct, reaped)
	}
}

// TestRefusedExecution: why a program cannot be executed is told as it is with
// a cgroup.
func TestRefusedExecution(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text")
	os.WriteFile(file, []byte("not a program"), 0o755)
	try := func() string {
		i, err := process.New(process.Options{}).Start(context.Background(), newWorld(t), &runtime.Service{Name: "x", Binary: file}, open)
		if err == nil {
			i.Stop(context.Background())
		}
		return fmt.Sprint(err)
	}
	want := try()
	bare = true
	defer func() { bare = false }()
	if got := try(); got != want || !strings.Contains(got, "no program for this machine") {
		t.Errorf("got %q, want %q", got, want)
	}
}

// victim starts a service, pauses it, says who it is and waits to be killed.
func victim(root string) {
	w, err := world.New(world.Options{RunID: "victim", Root: root, NoCgroups: true}).New(context.Background(), "doomed")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	defer w.Close() // never done: it keeps w and its locks from the garbage collector
	i, err := process.New(process.Options{}).Start(context.Background(), w, sh("s", "echo $$; exec sleep 1000"), open)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	for len(i.Tail(1)) == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := i.(runtime.Pauser).Pause(); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(i.Tail(1)[0], w.Dir())
	time.Sleep(time.Hour) // select{} ends a program in which nothing else goes on
}

// TestSweepWithoutCgroups: a run that is killed leaves services that go on,
// paused ones too; the next run ends them.
func TestSweepWithoutCgroups(t *testing.T) {
	root := filepath.Join(t.TempDir(), "worlds")
	worlds := world.New(world.Options{Root: root, NoCgroups: true})
	if err := worlds.Supported(); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "PROCESS_TEST_VICTIM="+root)
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	var pid int
	var dir string
	if n, _ := fmt.Sscan(line, &pid, &dir); n != 2 {
		cmd.Process.Kill()
		t.Fatalf("victim said %q", line)
	}
	if err := worlds.Sweep(); err != nil {
		t.Error(err)
	}
	if state(pid) != "T" {
		t.Errorf("the sweep touched a run that lives, or it is not paused: %q", state(pid))
	}
	cmd.Process.Kill()
	cmd.Wait()
	eventually(t, "the service goes on", func() bool { return state(pid) == "S" })
	if err := worlds.Sweep(); err != nil {
		t.Error(err)
	}
	eventually(t, "the service is gone", func() bool { return syscall.Kill(pid, 0) != nil || zombie(pid) })
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the sweep left %s: %v", dir, err)
	}
}

// TestPortTaken: on the machine's own network a test must not talk to somebody else.
func TestPortTaken(t *testing.T) {
	worlds := world.New(world.Options{Root: filepath.Join(t.TempDir(), "worlds"), NoCgroups: true, HostNetwork: true})
	w, err := worlds.New(context.Background(), "ports")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, network := range []string{"tcp4", "tcp6"} {
		l, port := listen(t, network)
		s := sh("api", "sleep 1000")
		s.Interfaces = []*runtime.Interface{{Name: "main", Protocol: tcp, Port: port}}
		_, err := process.New(process.Options{}).Start(context.Background(), w, s, func(intercept.Target) error { return nil })
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("port %d: another program has it", port)) {
			t.Errorf("%s: %v", network, err)
		}
		l.Close()
		i, err := process.New(process.Options{}).Start(context.Background(), w, s, open)
		if err != nil {
			t.Fatal(err)
		}
		i.Stop(context.Background())
	}
}

var tcp = &protocols.Protocol{Name: "tcp"}

func listen(tb testing.TB, network string) (net.Listener, int) {
	tb.Helper()
	host := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
	l, err := net.Listen(network, host)
	if err != nil {
		tb.Skip("needs loopback: ", err)
	}
	return l, l.Addr().(*net.TCPAddr).Port
}
