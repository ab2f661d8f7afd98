//go:build linux

package docker_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"faultbox/runtime/docker/dockertest"
)

// TestCycles starts and stops two containers over and over, with an edge
// between them intercepted and a volume each: FAULTBOX_CYCLES times, 20 by
// default. Nothing of them may be left.
func TestCycles(t *testing.T) {
	cycles := 20
	if n, err := strconv.Atoi(os.Getenv("FAULTBOX_CYCLES")); err == nil {
		cycles = n
	}
	engine := dockertest.Start(t)
	engine.Images(t, "probe")
	if err := engine.Empty(); err != nil {
		t.Fatal(err)
	}
	image(t, engine, "faultbox/volume", "FROM faultbox/probe\nVOLUME /data\n")
	var first string
	var ids []string
	for n := range cycles {
		t.Run("cycle", func(t *testing.T) {
			front, back := probe("front"), probe("back")
			front.Image, back.Image = "faultbox/volume", "faultbox/volume"
			b := newBed(t, front, back)
			server, client := b.start(t, back, nil), b.start(t, front, &witness{}, peerOf(b, back))
			ready(t, server)
			ready(t, client)
			ids = append(ids, strings.Fields(engine.Must(t, "ps", "--no-trunc", "--quiet"))...)
		})
		if t.Failed() {
			return
		}
		if n == 1 { // what is opened once and kept is open by now
			first = holdings(t)
		}
		if n%50 == 49 {
			t.Logf("after %d cycles: %s", n+1, holdings(t))
		}
	}
	last := holdings(t)
	for begin := time.Now(); last != first && time.Since(begin) < 10*time.Second; last = holdings(t) {
		time.Sleep(100 * time.Millisecond) // what closes in the background
	}
	if last != first {
		t.Errorf("after %d cycles there are %s; after two %s", cycles, last, first)
	}
	if len(ids) != 2*cycles {
		t.Errorf("%d containers ran, want %d", len(ids), 2*cycles)
	}
	if left := cgroupsOf(ids); len(left) > 0 {
		t.Errorf("left behind: %d cgroups, one of them %s", len(left), left[0])
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// holdings counts what this process holds, and what there is in its namespaces,
// which are its own.
func holdings(t *testing.T) string {
	t.Helper()
	goruntime.GC()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	links, err := exec.Command("ip", "-o", "link").Output()
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	programs, _ := os.ReadDir("/sys/fs/bpf")
	return fmt.Sprintf("%d descriptors, %d links, %d mounts, %d processes, %d pinned programs",
		len(fds), bytes.Count(links, []byte("\n")), bytes.Count(mounts, []byte("\n")), len(processes), len(programs))
}

// cgroupsOf lists the cgroups of containers, in every hierarchy.
func cgroupsOf(ids []string) (left []string) {
	for _, pattern := range []string{"/sys/fs/cgroup/docker/*", "/sys/fs/cgroup/*/docker/*"} {
		all, _ := filepath.Glob(pattern)
		for _, path := range all {
			for _, id := range ids {
				if filepath.Base(path) == id {
					left = append(left, path)
				}
			}
		}
	}
	return left
}
