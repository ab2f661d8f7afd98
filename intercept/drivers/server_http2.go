package drivers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Nginx starts an nginx for the test that serves h2c, and returns its address.
// Below / lie the files of dir; locations are further ones, as its
// configuration has them.
func Nginx(t testing.TB, dir, locations string) (addr string) {
	t.Helper()
	bin := lookPath(t, "nginx", "nginx-core")
	home, port := folder(t, ""), FreePort(t)
	conf := fmt.Sprintf(`daemon off; worker_processes 1; pid %[1]s/pid; error_log stderr;
events {}
http {
	access_log off; keepalive_requests 10000000; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; client_max_body_size 0;
	server { listen 127.0.0.1:%[2]s http2; root %[3]s; %[4]s }
}`, home, port, dir, locations)
	file := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	addr = "127.0.0.1:" + port
	run(t, exec.Command(bin, "-c", file, "-e", "stderr"), syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, "nginx", bin, "-v")
	return addr
}

// Nghttpd starts the server of nghttp2 for the test, in the clear, and returns
// its address. It serves the files of dir; args are further arguments.
func Nghttpd(t testing.TB, dir string, args ...string) (addr string) {
	t.Helper()
	bin := lookPath(t, "nghttpd", "nghttp2-server")
	port := FreePort(t)
	addr = "127.0.0.1:" + port
	args = append([]string{"--no-tls", "-a", "127.0.0.1", "-d", dir}, append(args, port)...)
	run(t, exec.Command(bin, args...), syscall.SIGTERM, func() error { return accepts(addr) })
	serves(addr, "nghttpd", bin, "--version")
	return addr
}
