//go:build linux

package syscalls

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

func init() {
	programs["turned-away"] = turnedAwayCalls
	programs["watcher"] = watcher
	programs["nested"] = nested
}

// TestNarrow watches a program that makes the calls of 32-bit x86.
func TestNarrow(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: runs a program for 386")
	}
	needs(t, "go")
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir+"/narrow", "./testdata/narrow")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	file := dir + "/file"
	if out, err := exec.Command(dir+"/narrow", file).CombinedOutput(); err != nil {
		t.Skipf("this kernel does not run 32-bit programs: %v %s", err, out)
	}
	r := newRecorder(
		rule(t, deny(unix.EIO), intercept.Always, "call=fsync", "path="+file),
		rule(t, intercept.Fault{Do: intercept.Short, Bytes: 4}, intercept.Trigger{Nth: 1, Prob: 1}, "call=write", "path="+file),
		rule(t, deny(unix.ETIMEDOUT), intercept.Always, "call=connect", "to=db"),
		rule(t, deny(unix.EROFS), intercept.Always, "call=unlink", "path="+file),
	)
	known := []intercept.Peer{{To: "db", Addr: addrPort("0.0.0.0:1")}}
	w := startTarget(t, New(), intercept.Target{Name: "svc", Calls: []string{"fsync", "write", "connect", "unlink"}, Known: known}, r, dir+"/narrow", file)
	w.Wait()
	w.attached.Close()
	want := "sync " + file + ": input/output error\n10 <nil>\ndial tcp 127.0.0.1:1: connect: connection timed out\nremove " + file + ": read-only file system\nfunction not implemented\n"
	if w.out.String() != want {
		t.Errorf("output %q, want %q", w.out.String(), want)
	}
	got := r.fired() // what is cut short ends beside the others
	slices.Sort(got)
	if want := []string{
		"connect 127.0.0.1:1 (db) denied ETIMEDOUT", "fsync " + file + " denied EIO",
		"unlinkat " + file + " denied EROFS", "unlinkat " + file + " denied EROFS", "write " + file + " short",
	}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// TestNarrowCallOfWideProgram: a 64-bit program may make 32-bit calls too.
func TestNarrowCallOfWideProgram(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("needs amd64: makes calls of 386")
	}
	needs(t, "go")
	program := t.TempDir() + "/int80"
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/int80").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if out, err := exec.Command(program).CombinedOutput(); err != nil || string(out) != fmt.Sprintln(os.Getpid()) {
		t.Skipf("this kernel does not make 32-bit calls: %v %s", err, out)
	}
	r := newRecorder(rule(t, deny(unix.ENOTTY), intercept.Always, "call=getppid"))
	if out, _ := run(t, r, []string{"getppid"}, program); out != "-25\n" || len(r.fired()) != 1 {
		t.Errorf("output %q, events %q, want -25 (ENOTTY) and one event", out, r.fired())
	}
}

// turnedAwayCalls prints how the calls end that would slip by.
func turnedAwayCalls([]string) {
	for _, nr := range []uintptr{425, 426, 427, unix.SYS_IO_SETUP, unix.SYS_IO_SUBMIT} { // io_uring_…
		_, _, e := unix.RawSyscall(nr, 1, 0, 0)
		fmt.Println(e)
	}
	if runtime.GOARCH == "amd64" {
		_, _, e := unix.RawSyscall(x32Bit|unix.SYS_GETPPID, 0, 0, 0)
		fmt.Println(e)
	}
	_, _, e := unix.RawSyscall(1000, 0, 0, 0)
	fmt.Println(e)
}

func TestTurnedAway(t *testing.T) {
	out, _ := run(t, newRecorder(), []string{"fsync"}, "turned-away")
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if line != "function not implemented" {
			t.Errorf("a call ended with %q: %q", line, out)
		}
	}
	if out, _ := run(t, newRecorder(), []string{"connect"}, "turned-away"); !strings.Contains(out, "bad address") {
		t.Errorf("io_setup is turned away where nobody asks for what it does: %q", out)
	}
}

// watcher tries to install a listener of its own.
func watcher([]string) {
	l, _, err := install([]instruction{ret(giveAllow)})
	fmt.Println(l, err, explain(err))
}

func TestListenerInTarget(t *testing.T) {
	r := newRecorder()
	out, _ := run(t, r, []string{"fsync"}, "watcher")
	if !strings.HasPrefix(out, "-1 device or resource busy") {
		t.Errorf("the target saw %q", out)
	}
	if notes := r.notes(); len(notes) != 1 || !strings.Contains(notes[0], "EBUSY: the kernel allows one listener") {
		t.Errorf("notes %q", notes)
	}
}

// nested asks under watch whether it could watch others.
func nested([]string) { fmt.Println(New().Supported()) }

func TestSupportedUnderWatch(t *testing.T) {
	if err := New().Supported(); err != nil {
		t.Fatal(err)
	}
	out, _ := run(t, newRecorder(), []string{"fsync"}, "nested")
	if !strings.Contains(out, "watches this process already (EBUSY)") {
		t.Errorf("under watch: %q", out)
	}
}

