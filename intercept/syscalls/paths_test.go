//go:build linux

package syscalls

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// TestPaths names one file in every way there is.
func TestPaths(t *testing.T) {
	dir := t.TempDir()
	wal := dir + "/data/wal"
	if err := os.MkdirAll(wal, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Symlink("data", dir+"/link")
	os.Symlink(wal+"/0001", dir+"/direct")
	long := dir
	for len(long) < 3500 {
		long += "/" + strings.Repeat("d", 200)
	}
	os.MkdirAll(long+"/wal", 0o755)
	for _, c := range []struct {
		name, code string
		keys       []string
	}{
		{"absolute", `open(d + "/data/wal/0001", "w")`, []string{wal + "/0001"}},
		{"relative", `os.chdir(d + "/data"); open("wal/../wal/./0001", "w")`, []string{wal + "/0001"}},
		{"dirfd", `os.open("wal/0001", os.O_CREAT|os.O_WRONLY, dir_fd=os.open(d + "/data", os.O_RDONLY))`, []string{wal + "/0001"}},
		{"link to the folder", `open(d + "/link/wal/0001", "w")`, []string{wal + "/0001"}},
		{"link to the file", `open(d + "/direct", "w")`, []string{wal + "/0001"}},
		{"link itself", `os.unlink(d + "/direct")`, nil},
		{"rename from", `os.rename(d + "/data/wal/old", d + "/new")`, []string{wal + "/old → " + dir + "/new"}},
		{"rename to", `os.rename(d + "/old", d + "/link/wal/new")`, []string{dir + "/old → " + wal + "/new"}},
		{"long", `os.chdir("` + long + `"); os.open("wal/x", os.O_CREAT|os.O_WRONLY)`, []string{long + "/wal/x"}},
		{"elsewhere", `open(d + "/wal.txt", "w")`, nil},
		{"deep in it", `os.mkdir(d + "/data/wal/sub")`, []string{wal + "/sub"}},
		{"folder itself", `f = os.open(d + "/data/wal", os.O_RDONLY|os.O_DIRECTORY)`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(rule(t, deny(unix.EDQUOT), intercept.Always, "call=open|unlink|rename|mkdir", "path=**/wal/**"))
			out, _ := run(t, r, []string{"open", "unlink", "rename", "mkdir"}, "python3", "-c",
				"import os, sys\nd = sys.argv[1]\ntry:\n  "+c.code+"\nexcept OSError as e: print(e.errno)", dir)
			var keys []string
			for _, ev := range r.events {
				if len(ev.Rules) > 0 {
					keys = append(keys, ev.Key)
				}
			}
			if fmt.Sprint(keys) != fmt.Sprint(c.keys) {
				t.Errorf("acted on %q, want %q", keys, c.keys)
			}
			if denied := strings.TrimSpace(out) == fmt.Sprint(int(unix.EDQUOT)); denied != (len(c.keys) > 0) && c.name != "link itself" {
				t.Errorf("output %q", out)
			}
		})
	}
}

// TestLinksOfOwn names files by the caller's own links in /proc and /dev.
func TestLinksOfOwn(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/wal/file"
	for _, c := range []struct{ name, code, key string }{
		{"descriptor", `os.truncate("/proc/self/fd/%d" % f, 0)`, file},
		{"of the thread", `os.truncate("/proc/thread-self/fd/%d" % f, 0)`, file},
		{"/dev/fd", `os.truncate("/dev/fd/%d" % f, 0)`, file},
		{"/dev/stdin", `os.dup2(f, 0); os.truncate("/dev/stdin", 0)`, file},
		{"folder", `os.mkdir("/proc/self/fd/%d/sub" % os.open(d + "/wal", os.O_RDONLY))`, dir + "/wal/sub"},
		{"current folder", `os.chdir(d); os.mkdir("/proc/self/cwd/wal/sub")`, dir + "/wal/sub"},
		{"root", `os.mkdir("/proc/self/root" + d + "/wal/sub")`, dir + "/wal/sub"},
		{"deleted", `os.unlink(d + "/wal/file"); os.truncate("/proc/self/fd/%d" % f, 0)`, file},
		{"no descriptor", `os.truncate("/proc/self/fd/999", 0)`, ""},
		{"pipe", `os.truncate("/proc/self/fd/%d" % os.pipe()[0], 0)`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			os.MkdirAll(dir+"/wal", 0o755)
			r := newRecorder(rule(t, deny(unix.EDQUOT), intercept.Always, "call=truncate|mkdir", "path="+dir+"/wal/**"))
			run(t, r, []string{"truncate", "mkdir"}, "/usr/bin/python3", "-c",
				"import os, sys\nd = sys.argv[1]\nf = os.open(d + '/wal/file', os.O_CREAT|os.O_RDWR)\ntry:\n  "+c.code+"\nexcept OSError as e: print(e)", dir)
			var keys []string
			for _, ev := range r.events {
				if len(ev.Rules) > 0 {
					keys = append(keys, ev.Key)
				}
			}
			if strings.Join(keys, " ") != c.key {
				t.Errorf("acted on %q, want %q; events %+v", keys, c.key, r.events)
			}
		})
	}
}

