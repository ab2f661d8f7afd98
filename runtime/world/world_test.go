//go:build linux

package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// needWorlds skips where worlds cannot be made.
func needWorlds(tb testing.TB, o Options) runtime.Worlds {
	tb.Helper()
	if o.Root == "" {
		o.Root = filepath.Join(tb.TempDir(), "worlds")
	}
	w := New(o)
	if err := w.Supported(); err != nil {
		var lacks *runtime.LacksError
		if errors.As(err, &lacks) {
			tb.Skip(err)
		}
		tb.Fatal(err)
	}
	return w
}

func make1(tb testing.TB, w runtime.Worlds, name string) runtime.World {
	tb.Helper()
	world, err := w.New(context.Background(), name)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { world.Close() })
	return world
}

// start runs a command in the world, in a service's cgroup.
func start(tb testing.TB, w runtime.World, service string, argv ...string) *exec.Cmd {
	tb.Helper()
	dir, err := w.Cgroup(service)
	if err != nil {
		tb.Fatal(err)
	}
	cg, err := os.Open(dir)
	if err != nil {
		tb.Fatal(err)
	}
	defer cg.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Fd())}
	if err := host.Inside(w.NetNS(), cmd.Start); err != nil {
		tb.Fatal(err)
	}
	go cmd.Wait()
	return cmd
}

// leftovers lists what is still there of the worlds below root and of run id.
func leftovers(tb testing.TB, w runtime.Worlds) (left []string) {
	tb.Helper()
	o := w.(*worlds)
	bases, err := cgroupBases()
	if err != nil {
		tb.Fatal(err)
	}
	for _, base := range bases {
		if dir := filepath.Join(base, cgroupPrefix+o.id); exists(dir) {
			left = append(left, dir)
		}
	}
	if entries, _ := os.ReadDir(o.root); len(entries) > 0 {
		left = append(left, entries[0].Name())
	}
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		tb.Fatal(err)
	}
	nets, _ := filepath.Glob("/proc/self/task/*/ns/net")
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, path := range append(nets, fds...) {
		if to, err := os.Readlink(path); err == nil && strings.HasPrefix(to, "net:") && to != home {
			left = append(left, path+" → "+to)
		}
	}
	return left
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func netnsOf(tb testing.TB, pid int) string {
	tb.Helper()
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		tb.Fatal(err)
	}
	return ns
}

func TestWorld(t *testing.T) {
	worlds := needWorlds(t, Options{RunID: "world-test"})
	w := make1(t, worlds, "first test/with a long name and dots..")
	if info, err := os.Stat(w.Dir()); err != nil || info.Mode()&fs.ModeSticky == 0 || info.Mode().Perm() != 0o777 {
		t.Errorf("folder: %v, %v; want drwxrwxrwt", info.Mode(), err)
	}
	cmd := start(t, w, "api", "sleep", "1000")
	if got, home := netnsOf(t, cmd.Process.Pid), netnsOf(t, os.Getpid()); got == home {
		t.Errorf("service runs in %s, the host's namespace", got)
	}
	own, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", cmd.Process.Pid))
	if want := "faultbox-world-test/"; err != nil || !strings.Contains(string(own), want) || !strings.Contains(string(own), "/api\n") {
		t.Errorf("cgroups of the service: %q, %v; want one in %s", own, err, want)
	}
	again, err := w.Cgroup("api")
	if err != nil || !exists(filepath.Join(again, "cgroup.procs")) {
		t.Errorf("second Cgroup: %q, %v", again, err)
	}
	for i := range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("close %d: %v", i, err)
		}
	}
	if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)); len(stat) > 0 && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("the service survived its world: %s", stat)
	}
	if left := leftovers(t, worlds); left != nil {
		t.Errorf("left behind: %q", left)
	}
	if _, err := w.Dial(context.Background(), "tcp", "127.0.0.1:1"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dial in a closed world: %v, want %v", err, net.ErrClosed)
	}
}

const echoServer = `
import socket, sys
fam = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.create_server((sys.argv[1], 8080), family=fam)
while True:
    c, _ = s.accept()
    c.sendall(sys.argv[2].encode()); c.close()
`