// TestSetuid executes a setuid program as a user without privileges.
func TestSetuid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes a setuid program")
	}
	dir, err := os.MkdirTemp("/tmp", "faultbox-setuid-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	program := filepath.Join(dir, "who")
	b, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, b, 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(program, 0o4755|os.ModeSetuid)
	os.Chmod(program, os.ModeSetuid|0o755)
	for n := range 4 {
		bound := n%2 > 0
		r := newRecorder()
		e := &intercept.Exec{Path: "/bin/sh", Argv: []string{"sh", "-c", program + " -u"}}
		if n > 1 { // it is itself the service
			e = &intercept.Exec{Path: program, Argv: []string{program, "-u"}}
		}
		i := New()
		defer i.Close()
		att, err := i.Attach(t.Context(), intercept.Target{Name: "svc", Calls: []string{"fsync"}, Exec: e}, r)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		cmd := &exec.Cmd{Path: e.Path, Args: e.Argv, ExtraFiles: e.Files, Stdout: &out, Stderr: &out}
		if bound {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		e.Files[0].Close()
		if err := e.Started(); err != nil {
			t.Fatal(err, out.String())
		}
		cmd.Wait()
		att.Close()
		notes := r.notes()
		switch {
		case !bound && (out.String() != "0\n" || len(notes) > 0):
			t.Errorf("root: %q, notes %q", out.String(), notes)
		case bound && (out.String() != "65534\n" || len(notes) != 1 || !strings.Contains(notes[0], program+" is setuid")):
			t.Errorf("user: %q, notes %q", out.String(), notes)
		}
	}
}

// TestPrograms runs the filter program in a small interpreter for every number
// of every machine.
func TestPrograms(t *testing.T) {
	for _, p := range []plan{
		{},
		{watch: []string{"write"}},
		{watch: []string{"fsync", "open", "connect", "fork"}, deny: map[string]int{"getrandom": 38, "openat": 5}},
		{watch: Names()},
	} {
		prog := p.program()
		if len(prog) > 4096 {
			t.Fatalf("%d instructions are too many", len(prog))
		}
		watch := append(expand(p.watch), always...)
		for _, a := range []*abi{machine(), compat()} {
			if a == nil {
				continue
			}
			for nr := range 1200 {
				want := uint32(giveAllow)
				for name, errno := range p.deny {
					if contains(a, expand([]string{name}), nr) {
						want = giveErrno | uint32(errno)
					}
				}
				if contains(a, watch, nr) {
					want = giveNotify
				}
				if contains(a, p.away(), nr) {
					want = enosys
				}
				if got := interpret(t, prog, uint32(nr), a.audit); got != want {
					t.Errorf("plan %v: %s %d (%s): %#x, want %#x", p, a.name, nr, a.call(nr), got, want)
				}
			}
		}
		if got := interpret(t, prog, 1, 0x1234); got != enosys {
			t.Errorf("unknown machine: %#x", got)
		}
	}
}

func contains(a *abi, calls []string, nr int) bool {
	for _, n := range a.numbersOf(calls) {
		if n == nr {
			return true
		}
	}
	return false
}

// interpret runs classic BPF over struct seccomp_data.
func interpret(t *testing.T, prog []instruction, nr, arch uint32) uint32 {
	t.Helper()
	var acc uint32
	for pc := 0; pc < len(prog); pc++ {
		switch in := prog[pc]; in.code {
		case load:
			acc = map[uint32]uint32{offsetNumber: nr, offsetArch: arch}[in.k]
		case jump:
			pc += int(in.k)
		case jumpEqual, jumpAtLeast:
			if in.code == jumpEqual && acc == in.k || in.code == jumpAtLeast && acc >= in.k {
				pc += int(in.jt)
			} else {
				pc += int(in.jf)
			}
		case give:
			return in.k
		default:
			t.Fatalf("instruction %d: %+v", pc, in)
		}
	}
	t.Fatal("the program runs over its end")
	return 0
}

func TestSizes(t *testing.T) {
	if n, r, i := unsafe.Sizeof(notification{}), unsafe.Sizeof(response{}), unsafe.Sizeof(instruction{}); n != 80 || r != 24 || i != 8 {
		t.Errorf("structures of the kernel have 80, 24 and 8 bytes, ours %d, %d and %d", n, r, i)
	}
}

func TestExplain(t *testing.T) {
	for errno, want := range map[unix.Errno]string{
		unix.EBUSY:  "watches this process already (EBUSY)",
		unix.EINVAL: "Linux 5.5",
		unix.ENOSYS: "CONFIG_SECCOMP_FILTER",
	} {
		var lacks *intercept.LacksError
		if err := explain(errno); !errors.As(err, &lacks) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", errno, err, want)
		}
	}
	if err := explain(unix.EPERM); err != unix.EPERM {
		t.Errorf("EPERM: %v", err)
	}
}
