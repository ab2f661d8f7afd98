package drivers

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Redis starts a Redis server for the test and returns its address. args are
// further arguments.
func Redis(t testing.TB, args ...string) (addr string) {
	t.Helper()
	return startRedis(t, "Redis", lookPath(t, "redis-server", "redis-server"), args...)
}

// EachRedis runs do with the distribution's Redis, and with the newer Redis and
// the Valkey that .ci/deps.d/redis.sh unpacks.
func EachRedis(t *testing.T, do func(t *testing.T, addr string)) {
	t.Run("Redis 7", func(t *testing.T) { do(t, Redis(t)) })
	for name, program := range map[string]string{"Redis": "redis-server", "Valkey": "valkey-server"} {
		t.Run(name+" 8", func(t *testing.T) {
			cached(t, "redis/complete", ".ci/deps.d/redis.sh")
			do(t, startRedis(t, name, cached(t, "redis/"+program, ".ci/deps.d/redis.sh")))
		})
	}
}

func startRedis(t testing.TB, product, bin string, args ...string) (addr string) {
	t.Helper()
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--dir", folder(t, ""), "--enable-debug-command", "yes"}, args...)
	run(t, exec.Command(bin, args...), syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, product, bin, "--version")
	return addr
}

// FreePort returns a TCP port of 127.0.0.1 that nothing listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port)
}

// lookPath finds a program, or skips the test and names the package it is in.
func lookPath(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("needs %s: apt-get install -y --no-install-recommends %s", name, pkg)
	}
	return path
}

// newest returns the last match of a pattern, or skips the test and names the
// package.
func newest(t testing.TB, pkg, pattern string) string {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Skipf("needs %s: apt-get install -y --no-install-recommends %s", filepath.Base(pattern), pkg)
	}
	return found[len(found)-1]
}

// folder makes a folder, owned by that user ("": by us), that is removed when
// the test ends. Its path is short enough for a unix socket in it, and any
// user may enter it.
func folder(t testing.TB, owner string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "fb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if owner != "" && os.Getuid() == 0 {
		uid, gid := ids(t, owner)
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// as is a command that runs as that user if we are root.
func as(t testing.TB, owner, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	if os.Getuid() == 0 {
		uid, gid := ids(t, owner)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
	}
	return cmd
}

func ids(t testing.TB, name string) (uid, gid uint32) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Skipf("needs the user %s, which the server's package makes: %v", name, err)
	}
	id, _ := strconv.ParseUint(u.Uid, 10, 32)
	group, _ := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group)
}

// run starts a server, waits until ready returns nil, and stops it by stop
// when the test ends.
func run(t testing.TB, cmd *exec.Cmd, stop syscall.Signal, ready func() error) {
	t.Helper()
	var output bytes.Buffer // read after the process has ended only
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Signal(stop)
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", cmd.Path, tail(output.Bytes()))
		}
	})
	var err error
	for deadline := time.Now().Add(4 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%s ended before it was ready:\n%s", cmd.Path, tail(output.Bytes()))
		default:
		}
		if err = ready(); err == nil {
			return
		}
	}
	t.Fatalf("%s is not ready: %v", cmd.Path, err)
}

func tail(b []byte) []byte { return b[max(0, len(b)-4096):] }

// accepts reports whether something listens at addr.
func accepts(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c.Close()
}