// TestSpelling matches paths that a rule spells by way of links.
func TestSpelling(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(dir+"/data/wal", 0o755)
	os.Symlink("data", dir+"/link")
	os.Symlink("data/wal/0001", dir+"/direct")
	for _, c := range []struct {
		name, path, code string
		n                int
	}{
		{"by path and by descriptor", "/link/wal/**", `f = os.open(d + "/data/wal/0001", os.O_CREAT|os.O_RDWR); os.fsync(f); os.mkdir(d + "/link/wal/sub")`, 2},
		{"part of a name", "/link/wa*", `f = os.open(d + "/data/wal/0001", os.O_CREAT|os.O_RDWR); os.fsync(f)`, 1},
		{"the file is a link", "/direct", `f = os.open(d + "/direct", os.O_CREAT|os.O_RDWR); os.fsync(f)`, 1},
		{"a link that comes later", "/late/**", `f = os.open(d + "/data/x", os.O_CREAT|os.O_RDWR); os.fsync(f); os.symlink("data", d + "/late"); os.fsync(f)`, 1},
		{"a link that leads elsewhere later", "/turning/**", `f = os.open(d + "/data/x", os.O_CREAT|os.O_RDWR)
os.symlink("data", d + "/turning"); os.fsync(f); os.symlink("elsewhere", d + "/t"); os.rename(d + "/t", d + "/turning"); os.fsync(f)`, 1},
		{"another folder", "/link/wal/**", `f = os.open(d + "/data/wal.txt", os.O_CREAT|os.O_RDWR); os.fsync(f)`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(rule(t, intercept.Fault{Delay: time.Microsecond}, intercept.Always, "call=fsync|mkdir", "path="+dir+c.path))
			if out, code := run(t, r, []string{"fsync", "mkdir"}, "/usr/bin/python3", "-c", "import os, sys\nd = sys.argv[1]\n"+c.code, dir); code != 0 {
				t.Fatal(out)
			}
			if got := r.fired(); len(got) != c.n {
				t.Errorf("acted on %q, want %d", got, c.n)
			}
		})
	}
}

// TestNoPath: calls that take a descriptor where others take a path, and memory
// that looks like a file.
func TestNoPath(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(
		rule(t, deny(unix.EROFS), intercept.Always, "call=utime", "path="+dir+"/file"),
		rule(t, deny(unix.ENOSPC), intercept.Always, "call=write", "fd=file"),
	)
	out, _ := run(t, r, []string{"utime", "write"}, "/usr/bin/python3", "-c", `
import os, sys
f = os.open(sys.argv[1] + "/file", os.O_CREAT|os.O_RDWR)
def attempt(g):
    try: g(); return "fine"
    except OSError as e: return e.strerror
print(attempt(lambda: os.utime(f)), attempt(lambda: os.write(os.memfd_create("m"), b"x")), attempt(lambda: os.write(f, b"x")), sep="\n", end="", file=sys.stderr)`, dir)
	if want := "Read-only file system\nfine\nNo space left on device"; out != want {
		t.Errorf("output %q, want %q; events %q", out, want, r.fired())
	}
}

