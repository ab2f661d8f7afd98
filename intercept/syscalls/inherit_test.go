//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

func init() {
	programs["threads"] = threads
	programs["storm"] = storm
}

// threads makes n calls from each of m threads and prints how many failed with ENOTTY.
func threads(args []string) {
	m, _ := strconv.Atoi(args[0])
	n, _ := strconv.Atoi(args[1])
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range m {
		wg.Go(func() {
			runtime.LockOSThread()
			for range n {
				if _, _, e := unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0); e == unix.ENOTTY {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	fmt.Println(failed.Load())
}

func TestManyThreads(t *testing.T) {
	const m, n = 64, 1563 // 100,032 calls
	r := newRecorder(rule(t, deny(unix.ENOTTY), intercept.Trigger{Every: 3, Prob: 1}, "call=getppid"))
	r.quiet = true
	out, code := run(t, r, []string{"getppid"}, "threads", fmt.Sprint(m), fmt.Sprint(n))
	a, twice := r.Tally()[0], mayCountTwice(m*n)
	matched, acted := int(a.Matched()), int(a.Acted())
	if over := matched - m*n; over < 0 || over > twice || acted != matched/3 || int(r.count.Load()) != matched {
		t.Errorf("matched %d, acted %d, told of %d; want %d, %d, %d (up to %d more)", a.Matched(), a.Acted(), r.count.Load(), m*n, m*n/3, m*n, twice)
	}
	failed, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || max(failed-m*n/3, m*n/3-failed) > twice || code != 0 {
		t.Errorf("the program saw %q failures, exit code %d", out, code)
	}
}

// mayCountTwice returns how many of n calls amid many signals may be counted as
// two: before Linux 5.19 those that a signal interrupts in the very moment in
// which they are answered. The kernel takes such an answer, throws it away and
// makes the call again.
func mayCountTwice(n int) int {
	if os.Getenv(oldKernel) != "" || between(0, 0, 5, 19) {
		return 4 + n/1000
	}
	return 0
}

// storm makes n slow calls while signals rain on every thread, and prints how
// many of each it saw.
func storm(args []string) {
	n, _ := strconv.Atoi(args[0])
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, syscall.SIGUSR1)
	var signals atomic.Int64
	go func() {
		for range caught {
			signals.Add(1)
		}
	}()
	stop := make(chan bool)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				unix.Kill(os.Getpid(), unix.SIGUSR1)
				unix.Kill(os.Getpid(), unix.SIGURG)
				time.Sleep(100 * time.Microsecond)
			}
		}
	}()
	var ok, failed atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				switch _, _, e := unix.Syscall(unix.SYS_GETPPID, 0, 0, 0); e {
				case 0:
					ok.Add(1)
				case unix.EIO:
					failed.Add(1)
				default:
					fmt.Println("unexpected", e)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	fmt.Println(ok.Load(), failed.Load(), signals.Load() > 0)
}

func TestSignalStorm(t *testing.T) {
	const n = 400
	r := newRecorder(
		rule(t, intercept.Fault{Delay: 5 * time.Millisecond}, intercept.Always, "call=getppid"),
		rule(t, deny(unix.EIO), intercept.Trigger{Every: 2, Prob: 1}, "call=getppid"),
	)
	out, _ := run(t, r, []string{"getppid"}, "storm", fmt.Sprint(n))
	var passed, failed int
	var signals bool
	twice := mayCountTwice(n)
	if _, err := fmt.Sscan(out, &passed, &failed, &signals); err != nil || passed+failed != n || max(passed-failed, failed-passed) > 2*twice || !signals {
		t.Errorf("the program saw %q, want %d %d true", out, n/2, n/2)
	}
	if over := len(r.fired()) - n; over < 0 || over > twice {
		t.Errorf("%d events for %d calls", n+over, n)
	}
}

// Where the kernel interrupts calls that wait and makes them again, counts and
// effects are the same.
func TestInterrupted(t *testing.T) {
	t.Setenv(oldKernel, "yes")
	t.Run("ManyThreads", TestManyThreads)
	t.Run("SignalStorm", TestSignalStorm)
	t.Run("TermHandler", TestTermHandler)
	t.Run("KillWhileDelayed", TestKillWhileDelayed)
	t.Run("Release", TestRelease)
	t.Run("ShortAndLie", TestShortAndLie)
	t.Run("Crash", TestCrash)
	t.Run("ConnectTo", TestConnectTo)
	t.Run("Languages", TestLanguages)
}

// TestTermHandler stops a service that has a handler while a call of it is
// delayed: the call ends as decided, then the handler runs.
func TestTermHandler(t *testing.T) {
	r := newRecorder(rule(t, intercept.Fault{Delay: 500 * time.Millisecond}, intercept.Always, "call=rmdir"))
	w := start(t, r, []string{"rmdir"}, "python3", "-c", `
import os, signal, sys, time
def bye(*_): print("handler"); sys.stdout.flush(); os._exit(7)
signal.signal(signal.SIGTERM, bye)
try: os.rmdir("/nowhere/at/all")
except FileNotFoundError: pass
while True: time.sleep(0.01)`)
	w.awaitDelayed(t)
	w.Process.Signal(syscall.SIGTERM)
	w.Wait()
	w.attached.Close() // before Linux 5.19 only now is it certain that the call won't be made again
	if w.ProcessState.ExitCode() != 7 || w.out.String() != "handler\n" || len(r.fired()) != 1 {
		t.Errorf("exit code %d, output %q, events %q", w.ProcessState.ExitCode(), w.out.String(), r.fired())
	}
}

// TestKillWhileDelayed kills a service, by SIGKILL and by a signal without a
// handler, in the middle of a delayed call.
func TestKillWhileDelayed(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		r := newRecorder(rule(t, intercept.Fault{Delay: time.Hour}, intercept.Always, "call=rmdir"))
		w := start(t, r, []string{"rmdir"}, "rmdir", "/nowhere/at/all")
		w.awaitDelayed(t)
		begin := time.Now()
		w.Process.Signal(sig)
		w.Wait()
		w.attached.Close()
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("%v took %v to end a delayed call", sig, took)
		}
		if got := r.fired(); len(got) != 1 {
			t.Errorf("%v: events %q", sig, got)
		}
	}
}

