//go:build linux

package docker_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/runtime/docker/dockertest"
)

// background is a faultbox that runs a spec.
type background struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// begin runs a spec whose tests take long, and waits until n of its
// containers are up.
func begin(t *testing.T, engine *dockertest.Engine, spec string, n int) *background {
	t.Helper()
	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	before := len(containers(t, engine))
	b := &background{cmd: exec.Command(dockertest.Faultbox(t), "test", file, "--timeout", "5m")}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.cmd.Process.Kill(); b.cmd.Wait() })
	for begin := time.Now(); len(containers(t, engine)) < before+n; time.Sleep(50 * time.Millisecond) {
		if time.Since(begin) > time.Minute {
			t.Fatalf("the containers do not come up: %s", b.out.String())
		}
	}
	return b
}

// wait returns what it printed and its exit code.
func (b *background) wait() (string, int) {
	b.cmd.Wait()
	return b.out.String(), b.cmd.ProcessState.ExitCode()
}

// containers lists those that run.
func containers(t *testing.T, engine *dockertest.Engine) []string {
	t.Helper()
	return strings.Fields(engine.Must(t, "ps", "--format", "{{.Names}}"))
}

// long is a spec with n containers and a test that takes a while.
func long(n int) string {
	return fmt.Sprintf(`
for n in range(%d):
    service("svc%%d" %% n, interface("main", "http", 8080), image = "faultbox/probe")
def test_long():
    sleep("200s")
`, n)
}

// TestKilled: what a killed run leaves is removed by the next start, and
// nothing of anybody else.
func TestKilled(t *testing.T) {
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	if err := engine.Empty(); err != nil {
		t.Fatal(err)
	}
	engine.Must(t, "run", "--detach", "--name", "stranger", "--network", "none", "faultbox/probe")
	killed := begin(t, engine, long(10), 10)
	living := begin(t, engine, long(1), 1)
	killed.cmd.Process.Kill()
	killed.wait()
	if n := len(containers(t, engine)); n != 12 {
		t.Fatalf("%d containers run, want 12", n)
	}

	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(long(1), "200s", "1ms")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(dockertest.Faultbox(t), "test", file).CombinedOutput(); err != nil {
		t.Fatalf("the next run: %v\n%s", err, out)
	}
	if left := containers(t, engine); len(left) != 2 || !strings.Contains(strings.Join(left, " "), "stranger") {
		t.Errorf("after the next run there are %q, want the stranger and the container of the run that lives", left)
	}
	living.cmd.Process.Signal(syscall.SIGINT)
	if out, code := living.wait(); code != 130 {
		t.Errorf("the run that lived ended with %d\n%s", code, out)
	}
	engine.Must(t, "rm", "--force", "--volumes", "stranger")
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestEngineStops: the engine goes away in the middle of a run, and is back
// for the next.
func TestEngineStops(t *testing.T) {
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	run := begin(t, engine, `
back = service("back", interface("main", "http", 8080), image = "faultbox/probe")
def test_long():
    for n in range(300):
        if not back.get(path = "/").ok:
            fail("back is gone")
        sleep("100ms")
`, 1)
	if err := engine.Down(); err != nil {
		t.Fatal(err)
	}
	out, code := run.wait()
	if code == 0 || !strings.Contains(out, "back is gone") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if err := engine.Up(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(long(1), "200s", "1ms")), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(dockertest.Faultbox(t), "test", file).CombinedOutput(); err != nil {
		t.Errorf("the next run: %v\n%s", err, out)
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestCycles starts and stops containers over and over: FAULTBOX_CYCLES times,
// 10 by default.
func TestCycles(t *testing.T) {
	cycles := 10
	if n, err := strconv.Atoi(os.Getenv("FAULTBOX_CYCLES")); err == nil {
		cycles = n
	}
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	if err := engine.Empty(); err != nil {
		t.Fatal(err)
	}
	var first string
	for n := range cycles {
		front, back := probe("front"), probe("back")
		t.Run("cycle", func(t *testing.T) {
			b := newBed(t, front, back)
			peer := peerOf(b, back)
			server, client := b.start(t, back, nil), b.start(t, front, &witness{}, peer)
			ready(t, server)
			ready(t, client)
		})
		if t.Failed() {
			return
		}
		if n < 2 { // what is opened once and kept is open by now
			first = holdings(t)
		}
	}
	if last := holdings(t); last != first {
		t.Errorf("after %d cycles there are %s, after two %s", cycles, last, first)
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// holdings counts what this process and this machine hold.
func holdings(t *testing.T) string {
	t.Helper()
	time.Sleep(300 * time.Millisecond) // connections to the engine close in the background
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	links, _ := exec.Command("ip", "-o", "link").Output()
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	cgroups, _ := filepath.Glob("/sys/fs/cgroup/*/docker/*")
	groups := 0
	for _, path := range cgroups {
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			groups++
		}
	}
	return fmt.Sprintf("%d descriptors that are no sockets, %d links, %d mounts, %d cgroups", len(fds)-sockets, bytes.Count(links, []byte("\n")), bytes.Count(mounts, []byte("\n")), groups)
}
