//go:build linux

package syscalls

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// ways are how a server runs while it is measured.
var ways = []string{"bare", "watched", "strace"}

// BenchmarkServers tells what real servers do a second with the fsync family
// watched (by a rule with a path that never fires), bare, and under strace. All
// three are up at once and take turns of a second, so that what else the machine
// does meets them alike: the median is told, and that of the ratios to bare. One
// client each: of several, a server syncs the writes together that came while it
// synced the last ones, so that a slower sync can make it faster.
func BenchmarkServers(b *testing.B) {
	if os.Getuid() != 0 {
		b.Skip("needs root: PostgreSQL runs as its own user")
	}
	b.Run("redis-benchmark", func(b *testing.B) {
		needs(b, "redis-server")
		ports := map[string]string{}
		for _, how := range ways {
			ports[how] = freePort(b)
			serve(b, how, 0, "redis-server", "--port", ports[how], "--dir", b.TempDir(), "--appendonly", "yes", "--appendfsync", "always", "--save", "")
			awaitPort(b, ports[how])
		}
		takeTurns(b, func(how string) float64 {
			out := output(b, "redis-benchmark", "-p", ports[how], "-t", "set", "-n", "500", "-c", "1", "--csv")
			return number(b, out, `"SET","([0-9.]+)"`)
		})
	})
	b.Run("pgbench", func(b *testing.B) {
		needs(b, "pgbench")
		initdb, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(initdb) == 0 {
			b.Skip("needs PostgreSQL: apt-get install postgresql")
		}
		uid, err := strconv.Atoi(strings.TrimSpace(output(b, "id", "-u", "postgres")))
		if err != nil {
			b.Fatal(err)
		}
		on := map[string][]string{}
		for _, how := range ways {
			dir, err := os.MkdirTemp("/tmp", "faultbox-pgbench-")
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { os.RemoveAll(dir) })
			os.Chown(dir, uid, uid)
			port := freePort(b)
			output(b, "setpriv", "--reuid", fmt.Sprint(uid), "--clear-groups", initdb[0], "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-N")
			serve(b, how, uint32(uid), filepath.Join(filepath.Dir(initdb[0]), "postgres"), "-D", dir+"/data", "-p", port, "-c", "listen_addresses=localhost", "-c", "unix_socket_directories=")
			for exec.Command("pg_isready", "-q", "-h", "localhost", "-p", port).Run() != nil {
				time.Sleep(10 * time.Millisecond)
			}
			on[how] = []string{"-h", "localhost", "-p", port, "-U", "postgres", "postgres"}
			output(b, append([]string{"pgbench", "-i", "-q"}, on[how]...)...)
		}
		takeTurns(b, func(how string) float64 {
			return number(b, output(b, append([]string{"pgbench", "-c", "1", "-T", "1", "-n"}, on[how]...)...), `tps = ([0-9.]+)`)
		})
	})
}

// takeTurns measures all ways in turn and reports what each came to.
func takeTurns(b *testing.B, measure func(how string) float64) {
	const turns = 11
	got, ratios := map[string][]float64{}, map[string][]float64{}
	for turn := range turns {
		for i := range ways {
			how := ways[(i+turn)%len(ways)]
			got[how] = append(got[how], measure(how))
		}
		for _, how := range ways {
			last := len(got[how]) - 1
			ratios[how] = append(ratios[how], got[how][last]/got["bare"][last])
		}
	}
	for _, how := range ways {
		slices.Sort(got[how])
		slices.Sort(ratios[how])
		b.ReportMetric(got[how][turns/2], how+"/s")
		b.ReportMetric(ratios[how][turns/2], how+"/bare")
	}
	b.ReportMetric(0, "ns/op")
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
