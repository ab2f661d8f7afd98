//go:build linux

package docker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/runtime/docker/dockertest"
)

// published puts the image of the tests into a registry under a name, and
// takes it from the engine.
func published(t *testing.T, engine *dockertest.Engine, ref string) {
	t.Helper()
	engine.Images(t, "probe")
	engine.Must(t, "tag", "faultbox/probe", ref)
	engine.Must(t, "push", ref)
	engine.Must(t, "rmi", ref)
}

// twice is a spec with two services of an image.
func twice(ref string) string {
	return fmt.Sprintf(`
for name in ["a", "b"]:
    service(name, interface("main", "http", 8080), image = %q)
def test_nothing(): pass
`, ref)
}

// faultbox runs a spec and returns what it printed.
func faultbox(t *testing.T, spec string, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "faultbox.star")
	if err := os.WriteFile(file, []byte(spec), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(dockertest.Faultbox(t), append([]string{"test", file}, args...)...).CombinedOutput()
	return string(out), err
}

// TestPull fetches an image from a registry, once, if it is not there.
func TestPull(t *testing.T) {
	engine := dockertest.Start(t)
	registry, stop := dockertest.Registry(t)
	ref := registry + "/shop/probe:1"
	published(t, engine, ref)
	t.Cleanup(func() { engine.Docker("rmi", "--force", ref) })

	out, err := faultbox(t, twice(ref))
	if err != nil || strings.Count(out, "pulling image "+ref) != 1 || strings.Count(out, "pulled image "+ref+" in ") != 1 {
		t.Errorf("the first run: %v\n%s", err, out)
	}
	if out, err = faultbox(t, twice(ref)); err != nil || strings.Contains(out, "pull") {
		t.Errorf("the second run: %v\n%s", err, out)
	}
	out, err = faultbox(t, twice(registry+"/shop/nothing:1"))
	if want := "neither on this machine nor to be had from its registry: correct image="; err == nil || !strings.Contains(out, want) {
		t.Errorf("an image that there is not: %v\n%s\nwant %s", err, out, want)
	}
	engine.Must(t, "rmi", ref)
	stop()
	out, err = faultbox(t, twice(ref))
	if want := "its registry cannot be reached"; err == nil || !strings.Contains(out, want) {
		t.Errorf("a registry that is away: %v\n%s\nwant %s", err, out, want)
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestPullDiskFull: the engine has no room for the image.
func TestPullDiskFull(t *testing.T) {
	registry, _ := dockertest.Registry(t)
	ref := registry + "/shop/probe:1"
	published(t, dockertest.Start(t), ref)
	engine := dockertest.Cramped(t, 6<<20)
	out, err := faultbox(t, twice(ref))
	for _, want := range []string{"no space left on device", "the disk of the Docker engine is full: free some with `docker system prune`"} {
		if err == nil || !strings.Contains(out, want) {
			t.Errorf("%v\n%s\nwant %s", err, out, want)
		}
	}
	if left, err := engine.Left(); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
