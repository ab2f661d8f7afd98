//go:build linux

package dockertest

import (
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

var built struct {
	once sync.Once
	path string
	err  error
	out  []byte
}

// Faultbox builds the command as users have it: one static program.
func Faultbox(tb testing.TB) string {
	tb.Helper()
	built.once.Do(func() {
		var cache string
		if cache, built.err = cacheDir(); built.err != nil {
			return
		}
		built.path = filepath.Join(cache, "bin", "faultbox")
		built.out, built.err = build("faultbox/cmd/faultbox", built.path)
	})
	if built.err != nil {
		tb.Fatalf("build faultbox: %v\n%s", built.err, built.out)
	}
	return built.path
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
