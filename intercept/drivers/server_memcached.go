package drivers

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Memcached starts a memcached server for the test and returns its address.
// args are further arguments.
func Memcached(t testing.TB, args ...string) (addr string) {
	t.Helper()
	bin := lookPath(t, "memcached", "memcached")
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"-l", "127.0.0.1", "-p", port, "-U", "0", "-m", "64"}, args...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "nobody")
	}
	run(t, exec.Command(bin, args...), syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, "Memcached", bin, "--version")
	return addr
}
