//go:build linux

package dockertest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// dockerd is the engine of this machine.
func dockerd(e *Engine) *exec.Cmd {
	return exec.Command("dockerd", e.flags()...)
}

func (e *Engine) flags() []string {
	pid := filepath.Join(e.dir, "pid")
	os.Remove(pid)
	return []string{"--data-root", e.data, "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", pid, "--host", e.Host, "--bridge", "none", "--dns", nameserver}
}

// Newest starts the newest Docker there is, for the rest of the test: see
// .ci/deps.d/docker.sh.
func Newest(tb testing.TB) *Engine {
	tb.Helper()
	cache, err := cacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	programs := filepath.Join(cache, "docker-sid")
	if _, err := os.Stat(filepath.Join(programs, "complete")); err != nil {
		tb.Skip("needs a second, newer Docker: .ci/deps.d/docker.sh")
	}
	return another(tb, "docker-newest", func(e *Engine) *exec.Cmd {
		// Its programs and libraries stand where it expects them, for it alone.
		script := `mount --make-rprivate / && mount --bind "$0/fs/usr" /usr && exec dockerd "$@"`
		return exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, programs}, e.flags()...)...)
	})
}

// PodmanSocket is where Podman listens as if it were Docker.
const PodmanSocket = "/run/podman/podman.sock"

// Podman starts Podman's service, for the rest of the test.
func Podman(tb testing.TB) *Engine {
	tb.Helper()
	for _, program := range []string{"podman", "/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns"} {
		if _, err := exec.LookPath(program); err != nil {
			tb.Skip("needs " + program + ": apt-get install podman netavark aardvark-dns")
		}
	}
	return another(tb, "podman", func(e *Engine) *exec.Cmd {
		e.Host = "unix://" + PodmanSocket
		os.MkdirAll(filepath.Dir(PodmanSocket), 0o755)
		// Of the runtimes, runc alone works where there are both versions of cgroups.
		return exec.Command("podman", "--root", e.data, "--cgroup-manager", "cgroupfs", "--runtime", "runc",
			"system", "service", "--time=0", e.Host)
	})
}

// Cramped starts an engine with room for so many bytes, for the rest of the test.
func Cramped(tb testing.TB, bytes int) *Engine {
	tb.Helper()
	return another(tb, "docker-cramped", func(e *Engine) *exec.Cmd {
		if err := unix.Mount("tmpfs", e.data, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
			tb.Errorf("mount %s: %v", e.data, err)
		}
		tb.Cleanup(func() { unix.Unmount(e.data, unix.MNT_DETACH) })
		return dockerd(e)
	})
}

// Mute starts an engine that is set to keep no line that containers write, for
// the rest of the test.
func Mute(tb testing.TB) *Engine {
	tb.Helper()
	return another(tb, "docker-mute", func(e *Engine) *exec.Cmd {
		return exec.Command("dockerd", append(e.flags(), "--log-driver", "none")...)
	})
}

// Registry starts a registry of images, for the rest of the test, and returns
// its address and what ends it sooner.
func Registry(tb testing.TB) (address string, stop func()) {
	tb.Helper()
	if _, err := exec.LookPath("docker-registry"); err != nil {
		tb.Skip("needs docker-registry: apt-get install docker-registry")
	}
	dir := tb.TempDir()
	address = freeAddress(tb)
	config := fmt.Sprintf("version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n", dir, address)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command("docker-registry", "serve", file)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	stop = sync.OnceFunc(func() { cmd.Process.Kill(); cmd.Wait() })
	tb.Cleanup(stop)
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address, stop
		}
		if time.Since(begin) > time.Minute {
			stop()
			tb.Fatalf("the registry does not listen: %s", log.Bytes())
		}
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// another starts an engine for one test. DOCKER_HOST names it meanwhile.
func another(tb testing.TB, name string, command func(*Engine) *exec.Cmd) *Engine {
	tb.Helper()
	Start(tb) // the same needs
	e, err := launch(name, command)
	if err != nil {
		tb.Fatal(err)
	}
	os.Setenv("DOCKER_HOST", e.Host)
	tb.Cleanup(func() {
		os.Setenv("DOCKER_HOST", shared.Host)
		if err := e.close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}
