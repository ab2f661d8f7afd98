//go:build linux

package process_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"faultbox/intercept"
	"faultbox/runtime"
	"faultbox/runtime/process"
)

// TestPlace checks where and as what a service runs.
func TestPlace(t *testing.T) {
	w := newWorld(t)
	t.Setenv("FAULTBOX_SECRET", "not for services")
	t.Setenv("LANG", "C.UTF-8")
	work := t.TempDir()
	os.Chmod(filepath.Dir(work), 0o755)
	os.Chmod(work, 0o755)
	s := sh("api", "readlink /proc/self/ns/net; cat /proc/self/cgroup; cat /proc/self/stat; pwd; env; echo in $(cat) end; ls /proc/self/fd")
	s.Workdir = work
	s.Env = []string{"A=1", "TZ=UTC", "A=2", "WITH=a=b"}
	var target intercept.Target
	gated := 0
	i, err := process.New(process.Options{}).Start(context.Background(), w, s, func(t intercept.Target) error {
		target = t
		gated++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, "exit", i.Exited())
	out := i.Tail(1000)
	text := "\n" + strings.Join(out, "\n") + "\n"
	ns, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", w.NetNS().Fd()))
	if err != nil || out[0] != ns {
		t.Errorf("runs in %s, want %s (%v)", out[0], ns, err)
	}
	cgroup, _ := w.Cgroup("api")
	if target.Cgroup != cgroup || target.Name != "api" || target.NetNS != w.NetNS() || gated != 1 {
		t.Errorf("gate got %+v, %d times", target, gated)
	}
	world := filepath.Base(filepath.Dir(cgroup))
	for _, want := range []string{"/" + world + "/api\n", "\n" + work + "\n", "\nA=2\n", "\nTZ=UTC\n", "\nWITH=a=b\n", "\nLANG=C.UTF-8\n", "\nTMPDIR=" + w.Dir() + "\n", "\nin end\n0\n1\n2\n3\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("output lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "FAULTBOX_SECRET") || strings.Contains(text, "\nA=1\n") {
		t.Errorf("environment holds what it must not:\n%s", text)
	}
	for _, line := range out { // stat: pid (comm) state ppid pgrp session tty …
		if _, stat, ok := strings.Cut(line, ") "); ok {
			f := strings.Fields(stat)
			own, _ := syscall.Getpgid(0)
			if f[2] == strconv.Itoa(own) || f[2] != f[3] || f[4] != "0" {
				t.Errorf("process group %s, session %s, terminal %s: want a session of its own", f[2], f[3], f[4])
			}
		}
	}
}

func TestUser(t *testing.T) {
	w := newWorld(t)
	tests := []struct{ user, want string }{
		{"nobody", "65534 65534 65534 /nonexistent nobody"},
		{"nobody:daemon", "65534 1 1"},
		{"4242", "4242 0 0"},
		{"4242:4343", "4242 4343 4343"},
	}
	for n, tt := range tests {
		s := sh(fmt.Sprint("u", n), `echo $(id -u) $(id -g) $(id -G) $HOME $USER; echo ok > /dev/stdout; : > "$TMPDIR/mine.$$" || echo no temp`)
		s.User = tt.user
		s.Workdir = "/"
		i := start(t, w, s)
		within(t, "exit", i.Exited())
		got := i.Tail(9)
		if len(got) == 0 || got[len(got)-1] != "ok" {
			t.Errorf("user %s cannot use /dev/stdout or TMPDIR: %q", tt.user, got)
			continue
		}
	}
	// A shell's > truncates the log, so the ids are asked for on their own.
	for n, tt := range tests {
		s := sh(fmt.Sprint("v", n), `echo $(id -u) $(id -g) $(id -G) $HOME $USER`)
		s.User, s.Workdir = tt.user, "/"
		i := start(t, w, s)
		within(t, "exit", i.Exited())
		if got := i.Tail(1); len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
			t.Errorf("user %s runs as %q, want %q", tt.user, got, tt.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	file := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name    string
		service runtime.Service
		want    string
		gate    int
	}{
		{"missing", runtime.Service{Binary: "/nowhere/api"}, "find program /nowhere/api: there is no such file: build it first", 0},
		{"not in PATH", runtime.Service{Binary: "no-such-program"}, "it is not in PATH", 0},
		{"folder", runtime.Service{Binary: dir}, "it is a folder", 0},
		{"not executable", runtime.Service{Binary: file("plain", "x", 0o644)}, "chmod +x", 0},
		{"wrong format", runtime.Service{Binary: file("text", "hello\n", 0o755)}, "it is no program for this machine", 1},
		{"no interpreter", runtime.Service{Binary: file("script", "#!/no/such/interpreter\n", 0o755)}, "the interpreter in its first line", 1},
		{"no workdir", runtime.Service{Binary: "/bin/true", Workdir: "/nowhere"}, "correct workdir=", 0},
		{"no user", runtime.Service{Binary: "/bin/true", User: "no-such-user"}, "no such user", 0},
		{"no group", runtime.Service{Binary: "/bin/true", User: "nobody:no-such-group"}, "no such group", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.service.Name = "api"
			gated := 0
			i, err := process.New(process.Options{}).Start(context.Background(), w, &tt.service, func(intercept.Target) error { gated++; return nil })
			if err == nil {
				i.Stop(context.Background())
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want one with %q", err, tt.want)
			}
			if gated != tt.gate {
				t.Errorf("gate called %d times, want %d", gated, tt.gate)
			}
		})
	}
	closed := errors.New("gate is shut")
	if _, err := process.New(process.Options{}).Start(context.Background(), w, sh("api", "echo ran > $TMPDIR/ran"), func(intercept.Target) error { return closed }); !errors.Is(err, closed) {
		t.Errorf("gate fails: %v, want %v", err, closed)
	}
	if _, err := os.Stat(filepath.Join(w.Dir(), "ran")); err == nil {
		t.Error("the service ran though its gate failed")
	}
}

func TestPath(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	if err := os.Symlink("/bin/echo", filepath.Join(dir, "my-echo")); err != nil {
		t.Fatal(err)
	}
	i := start(t, w, &runtime.Service{Name: "api", Binary: "my-echo", Args: []string{"found"}, Env: []string{"PATH=" + dir}})
	within(t, "exit", i.Exited())
	if got := i.Tail(1); !slices.Equal(got, []string{"found"}) {
		t.Errorf("wrote %q", got)
	}
}
