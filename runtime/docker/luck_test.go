//go:build linux

package docker_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/runtime/docker"
	"faultbox/runtime/docker/dockertest"
)

// background is a faultbox that runs a spec.
type background struct {
	cmd *exec.Cmd
	out transcript
}

// transcript is what a program that runs has printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (t *transcript) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.Write(b)
}

func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text.String()
}

// begin runs a spec whose tests take long, and waits until n of its
// containers are up and ready.
func begin(t *testing.T, engine *dockertest.Engine, spec string, n int, args ...string) *background {
	t.Helper()
	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	before := len(containers(t, engine))
	b := &background{cmd: exec.Command(dockertest.Faultbox(t), append([]string{"test", file, "--timeout", "5m"}, args...)...)}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.cmd.Process.Kill(); b.cmd.Wait() })
	ready := func() bool { return strings.Count(b.out.String(), " ready after ") >= n }
	for begin := time.Now(); len(containers(t, engine)) < before+n || !ready(); time.Sleep(50 * time.Millisecond) {
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

// TestEngineRestarts: the engine is restarted in the middle of a run; tests
// that come after do not mind, not even with a container that was to be kept.
func TestEngineRestarts(t *testing.T) {
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	run := begin(t, engine, `
kept = service("kept", interface("main", "http", 8080), image = "faultbox/probe", env = {"GREETING": "hello"}, reuse = True)
def test_1_meanwhile():
    def gone():
        return not kept.get(path = "/", timeout = "1s").ok
    assert_true(eventually(gone, timeout = "2m"))
    sleep("3s")
def test_2_after():
    assert_eq(kept.get(path = "/").body, "hello")
def test_3_after():
    assert_eq(kept.get(path = "/").body, "hello")
`, 1, "-j1")
	if err := engine.Down(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Up(); err != nil {
		t.Fatal(err)
	}
	out, _ := run.wait()
	for _, test := range []string{"test_2_after", "test_3_after"} {
		if !strings.Contains(out, "✓ "+test) {
			t.Errorf("%s did not pass:\n%s", test, out)
		}
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestExecUnfaulted: programs that are started in a container beside its service
// are no part of the service; faults of its system calls do not touch them.
func TestExecUnfaulted(t *testing.T) {
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	if err := engine.Empty(); err != nil {
		t.Fatal(err)
	}
	run := begin(t, engine, `
back = service("back", interface("main", "http", 8080), image = "faultbox/probe", env = {"GREETING": "hello"})
front = service("front", interface("main", "http", 8080), image = "faultbox/probe", depends_on = [back])
def refused():
    for n in range(60):
        r = front.get(path = "/fetch?url=http://back:8080/")
        assert_true("connection refused" in r.body, r.body)
        sleep("100ms")
def test_refused():
    fault(front, connect = deny("ECONNREFUSED", to = back), run = refused)
`, 2)
	name := engine.Must(t, "ps", "--filter", "label=faultbox.service=front", "--format", "{{.Names}}")
	times := 0
	for {
		out, err := engine.Docker("exec", name, "/probe", "get", "http://back:8080/")
		if err != nil && over(t, engine) {
			break
		}
		if err != nil || out != "200 hello" {
			t.Fatalf("exec printed %q, %v", out, err)
		}
		times++
	}
	if out, code := run.wait(); code != 0 || times < 5 {
		t.Errorf("exit code %d, %d times\n%s", code, times, out)
	}
}

// over reports whether the containers end within a while.
func over(t *testing.T, engine *dockertest.Engine) bool {
	for range 50 {
		if len(containers(t, engine)) < 2 {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// TestMute: an engine that keeps no lines of containers keeps those of ours.
func TestMute(t *testing.T) {
	dockertest.Mute(t).Images(t, "probe")
	out, err := faultbox(t, `
b = service("b", interface("m", "http", 8080), image = "faultbox/probe", args = ["get", "http://localhost:1/"])
def test_nothing(): pass
`)
	for _, want := range []string{"service b: exited before it was ready: exit code 0; its last lines:", "connection refused"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v\n%s\nwant %s", err, out, want)
		}
	}
	out, err = faultbox(t, `
a = service("a", interface("m", "http", 8080), image = "faultbox/probe", observe = [stderr(decoder = regex_decoder("listening on (?P<where>.*)"))])
def test_lines():
    assert_eventually(kind = "output", service = "a", data = {"where": ":8080"})
`)
	if err != nil {
		t.Errorf("an observer sees nothing: %v\n%s", err, out)
	}
}

// TestNameClash: somebody else's container has the name.
func TestNameClash(t *testing.T) {
	dockertest.Start(t).Images(t, "probe")
	s := probe("svc")
	b := newBed(t, s)
	name := b.Must(t, "network", "ls", "--filter", "label=faultbox.run", "--format", "{{.Name}}") + "-svc"
	b.Must(t, "create", "--name", name, "--network", "none", "faultbox/probe")
	defer b.Docker("rm", "--force", "--volumes", name)
	_, err := b.driver.Start(context.Background(), b.world, s, func(intercept.Target) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "remove that one: `docker rm -f "+name+"`") {
		t.Errorf("start: %v", err)
	}
}

// TestPermission asks for the engine as a user who may not use its socket.
func TestPermission(t *testing.T) {
	if os.Getenv("FAULTBOX_TEST_ASK") != "" {
		fmt.Println(docker.New(docker.Options{}).Supported())
		return
	}
	dockertest.Start(t)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestPermission$", "-test.v")
	cmd.Env = append(os.Environ(), "FAULTBOX_TEST_ASK=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if want := "permission denied on its socket: run as root (`sudo faultbox test …`), or add this user to the group docker"; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%v\n%s\nwant %s", err, out, want)
	}
}