// TestCopies: a call that reads one file and writes another is a read of the one
// and a write of the other, and one event.
func TestCopies(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(dir+"/in", []byte("0123456789"), 0o644)
	for _, c := range []struct {
		call, path string
		n          int
	}{
		{"read", "/in", 3}, {"read", "/out", 0}, {"write", "/out", 2}, {"write", "/in", 0}, {"read|write", "/*", 3},
		{"sendfile", "/out", 1}, {"sendfile", "/in", 0}, {"copy_file_range|read", "/in", 3},
	} {
		r := newRecorder(rule(t, intercept.Fault{Delay: time.Microsecond}, intercept.Always, "call="+c.call, "path="+dir+c.path))
		out, code := run(t, r, strings.Split(c.call, "|"), "/usr/bin/python3", "-c", `
import os, sys
d = sys.argv[1]
i, o = os.open(d + "/in", os.O_RDONLY), os.open(d + "/out", os.O_CREAT|os.O_WRONLY)
os.sendfile(o, i, 0, 4); os.copy_file_range(i, o, 4, 0)
os.splice(i, os.pipe()[1], 4, 0)`, dir)
		a := r.Tally()[0]
		if code != 0 || len(r.fired()) != c.n || a.Matched() != uint64(c.n) {
			t.Errorf("%s %s: exit code %d, %s, matched %d, events %q, want %d", c.call, c.path, code, out, a.Matched(), r.fired(), c.n)
		}
	}
	r := newRecorder(rule(t, deny(unix.EIO), intercept.Always, "call=read", "fd=file", "path="+dir+"/*"))
	run(t, r, []string{"read"}, "/usr/bin/python3", "-c", `
import os, socket, sys
i, (a, b) = os.open(sys.argv[1] + "/in", os.O_RDONLY), socket.socketpair()
try: os.sendfile(a.fileno(), i, 0, 4)
except OSError: pass`, dir)
	if got := r.fired(); len(got) != 1 || !strings.HasPrefix(got[0], "sendfile "+dir+"/in") {
		t.Errorf("a file that is sent: events %q", got)
	}
}

// TestOutputs: what faultbox keeps a service's output in is no file of the service.
func TestOutputs(t *testing.T) {
	dir := t.TempDir()
	r := newRecorder(rule(t, deny(unix.ENOSPC), intercept.Always, "call=write", "fd=file"), rule(t, deny(unix.EROFS), intercept.Always, "call=write", "path="+dir+"/**"))
	e := &intercept.Exec{Path: "/bin/sh", Argv: []string{"sh", "-c", "echo said; echo x >" + dir + "/own"}, Outputs: []string{dir + "/log"}}
	i := New()
	defer i.Close()
	att, err := i.Attach(t.Context(), intercept.Target{Name: "svc", Calls: []string{"write"}, Exec: e}, r)
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := &exec.Cmd{Path: e.Path, Args: e.Argv, ExtraFiles: e.Files, Stdout: log, Stderr: log}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.Files[0].Close()
	if err := e.Started(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	att.Close()
	if said, _ := os.ReadFile(dir + "/log"); !strings.HasPrefix(string(said), "said\n") || strings.Count(string(said), "\n") != 2 {
		t.Errorf("it said %q, which is not as it would without faultbox", said)
	}
	if got := r.fired(); len(got) != 1 || !strings.Contains(got[0], dir+"/own denied") {
		t.Errorf("events %q, want one on its own file", got)
	}
}

// TestOwnView matches paths as a program in a chroot, and one with mounts of
// its own, sees its files.
func TestOwnView(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes mounts and a chroot")
	}
	dir := t.TempDir()
	os.MkdirAll(dir+"/real/wal", 0o755)
	os.MkdirAll(dir+"/var", 0o755)
	for _, c := range []struct{ name, key, script string }{
		{"mount", dir + "/var/wal/x", `mount --bind ` + dir + `/real ` + dir + `/var && python3 -c "import os; os.mkdir('` + dir + `/var/wal/x')"`},
		{"chroot", dir + "/real/wal/x", `mount --bind /usr ` + dir + `/real/usr && for l in bin lib lib64; do ln -sfn usr/$l ` + dir + `/real/$l; done; chroot ` + dir + `/real /bin/mkdir /wal/x`},
	} {
		t.Run(c.name, func(t *testing.T) {
			os.MkdirAll(dir+"/real/usr", 0o755)
			r := newRecorder(rule(t, deny(unix.EDQUOT), intercept.Always, "call=mkdir", "path="+c.key))
			out, code := run(t, r, []string{"mkdir"}, "unshare", "--mount", "--propagation", "private", "sh", "-c", c.script)
			if got := r.fired(); code == 0 || len(got) != 1 {
				t.Errorf("events %q, exit code %d, output %q; all: %+v", got, code, out, r.Tally()[0].Matched())
			}
		})
	}
}

