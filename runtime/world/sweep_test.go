//go:build linux

package world

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/runtime/host"
)

// TestMain lets the test binary play a run that is killed.
func TestMain(m *testing.M) {
	if root := os.Getenv("WORLD_TEST_VICTIM"); root != "" {
		victim(root)
	}
	os.Exit(m.Run())
}

// victim makes a world with a service, says so and waits to be killed.
func victim(root string) {
	w, err := New(Options{RunID: "victim", Root: root}).New(context.Background(), "doomed")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	defer w.Close() // never done: it keeps w and its locks from the garbage collector
	dir, err := w.Cgroup("api")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	cg, _ := os.Open(dir)
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Fd()), Setsid: true}
	if err := host.Inside(w.NetNS(), cmd.Start); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.WriteFile(filepath.Join(w.Dir(), "data"), []byte("x"), 0o600)
	fmt.Println(cmd.Process.Pid, dir, w.Dir())
	time.Sleep(time.Hour) // select{} ends a program in which nothing else goes on
}

func TestSweep(t *testing.T) {
	root := filepath.Join(t.TempDir(), "worlds")
	survivors := needWorlds(t, Options{Root: root})
	survivor := make1(t, survivors, "survivor")
	alive := start(t, survivor, "api", "sleep", "1000")

	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "WORLD_TEST_VICTIM="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	fields := strings.Fields(line)
	if len(fields) != 3 || fields[0] == "error" {
		cmd.Process.Kill()
		t.Fatalf("victim said %q", line)
	}
	pid, _ := strconv.Atoi(fields[0])
	cgroup, dir := fields[1], fields[2]

	if err := survivors.Sweep(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, 0); !exists(cgroup) || !exists(dir) || err != nil {
		t.Fatalf("the sweep touched a run that lives: cgroup there: %v, folder: %v, service: %v", exists(cgroup), exists(dir), err)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if syscall.Kill(pid, 0) != nil {
		t.Error("the service died with the run: it must go on serving")
	}
	if err := survivors.Sweep(); err != nil {
		t.Error(err)
	}
	if exists(filepath.Dir(filepath.Dir(cgroup))) || exists(filepath.Dir(dir)) {
		t.Error("the sweep left the dead run's cgroup or folder")
	}
	if gone(pid) != nil {
		t.Error("the sweep left the dead run's service")
	}
	if alive.Process.Signal(syscall.Signal(0)) != nil || !exists(survivor.Dir()) {
		t.Error("the sweep touched its own run")
	}
}

// gone waits until a process that is not our child is reaped.
func gone(pid int) error {
	for range 500 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(stat), ") Z ") {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("still there")
}

// TestSweepSparesStrangers: only folders with a run's name and its marker are
// removed with what is in them.
func TestSweepSparesStrangers(t *testing.T) {
	root := t.TempDir()
	worlds := needWorlds(t, Options{Root: root})
	for _, name := range []string{"run-stranger", "build", "run-with.dot"} {
		if err := os.MkdirAll(filepath.Join(root, name, "mine"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "run-empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := worlds.Sweep(); err == nil || !strings.Contains(err.Error(), "run-stranger") {
		t.Errorf("sweep says %v about a folder that it does not know", err)
	}
	if exists(filepath.Join(root, "run-empty")) {
		t.Error("an empty folder of a run that died at once is left")
	}
	for _, name := range []string{"run-stranger", "build", "run-with.dot"} {
		if !exists(filepath.Join(root, name, "mine")) {
			t.Errorf("the sweep removed %s", name)
		}
	}
}

// TestSweepSparesCgroups: a cgroup that no run has marked is left alone with
// what runs in it, whatever its name and lock.
func TestSweepSparesCgroups(t *testing.T) {
	worlds := needWorlds(t, Options{Root: filepath.Join(t.TempDir(), "worlds")})
	bases, err := cgroupBases()
	if err != nil {
		t.Fatal(err)
	}
	id := newRunID()
	for _, c := range []struct {
		name, mark string
		spared     bool
	}{{"unmarked", "", true}, {"another's mark", "other" + id, true}, {"a dead run's", id, false}} {
		dir := filepath.Join(bases[0], cgroupPrefix+id)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { killCgroup(dir) })
		if c.mark != "" {
			if err := unix.Setxattr(dir, mark, []byte(c.mark), 0); err != nil {
				t.Fatal(err)
			}
		}
		cg, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sleep", "1000")
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cg.Fd())}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cg.Close()
		if err := worlds.Sweep(); err != nil {
			t.Error(err)
		}
		if exists(dir) != c.spared || (len(host.Processes(dir)) == 1) != c.spared {
			t.Errorf("%s: cgroup there: %v, processes %v", c.name, exists(dir), host.Processes(dir))
		}
		cmd.Process.Kill()
		cmd.Wait()
		if err := killCgroup(dir); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLockedRun(t *testing.T) {
	root := filepath.Join(t.TempDir(), "worlds")
	make1(t, needWorlds(t, Options{Root: root, RunID: "twice"}), "one")
	if _, err := New(Options{Root: root, RunID: "twice"}).New(context.Background(), "two"); !errors.Is(err, errLocked) {
		t.Errorf("a second run of the same id: %v, want %v", err, errLocked)
	}
}

func TestUnsafeRoot(t *testing.T) {
	root := filepath.Join(t.TempDir(), "worlds")
	needWorlds(t, Options{Root: root})
	if err := os.Chmod(root, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Root: root}).New(context.Background(), "x"); err == nil || !strings.Contains(err.Error(), "not safe") {
		t.Errorf("a folder that anybody may write: %v", err)
	}
}

func TestBasesOf(t *testing.T) {
	const v1 = "30 24 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	tests := []struct {
		name, mountinfo, self string
		want                  []string
	}{
		{"hybrid", v1 + "40 24 0:30 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw\n", "1:cpu:/x\n0::/\n",
			[]string{"/sys/fs/cgroup/unified"}},
		{"pure", "40 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "0::/user.slice/session-1.scope\n",
			[]string{"/sys/fs/cgroup", "/sys/fs/cgroup/user.slice/session-1.scope"}},
		{"container without cgroup namespace", "40 24 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/docker/abc/init\n",
			[]string{"/sys/fs/cgroup", "/sys/fs/cgroup/init"}},
		{"we are outside of what the mount shows", "40 24 0:30 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "0::/other\n",
			[]string{"/sys/fs/cgroup"}},
		{"blank in the path", "40 24 0:30 / /mnt/my\\040cg rw - cgroup2 cgroup rw\n", "0::/\n", []string{"/mnt/my cg"}},
		{"v1 only", v1, "1:cpu:/\n", nil},
	}
	for _, tt := range tests {
		if got := basesOf(tt.mountinfo, tt.self); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestSafeName(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{"db", "a/b", "a_b", "a.b", "", ".", "..", "cgroup.procs", "ünïcode", strings.Repeat("x", 100), strings.Repeat("x", 101)} {
		got := safeName(name)
		if got == "" || len(got) > 40 || strings.ContainsAny(got, "/.") || safeName(got) != got {
			t.Errorf("safeName(%q) = %q", name, got)
		}
		if other, dup := seen[got]; dup {
			t.Errorf("%q and %q both give %q", name, other, got)
		}
		seen[got] = name
	}
}

// TestDefaultRoot: many runs at once come and go, and the last one takes the
// folder of all runs with it.
func TestDefaultRoot(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	if err := New(Options{}).Supported(); err != nil {
		needWorlds(t, Options{}) // skips if that is why
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				w, err := New(Options{}).New(context.Background(), "x")
				if err != nil {
					t.Error(err)
					return
				}
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			if err := New(Options{}).Sweep(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
