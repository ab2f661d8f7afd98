//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

func deny(errno unix.Errno) intercept.Fault {
	return intercept.Fault{Do: intercept.Deny, Errno: int(errno)}
}

func TestDeny(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(rule(t, deny(unix.EIO), intercept.Trigger{After: 2, Prob: 1}, "call=fsync", "path="+dir+"/**"))
	out, code := run(t, r, []string{"fsync"}, "python3", "-c", `
import os, sys
os.chdir(sys.argv[1])
f = os.open("wal", os.O_CREAT|os.O_RDWR)
for i in range(5):
    try: os.fsync(f) if i % 2 else os.fdatasync(f); print("ok")
    except OSError as e: print(e.strerror)
`, dir)
	if want := "ok\nok\nInput/output error\nInput/output error\nInput/output error\n"; out != want || code != 0 {
		t.Fatalf("output %q, exit code %d, want %q", out, code, want)
	}
	wal := dir + "/wal"
	want := []string{"fdatasync " + wal + " denied EIO", "fsync " + wal + " denied EIO", "fdatasync " + wal + " denied EIO"}
	if got := r.fired(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if a := r.Tally()[0]; a.Matched() != 5 || a.Acted() != 3 {
		t.Errorf("matched %d, acted %d, want 5 and 3", a.Matched(), a.Acted())
	}
}

func TestDelay(t *testing.T) {
	const n = 200
	r := newRecorder(rule(t, intercept.Fault{Delay: 300 * time.Millisecond}, intercept.Always, "call=rmdir"))
	begin := time.Now()
	out, code := run(t, r, []string{"rmdir"}, "python3", "-c", `
import os, sys, threading
def f():
    try: os.rmdir("/nowhere/at/all")
    except FileNotFoundError: pass
ts = [threading.Thread(target=f) for _ in range(200)]
[t.start() for t in ts]; [t.join() for t in ts]
print("done")`)
	if took := time.Since(begin); took < 300*time.Millisecond || took > n*300*time.Millisecond/4 {
		t.Errorf("%d delayed calls at once took %v", n, took)
	}
	if out != "done\n" || code != 0 || len(r.fired()) != n {
		t.Errorf("output %q, exit code %d, %d events", out, code, len(r.fired()))
	}
}

func TestShortAndLie(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(
		rule(t, intercept.Fault{Do: intercept.Short, Bytes: 3}, intercept.Always, "call=write|read", "path="+dir+"/short"),
		rule(t, intercept.Fault{Do: intercept.Lie}, intercept.Always, "call=write|fsync|unlink", "path="+dir+"/lie"),
	)
	out, code := run(t, r, []string{"write", "read", "fsync", "unlink"}, "python3", "-c", `
import os, sys
os.chdir(sys.argv[1])
f = os.open("short", os.O_CREAT|os.O_RDWR)
print(os.write(f, b"0123456789"), os.writev(f, [b"a", b"bcdef"]), os.pwrite(f, b"xyzxyz", 1))
os.lseek(f, 0, 0)
print(os.read(f, 100), os.pread(f, 100, 2), os.read(f, 2))
f = os.open("lie", os.O_CREAT|os.O_RDWR)
print(os.write(f, b"0123456789"), os.writev(f, [b"a", b"bcdef"]), os.fsync(f), os.unlink("lie"))
print(os.stat("lie").st_size)`, dir)
	want := "3 3 3\nb'0xy' b'yzb' b'zb'\n10 6 None None\n0\n"
	if out != want || code != 0 {
		t.Fatalf("output %q, exit code %d, want %q", out, code, want)
	}
	if n := len(r.fired()); n != 5+5 {
		t.Errorf("%d events: %q", n, r.fired())
	}
}

// TestShortOfNothing: a call that moves no more than a short one may is none that
// the fault changed.
func TestShortOfNothing(t *testing.T) {
	r := newRecorder(rule(t, intercept.Fault{Do: intercept.Short, Bytes: 3}, intercept.Always, "call=read|recv", "fd=socket"))
	out, _ := run(t, r, []string{"read", "recv"}, "/usr/bin/python3", "-c", `
import socket
a, b = socket.socketpair()
b.setblocking(False)
try: b.recv(100)
except BlockingIOError: print("again")
a.send(b"xy"); print(b.recv(100))
a.send(b"0123456"); print(b.recv(100), b.recv(100), b.recv(2), end="")
a.close(); print(b.recv(100))`)
	if want := "again\nb'xy'\nb'012' b'345' b'6'b''\n"; out != want {
		t.Errorf("output %q, want %q", out, want)
	}
	if a := r.Tally()[0]; a.Fired() != 6 || a.Acted() != 2 {
		t.Errorf("fired %d, acted %d, want 6 and 2: %q", a.Fired(), a.Acted(), r.fired())
	}
}

func TestCrash(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(rule(t, intercept.Fault{Do: intercept.Kill}, intercept.Trigger{Nth: 3, Prob: 1}, "call=fsync"))
	w := start(t, r, []string{"fsync"}, "python3", "-c", `
import os, sys
f = os.open(sys.argv[1] + "/f", os.O_CREAT|os.O_RDWR)
while True:
    os.write(f, b"x"); os.fsync(f)`, dir)
	w.Wait()
	if ws := w.ProcessState.String(); !strings.Contains(ws, "killed") {
		t.Errorf("ended: %s", ws)
	}
	if b, _ := os.ReadFile(filepath.Join(dir, "f")); string(b) != "xxx" {
		t.Errorf("file holds %q, want three bytes: it dies between write and fsync", b)
	}
	w.attached.Close()
	if got := r.fired(); len(got) != 1 || !strings.Contains(got[0], "killed") {
		t.Errorf("events %q", got)
	}
}

func TestConnect(t *testing.T) {
	r := newRecorder(rule(t, deny(unix.ETIMEDOUT), intercept.Always, "call=connect", "to=db"))
	known := []intercept.Peer{{To: "db", Interface: "main", Addr: addrPort("0.0.0.0:1")}, {To: "cache", Addr: addrPort("0.0.0.0:2")}}
	w := startTarget(t, New(), intercept.Target{Name: "svc", Calls: []string{"connect"}, Known: known}, r, "python3", "-c", `
import socket
for fam, addr in ((socket.AF_INET, ("127.0.0.1", 1)), (socket.AF_INET, ("127.0.0.1", 2)), (socket.AF_INET6, ("::1", 1)), (socket.AF_INET6, ("::ffff:127.0.0.1", 1))):
    try: socket.socket(fam).connect(addr)
    except OSError as e: print(e.strerror)`)
	w.Wait()
	w.attached.Close()
	if want := "Connection timed out\nConnection refused\nConnection timed out\nConnection timed out\n"; w.out.String() != want {
		t.Errorf("output %q, want %q", w.out.String(), want)
	}
	if got := fmt.Sprint(r.fired()); got != "[connect 127.0.0.1:1 (db) denied ETIMEDOUT connect [::1]:1 (db) denied ETIMEDOUT connect 127.0.0.1:1 (db) denied ETIMEDOUT]" {
		t.Errorf("events %s", got)
	}
}

// TestConnectTo names the other end by its address, or by its interface.
func TestConnectTo(t *testing.T) {
	dir := t.TempDir()
	known := []intercept.Peer{{To: "db", Interface: "main", Addr: addrPort("0.0.0.0:1")}, {To: "db", Interface: "admin", Addr: addrPort("127.0.0.1:2")}}
	for match, want := range map[string]string{
		"to=127.0.0.1:2": "admin ", "to=*:3": "none ", "to=127.0.0.2:*": "", "to=db.main": "main ", "to=db.*": "main admin ",
		"to=db": "main admin ", "to=" + dir + "/sock": "unix ", "path=**/sock": "unix ", "to=*": "main admin none unix ",
	} {
		r := newRecorder(rule(t, deny(unix.ETIMEDOUT), intercept.Always, "call=connect", match))
		w := startTarget(t, New(), intercept.Target{Name: "svc", Calls: []string{"connect"}, Known: known}, r, "/usr/bin/python3", "-c", `
import os, socket, sys
os.chdir(sys.argv[1])
for name, fam, addr in (("main", socket.AF_INET, ("127.0.0.1", 1)), ("admin", socket.AF_INET, ("127.0.0.1", 2)), ("none", socket.AF_INET6, ("::1", 3)), ("unix", socket.AF_UNIX, "sock")):
    try: socket.socket(fam).connect(addr)
    except TimeoutError as e: print(name, end=" ")
    except OSError as e: pass`, dir)
		w.Wait()
		w.attached.Close()
		if w.out.String() != want {
			t.Errorf("%s: failed for %q, want %q; events %q", match, w.out.String(), want, r.fired())
		}
	}
}

func TestExecFails(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/text", []byte("hello"), 0o755)
	os.WriteFile(dir+"/plain", []byte("hello"), 0o644)
	for _, c := range []struct {
		path string
		err  unix.Errno
		code int
	}{{dir + "/none", unix.ENOENT, 127}, {dir + "/text", unix.ENOEXEC, 126}, {dir + "/plain", unix.EACCES, 126}} {
		w, err := tryStart(t, New(), intercept.Target{Name: "svc", Calls: []string{"fsync"}}, newRecorder(), c.path)
		if err != c.err || w.ProcessState.ExitCode() != c.code {
			t.Errorf("%s: error %v, exit code %d; want %v and %d", c.path, err, w.ProcessState.ExitCode(), c.err, c.code)
		}
	}
}