// answer reads what the server at address says, waiting until it is up.
func answer(w runtime.World, address string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	for {
		c, err := w.Dial(ctx, "tcp", address)
		if errors.Is(err, syscall.ECONNREFUSED) && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		if err != nil {
			return "", err
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		return string(b), err
	}
}

// TestManyWorlds runs 50 servers on the same port, each in a world of its own.
func TestManyWorlds(t *testing.T) {
	worlds := needWorlds(t, Options{})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			w, err := worlds.New(context.Background(), "many")
			if err != nil {
				t.Error(err)
				return
			}
			name := fmt.Sprintf("server %d", i)
			start(t, w, "api", "/usr/bin/python3", "-S", "-c", echoServer, "127.0.0.1", name)
			if got, err := answer(w, "localhost:8080"); got != name || err != nil {
				t.Errorf("world %d answered %q, %v", i, got, err)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left := leftovers(t, worlds); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestDial(t *testing.T) {
	w := make1(t, needWorlds(t, Options{}), "dial")
	ctx := context.Background()
	start(t, w, "six", "/usr/bin/python3", "-S", "-c", echoServer, "::1", "six")
	for _, address := range []string{"[::1]:8080", "localhost:8080"} {
		if got, err := answer(w, address); got != "six" || err != nil {
			t.Errorf("%s answered %q, %v", address, got, err)
		}
	}
	if _, err := w.Dial(ctx, "tcp", "127.0.0.1:8080"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial a port that nobody listens on: %v, want ECONNREFUSED", err)
	}
	if _, err := w.Dial(ctx, "tcp", "db:5432"); err == nil || !strings.Contains(err.Error(), "use localhost:5432") {
		t.Errorf("dial a name: %v", err)
	}
	if _, err := w.Dial(ctx, "tcp", "10.1.2.3:80"); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("dial the outside: %v, want ENETUNREACH", err)
	}
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	if _, err := w.Dial(ctx, "tcp", host.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial a server of the host: %v, want ECONNREFUSED", err)
	}
	u, err := w.Dial(ctx, "udp", "127.0.0.1:9")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	u.Write([]byte("x"))
	if _, err := u.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("UDP to nobody: %v, want ECONNREFUSED", err)
	}
}

// TestDialHonoursContext fills a listener's queue so that a connect hangs.
func TestDialHonoursContext(t *testing.T) {
	w := make1(t, needWorlds(t, Options{}), "hang")
	start(t, w, "deaf", "/usr/bin/python3", "-S", "-c", `
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 8080)); s.listen(0)
time.sleep(1000)`)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	time.AfterFunc(20*time.Second, cancel)
	for n := 0; ; {
		short, done := context.WithTimeout(ctx, 300*time.Millisecond)
		c, err := w.Dial(short, "tcp", "127.0.0.1:8080")
		done()
		switch {
		case err == nil:
			defer c.Close()
			n++
			if n > 10 {
				t.Fatal("a full queue still takes connections")
			}
		case n > 0:
			var timeout net.Error
			if !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Errorf("dial that hangs: %v, want a timeout", err)
			}
			return
		case ctx.Err() != nil:
			t.Fatal("the server did not come up")
		}
	}
}

func TestHostNetwork(t *testing.T) {
	worlds := needWorlds(t, Options{HostNetwork: true})
	w := make1(t, worlds, "host")
	cmd := start(t, w, "api", "sleep", "1000")
	if got, home := netnsOf(t, cmd.Process.Pid), netnsOf(t, os.Getpid()); got != home {
		t.Errorf("service runs in %s, want the host's %s", got, home)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := worlds.New(ctx, "second"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second world beside the first: %v, want to wait", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	make1(t, worlds, "second").Close()
	if left := leftovers(t, worlds); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// TestPartial closes worlds whose making failed half way.
func TestPartial(t *testing.T) {
	worlds := needWorlds(t, Options{}).(*worlds)
	first := make1(t, worlds, "one") // keeps the run open
	blocked := filepath.Join(worlds.run.dir, "one-"+fmt.Sprint(worlds.made+1))
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if w, err := worlds.New(context.Background(), "one"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("make a world over a file: %v, %v; want %v", w, err, fs.ErrExist)
	}
	if cg := filepath.Join(worlds.run.cgroup, filepath.Base(blocked)); exists(cg) {
		t.Errorf("%s is left behind", cg)
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, worlds); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func BenchmarkWorld(b *testing.B) {
	worlds := needWorlds(b, Options{})
	first := make1(b, worlds, "first")
	defer first.Close()
	for b.Loop() {
		w, err := worlds.New(context.Background(), "bench")
		if err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDial(b *testing.B) {
	w := make1(b, needWorlds(b, Options{}), "bench")
	start(b, w, "api", "/usr/bin/python3", "-S", "-c", echoServer, "127.0.0.1", "")
	if _, err := answer(w, "127.0.0.1:8080"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c, err := w.Dial(context.Background(), "tcp", "127.0.0.1:8080")
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
