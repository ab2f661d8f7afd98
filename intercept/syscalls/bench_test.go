//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

func init() { programs["caller"] = caller }

// caller makes a call n times and prints how many nanoseconds one took in the
// fastest tenth, as other programs use the machine too: getppid, or flock of a
// file.
func caller(args []string) {
	n, _ := strconv.Atoi(args[1])
	runtime.LockOSThread()
	call := func() { unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0) }
	if args[0] == "least" {
		least()
	}
	if args[0] == "flock" {
		fd, err := unix.Open(args[2], unix.O_CREAT|unix.O_RDWR, 0o600)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		call = func() { unix.RawSyscall(unix.SYS_FLOCK, uintptr(fd), unix.LOCK_UN, 0) }
	}
	const batch = 100 // short enough to pass between two turns of other programs
	times := make([]time.Duration, max(n/batch, 10))
	for i := range times {
		begin := time.Now()
		for range batch {
			call()
		}
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	fmt.Println(float64(times[len(times)/10].Nanoseconds()) / batch)
}

// least watches the calling thread with the least that the kernel asks for: one
// call to receive, one to answer.
func least() {
	debug.SetGCPercent(-1) // the other thread cannot be stopped
	l, _, err := install(plan{watch: []string{"getppid"}}.program())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	l.wakeSynchronously()
	go func() {
		runtime.LockOSThread()
		var n notification
		for {
			n = notification{}
			unix.RawSyscall(unix.SYS_IOCTL, uintptr(l), ioctlRecv, uintptr(unsafe.Pointer(&n)))
			r := response{id: n.id, flags: proceed}
			unix.RawSyscall(unix.SYS_IOCTL, uintptr(l), ioctlSend, uintptr(unsafe.Pointer(&r)))
		}
	}()
}

// BenchmarkSyscall tells what a call costs the program that makes it, bare and
// in every way it can be watched.
func BenchmarkSyscall(b *testing.B) {
	file := b.TempDir() + "/data/wal/0001"
	os.MkdirAll(file[:strings.LastIndexByte(file, '/')], 0o777)
	for _, c := range []struct {
		name  string
		calls []string
		rule  []intercept.Rule
		i     *Interceptor
		argv  []string
	}{
		{name: "bare", argv: []string{"getppid"}},
		{name: "unwatched", calls: []string{"fsync", "write", "connect"}, argv: []string{"getppid"}},
		{name: "watched, the kernel's own share", argv: []string{"least"}},
		{name: "watched", calls: []string{"getppid"}, argv: []string{"getppid"}},
		{name: "watched, rule on its service", calls: []string{"getppid"}, argv: []string{"getppid"},
			rule: []intercept.Rule{rule(b, deny(unix.EIO), intercept.Trigger{}, "call=getppid")}},
		{name: "watched, path matched", calls: []string{"flock"}, argv: []string{"flock"},
			rule: []intercept.Rule{rule(b, deny(unix.EIO), intercept.Trigger{}, "call=flock", "path=**/wal/**")}},
		{name: "denied by the filter", calls: []string{"fsync"}, i: &Interceptor{Deny: map[string]int{"getppid": int(unix.EIO)}}, argv: []string{"getppid"}},
		{name: "denied by the supervisor", calls: []string{"getppid"}, argv: []string{"getppid"},
			rule: []intercept.Rule{rule(b, deny(unix.EIO), intercept.Always, "call=getppid")}},
		{name: "strace --inject", argv: []string{"getppid"}},
	} {
		b.Run(strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			n := strconv.Itoa(max(b.N, 1000))
			argv := append(append([]string{"caller"}, c.argv...), n, file)
			var out string
			switch {
			case c.name == "strace --inject":
				strace, err := exec.LookPath("strace")
				if err != nil {
					b.Skip("needs strace: apt-get install strace")
				}
				exe, _ := os.Executable()
				cmd := exec.Command(strace, "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=getppid", "-e", "inject=getppid:error=EIO", "--argv0=caller", exe, argv[1], n)
				raw, err := cmd.Output()
				if err != nil {
					cmd = exec.Command(strace, "-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=getppid", "-e", "inject=getppid:error=EIO", "bash", "-c", `exec -a caller "$0" "$@"`, exe, argv[1], n)
					raw, err = cmd.CombinedOutput()
				}
				if err != nil {
					b.Fatal(err, string(raw))
				}
				out = string(raw)
			case c.calls == nil:
				cmd := &exec.Cmd{Path: self, Args: argv}
				raw, err := cmd.Output()
				if err != nil {
					b.Fatal(err)
				}
				out = string(raw)
			default:
				r := newRecorder(c.rule...)
				r.quiet = true
				i := c.i
				if i == nil {
					i = New()
				}
				w := startTarget(b, i, intercept.Target{Name: "svc", Calls: c.calls}, r, argv...)
				w.Wait()
				w.attached.Close()
				out = w.out.String()
			}
			ns, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
			if err != nil {
				b.Fatalf("%q: %v", out, err)
			}
			b.ReportMetric(ns, "ns/call")
			b.ReportMetric(0, "ns/op")
		})
	}
}
