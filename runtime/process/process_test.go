//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/runtime"
	"faultbox/runtime/process"
	"faultbox/runtime/world"
)

// newWorld makes a world, or skips where that cannot be done.
func newWorld(tb testing.TB) runtime.World {
	tb.Helper()
	dir := tb.TempDir()
	os.Chmod(filepath.Dir(dir), 0o755) // so that other users may enter
	worlds := world.New(world.Options{Root: filepath.Join(dir, "worlds"), NoCgroups: bare})
	w, err := worlds.New(context.Background(), "process")
	var lacks *runtime.LacksError
	if errors.As(err, &lacks) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.Close(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

func open(intercept.Target) error { return nil }

func sh(name, script string) *runtime.Service {
	return &runtime.Service{Name: name, Binary: "/bin/sh", Args: []string{"-c", script}}
}

func start(tb testing.TB, w runtime.World, s *runtime.Service) runtime.Instance {
	tb.Helper()
	i, err := process.New(process.Options{Grace: 300 * time.Millisecond}).Start(context.Background(), w, s, open)
	if err != nil {
		tb.Fatal(err)
	}
	return i
}

// within fails the test if the channel is not closed in reasonable time.
func within(tb testing.TB, what string, done <-chan struct{}) {
	tb.Helper()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		tb.Fatalf("%s: did not happen", what)
	}
}

// eventually waits for what a running service does.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Helper()
	tb.Fatalf("%s: did not happen", what)
}

func pids(tb testing.TB, w runtime.World, service string) []string {
	tb.Helper()
	if bare {
		return children(os.Getpid())
	}
	dir, err := w.Cgroup(service)
	if err != nil {
		tb.Fatal(err)
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		tb.Fatal(err)
	}
	return strings.Fields(string(procs))
}

func TestEndings(t *testing.T) {
	w := newWorld(t)
	tests := []struct{ name, script, want string }{
		{"success", "exit 0", "<nil>"},
		{"code", "exit 3", "exit code 3"},
		{"signal", "kill -SEGV $$", "killed by SIGSEGV"},
		{"failed with a child left", "sleep 1000 & exit 7", "exit code 7"},
		{"child outlives for a moment", "sleep 0.1 & exit 0", "<nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i := start(t, w, sh(tt.name, tt.script))
			within(t, "exit", i.Exited())
			if got := fmt.Sprint(i.Err()); !strings.HasPrefix(got, tt.want) {
				t.Errorf("ended with %q, want %q", got, tt.want)
			}
			if err := i.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if left := pids(t, w, tt.name); len(left) > 0 {
				t.Errorf("processes %v are left", left)
			}
		})
	}
}

// daemon leaves its session and process group, and its parent ends.
const daemon = `
import os, sys, time, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.setpgid(0, 0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in sys.argv else signal.SIG_DFL)
print("up", os.getpid(), flush=True)
time.sleep(1000)
`

func TestDaemon(t *testing.T) {
	w := newWorld(t)
	for _, manner := range []string{"polite", "stubborn"} {
		t.Run(manner, func(t *testing.T) {
			i := start(t, w, &runtime.Service{Name: manner, Binary: "/usr/bin/python3", Args: []string{"-S", "-c", daemon, manner}})
			eventually(t, "daemon up", func() bool { return len(i.Tail(1)) == 1 })
			select {
			case <-i.Exited():
				t.Fatalf("a daemon that runs has exited: %v", i.Err())
			case <-time.After(50 * time.Millisecond):
			}
			pid, _ := strconv.Atoi(strings.Fields(i.Tail(1)[0])[1])
			if err := i.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			within(t, "exit", i.Exited())
			if err := syscall.Kill(pid, 0); err == nil && !zombie(pid) {
				t.Error("the daemon is still there")
			}
		})
	}
}

func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestStop(t *testing.T) {
	w := newWorld(t)
	t.Run("polite", func(t *testing.T) {
		i := start(t, w, sh("polite", "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.01; done"))
		eventually(t, "up", func() bool { return len(i.Tail(1)) == 1 })
		if err := i.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := i.Tail(5); !slices.Equal(got, []string{"up", "bye"}) {
			t.Errorf("wrote %q, want up, bye", got)
		}
		if got := fmt.Sprint(i.Err()); got != "exit code 4" {
			t.Errorf("ended with %q", got)
		}
	})
	t.Run("ignores SIGTERM", func(t *testing.T) {
		i := start(t, w, sh("stubborn", "trap '' TERM; (trap '' TERM; sleep 1000) & echo up; while :; do sleep 1; done"))
		eventually(t, "up", func() bool { return len(i.Tail(1)) == 1 })
		if err := i.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(i.Err()); got != "killed by SIGKILL" {
			t.Errorf("ended with %q", got)
		}
		if left := pids(t, w, "stubborn"); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	})
	t.Run("no time", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		i, err := process.New(process.Options{Grace: time.Hour}).Start(context.Background(), w, sh("slow", "trap '' TERM; echo up; while :; do sleep 1; done"), open)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "up", func() bool { return len(i.Tail(1)) == 1 })
		if err := i.Stop(ctx); err != nil {
			t.Error(err)
		}
		within(t, "exit", i.Exited())
	})
	t.Run("world closes", func(t *testing.T) {
		w := newWorld(t)
		i := start(t, w, sh("api", "sleep 1000"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		within(t, "exit", i.Exited())
		if err := i.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestRestart(t *testing.T) {
	w := newWorld(t)
	for n := range 3 {
		i := start(t, w, sh("api", fmt.Sprintf("echo start %d; sleep 1000", n)))
		eventually(t, fmt.Sprintf("start %d", n), func() bool { return len(i.Tail(9)) > 0 })
		if got, want := i.Tail(9), []string{fmt.Sprintf("start %d", n)}; !slices.Equal(got, want) {
			t.Errorf("last lines %q, want %q", got, want)
		}
		if err := i.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDial(t *testing.T) {
	w := newWorld(t)
	i := start(t, w, &runtime.Service{Name: "api", Binary: "/usr/bin/python3", Args: []string{"-S", "-c", `
import socket
s = socket.create_server(("127.0.0.1", 80))
c, _ = s.accept(); c.sendall(b"hello"); c.close()`}})
	var text []byte
	eventually(t, "answer", func() bool {
		c, err := i.Dial(context.Background(), "tcp", "localhost:80")
		if err != nil {
			return false
		}
		defer c.Close()
		text, _ = io.ReadAll(c)
		return true
	})
	if string(text) != "hello" {
		t.Errorf("got %q", text)
	}
}

// TestNoZombies: every process that was started is reaped.
func TestNoZombies(t *testing.T) {
	w := newWorld(t)
	for n := range 20 {
		i := start(t, w, sh(fmt.Sprint("s", n), "sleep 1000 & sleep 1000"))
		if err := i.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(stat), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			t.Errorf("zombie: %.60s", stat)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	w := newWorld(b)
	d := process.New(process.Options{})
	s := &runtime.Service{Name: "api", Binary: "/bin/sleep", Args: []string{"1000"}}
	for b.Loop() {
		i, err := d.Start(context.Background(), w, s, open)
		if err != nil {
			b.Fatal(err)
		}
		if err := i.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
