//go:build linux

package dockertest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"
)

// here is this package's folder.
func here() string {
	_, file, _, _ := goruntime.Caller(0)
	return filepath.Dir(file)
}

// Images makes stand-ins for images: see runtime/docker/images.
func (e *Engine) Images(tb testing.TB, names ...string) {
	tb.Helper()
	cmd := exec.Command("./build.sh", names...)
	cmd.Dir = filepath.Join(here(), "..", "images")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host, "DOCKER_BUILDKIT=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("make images: %v\n%s", err, out)
	}
}

// Faultbox builds the command as users have it: one static program.
func Faultbox(tb testing.TB) string {
	tb.Helper()
	path, err := faultbox()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Probe builds the service of the tests as a program of this machine.
func Probe() (string, error) { return probe() }

var (
	faultbox = sync.OnceValues(func() (string, error) { return cached("faultbox/cmd/faultbox") })
	probe    = sync.OnceValues(func() (string, error) { return cached("faultbox/runtime/docker/dockertest/probe") })
)

// cached builds a program in the tests' cache folder.
func cached(pkg string) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "bin", filepath.Base(pkg))
	if out, err := build(pkg, path); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

// Build builds a static program.
func Build(tb testing.TB, pkg, path string) {
	tb.Helper()
	if out, err := build(pkg, path); err != nil {
		tb.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

func build(pkg, path string) ([]byte, error) {
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, pkg)
	cmd.Dir = here()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd.CombinedOutput()
}
