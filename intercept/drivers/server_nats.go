package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// NATS starts a NATS server with JetStream for the test and returns its
// address. args are further arguments.
func NATS(t testing.TB, args ...string) (addr string) {
	t.Helper()
	return startNATS(t, lookPath(t, "nats-server", "nats-server"), args...)
}

// EachNATS runs do with the distribution's server and with the newer one that
// .ci/deps.d/nats.sh builds.
func EachNATS(t *testing.T, do func(t *testing.T, addr string), args ...string) {
	t.Run("packaged", func(t *testing.T) { do(t, NATS(t, args...)) })
	t.Run("new", func(t *testing.T) { do(t, startNATS(t, cached(t, "bin/nats-server", ".ci/deps.d/nats.sh"), args...)) })
}

func startNATS(t testing.TB, bin string, args ...string) (addr string) {
	t.Helper()
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"-a", "127.0.0.1", "-p", port, "-js", "-sd", folder(t, "")}, args...)
	run(t, exec.Command(bin, args...), syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, "nats-server", bin, "--version")
	return addr
}

// cached returns the path of a file that a recipe puts into the tests' cache,
// or skips the test and names the recipe.
func cached(t testing.TB, name, recipe string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache folder for %s: %v", name, err)
	}
	path := filepath.Join(cache, "faultbox-tests", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs %s: sh %s", strings.TrimPrefix(name, "bin/"), recipe)
	}
	return path
}