// TestRelease ends a long delay as it was decided to end.
func TestRelease(t *testing.T) {
	r := newRecorder(
		rule(t, intercept.Fault{Delay: time.Hour}, intercept.Always, "call=rmdir"),
		rule(t, deny(unix.EROFS), intercept.Always, "call=rmdir"),
	)
	w := start(t, r, []string{"rmdir"}, "rmdir", "/nowhere/at/all")
	w.awaitDelayed(t)
	w.attached.(*attachment).Release()
	w.Wait()
	if !strings.Contains(w.out.String(), "Read-only file system") || len(r.fired()) != 1 {
		t.Errorf("output %q, events %q", w.out.String(), r.fired())
	}
}

// awaitDelayed waits until a call of the program is being delayed.
func (w *watched) awaitDelayed(tb testing.TB) {
	tb.Helper()
	s := w.attached.(*attachment).supervisor.Load()
	for range 10_000 {
		s.mu.Lock()
		n := len(s.pending)
		s.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	tb.Fatal("no call was delayed")
}

// TestInherited makes the same call from every sort of descendant.
func TestInherited(t *testing.T) {
	needs(t, "perl")
	dir := t.TempDir()
	os.WriteFile(dir+"/call.py", []byte("import os\ntry: os.rmdir('/nowhere')\nexcept OSError as e: print(e.strerror, flush=True)\n"), 0o644)
	call := "python3 " + dir + "/call.py"
	for _, c := range []struct {
		name string
		argv []string
		n    int
	}{
		{"fork", []string{"python3", "-c", "import os\nfor i in range(5):\n  if os.fork() == 0: exec(open('" + dir + "/call.py').read()); os._exit(0)\n  os.wait()"}, 5},
		{"vfork and exec", []string{"sh", "-c", call + "; " + call}, 2},
		{"posix_spawn", []string{"python3", "-c", "import os\np = os.posix_spawn('/usr/bin/python3', ['python3', '" + dir + "/call.py'], os.environ); os.waitpid(p, 0)"}, 1},
		{"exec of exec", []string{"sh", "-c", "exec sh -c 'exec " + call + "'"}, 1},
		{"daemon", []string{"sh", "-c", "setsid setsid " + call + " & wait"}, 1},
		{"namespace", []string{"unshare", "--pid", "--fork", "--mount", "--kill-child", "sh", "-c", call}, 1},
		{"thread", []string{"python3", "-c", "import threading\nsrc = open('" + dir + "/call.py').read()\nts = [threading.Thread(target=exec, args=(src, {})) for _ in range(9)]\n[t.start() for t in ts]; [t.join() for t in ts]"}, 9},
		{"perl", []string{"perl", "-e", "for (1..3) { if (!fork) { rmdir '/nowhere' or print \"$!\\n\"; exit 0 } wait }"}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "namespace" && os.Getuid() != 0 {
				t.Skip("needs root: makes a PID namespace")
			}
			r := newRecorder(rule(t, deny(unix.EROFS), intercept.Always, "call=rmdir", "path=/nowhere"))
			out, code := run(t, r, []string{"rmdir"}, c.argv...)
			if got := strings.Count(out, "Read-only file system"); got != c.n || code != 0 {
				t.Errorf("%d failures, want %d; exit code %d, output %q", got, c.n, code, out)
			}
			if got := len(r.fired()); got != c.n {
				t.Errorf("%d events, want %d", got, c.n)
			}
		})
	}
}

func needs(tb testing.TB, program string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err != nil {
		tb.Skipf("needs %s: apt-get install %s", program, program)
	}
}
