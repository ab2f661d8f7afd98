//go:build linux

package syscalls

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// BenchmarkServers tells what real servers do a second with the fsync family
// watched (by a rule with a path that never fires), bare, and under strace.
func BenchmarkServers(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root: PostgreSQL runs as its own user")
	}
	for _, how := range []string{"bare", "watched", "strace"} {
		b.Run("redis-benchmark/"+how, func(b *testing.B) {
			needs(b, "redis-server")
			dir, port := b.TempDir(), freePort(b)
			serve(b, how, 0, "redis-server", "--port", port, "--dir", dir, "--appendonly", "yes", "--appendfsync", "always", "--save", "")
			awaitPort(b, port)
			out := output(b, "redis-benchmark", "-p", port, "-t", "set", "-n", "20000", "-c", "20", "--csv")
			b.ReportMetric(number(b, out, `"SET","([0-9.]+)"`), "requests/s")
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, how := range []string{"bare", "watched", "strace"} {
		b.Run("pgbench/"+how, func(b *testing.B) {
			needs(b, "pgbench")
			initdb, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
			if len(initdb) == 0 {
				b.Skip("needs PostgreSQL: apt-get install postgresql")
			}
			dir, err := os.MkdirTemp("/tmp", "faultbox-pgbench-")
			if err != nil {
				b.Fatal(err)
			}
			defer os.RemoveAll(dir)
			uid, err := strconv.Atoi(string(regexp.MustCompile(`[0-9]+`).Find([]byte(output(b, "id", "-u", "postgres")))))
			if err != nil {
				b.Fatal(err)
			}
			os.Chown(dir, uid, uid)
			port := freePort(b)
			setpriv := []string{"setpriv", "--reuid", fmt.Sprint(uid), "--clear-groups"}
			output(b, append(setpriv, initdb[0], "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-N")...)
			serve(b, how, uint32(uid), filepath.Join(filepath.Dir(initdb[0]), "postgres"), "-D", dir+"/data", "-p", port, "-c", "listen_addresses=localhost", "-c", "unix_socket_directories=")
			awaitPort(b, port)
			on := []string{"-h", "localhost", "-p", port, "-U", "postgres"}
			output(b, append(append([]string{"pgbench", "-i", "-q"}, on...), "postgres")...)
			out := output(b, append(append([]string{"pgbench", "-c", "4", "-T", "5", "-n"}, on...), "postgres")...)
			b.ReportMetric(number(b, out, `tps = ([0-9.]+)`), "transactions/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// serve starts a server bare, watched, or under strace.
func serve(b *testing.B, how string, uid uint32, argv ...string) {
	b.Helper()
	path, err := exec.LookPath(argv[0])
	if err != nil {
		b.Skip(err)
	}
	e := &intercept.Exec{Path: path, Argv: argv}
	switch how {
	case "strace":
		needs(b, "strace")
		strace, _ := exec.LookPath("strace")
		e.Path, e.Argv = strace, append([]string{"strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,sync_file_range,syncfs,msync"}, argv...)
	case "watched":
		r := newRecorder(rule(b, deny(unix.EIO), intercept.Always, "call=fsync", "path=/never/**"))
		r.quiet = true
		i := New()
		att, err := i.Attach(b.Context(), intercept.Target{Name: "svc", Calls: []string{"fsync"}, Exec: e}, r)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			att.Close()
			i.Close()
		})
	}
	cmd := &exec.Cmd{Path: e.Path, Args: e.Argv, ExtraFiles: e.Files, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if uid != 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	for _, f := range e.Files {
		f.Close()
	}
	b.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
	})
	if e.Started != nil {
		if err := e.Started(); err != nil {
			b.Fatal(err)
		}
	}
}

func output(tb testing.TB, argv ...string) string {
	tb.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%q: %v\n%s", argv, err, out)
	}
	return string(out)
}

func number(tb testing.TB, text, pattern string) float64 {
	tb.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		tb.Fatalf("no %s in %q", pattern, text)
	}
	x, _ := strconv.ParseFloat(m[1], 64)
	return x
}

func freePort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func awaitPort(tb testing.TB, port string) {
	tb.Helper()
	for range 2000 {
		if c, err := net.Dial("tcp", "localhost:"+port); err == nil {
			c.Close()
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	tb.Fatal("the server did not come up")
}
