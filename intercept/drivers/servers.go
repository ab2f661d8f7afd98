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

// PostgresPassword is the password of user postgres on the servers that
// Postgres starts (SCRAM-SHA-256).
const PostgresPassword = "secret"

// Postgres starts a PostgreSQL server for the test and returns its address.
// conf are further settings, as "name=value".
func Postgres(t testing.TB, conf ...string) (addr string) {
	t.Helper()
	bin := newest(t, "postgresql-15", "/usr/lib/postgresql/*/bin/initdb")
	dir := folder(t, "postgres")
	data, password := filepath.Join(dir, "data"), filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(PostgresPassword), 0o644); err != nil {
		t.Fatal(err)
	}
	initdb := as(t, "postgres", bin, "-D", data, "-A", "scram-sha-256", "-U", "postgres", "--pwfile="+password, "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := FreePort(t)
	args := []string{"-D", data, "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-k", dir}
	for _, c := range conf {
		args = append(args, "-c", c)
	}
	addr = "127.0.0.1:" + port
	run(t, as(t, "postgres", filepath.Join(filepath.Dir(bin), "postgres"), args...), syscall.SIGINT, func() error {
		ready := exec.Command(filepath.Join(filepath.Dir(bin), "pg_isready"), "-q", "-h", "127.0.0.1", "-p", port)
		return ready.Run()
	})
	return addr
}

// Redis starts a Redis server for the test and returns its address. args are
// further arguments.
func Redis(t testing.TB, args ...string) (addr string) {
	t.Helper()
	bin := lookPath(t, "redis-server", "redis-server")
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no",
		"--dir", folder(t, ""), "--enable-debug-command", "yes"}, args...)
	run(t, exec.Command(bin, args...), syscall.SIGTERM, func() error { return accepts(addr) })
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
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
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