// TestSystemFiles spares the files of the system unless a rule names them.
func TestSystemFiles(t *testing.T) {
	own := newRecorder(rule(t, deny(unix.EIO), intercept.Always, "call=read"))
	if out, code := run(t, own, []string{"read"}, "cat", "/proc/self/comm"); code != 0 || out != "cat\n" || slices.ContainsFunc(own.events, systemFile) {
		t.Errorf("output %q, exit code %d, events %q", out, code, own.fired())
	}
	named := newRecorder(rule(t, deny(unix.EIO), intercept.Always, "call=open", "path=/proc/**"))
	if _, code := run(t, named, []string{"open"}, "cat", "/proc/self/comm"); code == 0 || len(named.fired()) != 1 {
		t.Errorf("named: exit code %d, events %q", code, named.fired())
	}
}

func systemFile(ev intercept.Event) bool {
	return len(ev.Rules) > 0 && (special(ev.Key) || library(ev.Key))
}

// TestSockets tells files from sockets and knows who is at the other end.
func TestSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
		}
	}()
	addr := l.Addr().(*net.TCPAddr)
	r := newRecorder(
		rule(t, deny(unix.ECONNRESET), intercept.Always, "call=write|send", "to=db"),
		rule(t, deny(unix.EIO), intercept.Always, "call=write", "fd=file"),
		rule(t, intercept.Fault{Do: intercept.Short, Bytes: 2}, intercept.Always, "call=recv", "fd=socket"),
	)
	known := []intercept.Peer{{To: "db", Addr: addrPort(fmt.Sprint("0.0.0.0:", addr.Port))}}
	w := startTarget(t, New(), intercept.Target{Name: "svc", Calls: []string{"write", "send", "recv", "connect"}, Known: known}, r, "python3", "-c", `
import os, socket, sys
def attempt(f):
    try: print(f(), flush=True)
    except OSError as e: print(e.strerror, flush=True)
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
attempt(lambda: s.send(b"x"))
attempt(lambda: s.sendmsg([b"x", b"y"]))
attempt(lambda: os.write(s.fileno(), b"x"))
attempt(lambda: s.recv(100))
attempt(lambda: s.recv_into(bytearray(3)))
f = open(sys.argv[2], "wb", buffering=0)
attempt(lambda: f.write(b"x"))
a, b = socket.socketpair()
attempt(lambda: a.send(b"pair"))
p = os.pipe()
attempt(lambda: os.write(p[1], b"pipe"))`, fmt.Sprint(addr.Port), t.TempDir()+"/file")
	w.Wait()
	w.attached.Close()
	reset := "Connection reset by peer\n"
	if want := reset + reset + reset + "b'he'\n2\nInput/output error\n4\n4\n"; w.out.String() != want {
		t.Errorf("output %q, want %q; events %q", w.out.String(), want, r.fired())
	}
}

// TestProcessName faults the calls of one process of several.
func TestProcessName(t *testing.T) {
	r := newRecorder(rule(t, deny(unix.EROFS), intercept.Always, "call=rmdir", "process=rmdir"))
	out, _ := run(t, r, []string{"rmdir"}, "sh", "-c", `rmdir /nowhere; python3 -c 'import os; os.rmdir("/nowhere")'`)
	if !strings.Contains(out, "Read-only file system") || !strings.Contains(out, "No such file") || len(r.fired()) != 1 {
		t.Errorf("output %q, events %q", out, r.fired())
	}
}
