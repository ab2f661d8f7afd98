//go:build linux

package redirect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/syscalls"
)

// furnished says that this process is in a network namespace made for the
// tests, and may not make others.
var furnished = os.Getenv("REDIRECT_TEST_FURNISHED") != ""

// furnish makes a network namespace what the tests expect.
var furnish = []string{"sh", "-ec", `
	ip link set lo up
	for a in 10.9.0.1/32 10.9.0.2/32 fd09::1/128; do ip addr add $a dev lo; done
	sysctl -qw net.ipv4.tcp_fastopen=1543 # both sides, data in the first SYN, every listener
	exec "$@"`, "sh"}

// newPlainBench is newBench without programs: nothing but a namespace.
func newPlainBench(tb testing.TB) *bench {
	tb.Helper()
	if err := NewByCall().Supported(); err != nil {
		tb.Skip(err)
	}
	if furnished {
		ns, err := home()
		if err != nil {
			tb.Fatal(err)
		}
		return &bench{tb: tb, ns: ns}
	}
	if os.Geteuid() != 0 {
		tb.Skip("needs root to make a network namespace")
	}
	w := &bench{tb: tb, ns: newNetNS(tb)}
	w.run(furnish[0], append(furnish[1:], "true")...)
	return w
}

// asNobody makes a command one of a user without privileges.
func asNobody(argv ...string) []string {
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"}, argv...)
}

// TestByCallUnprivileged runs the tests again without any privilege, and
// without a user namespace.
func TestByCallUnprivileged(t *testing.T) {
	if furnished || os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	dir, err := os.MkdirTemp("/tmp", "redirect-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	os.Chmod(dir, 0o755)
	program := filepath.Join(dir, "redirect.test")
	self, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.WriteFile(program, self, 0o755), os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")))
	}
	if err != nil {
		t.Fatal(err)
	}
	again, want := []string{program, "-test.v", "-test.run=^TestByCall"}, 9
	if skip := flag.Lookup("test.skip").Value.String(); skip != "" {
		again, want = append(again, "-test.skip="+skip), 5
	}
	argv := append(furnish[:len(furnish):len(furnish)], asNobody(again...)...)
	cmd := exec.Command("unshare", append([]string{"--net", "--"}, argv...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REDIRECT_TEST_FURNISHED=1", "HOME=/nonexistent", "TMPDIR=/tmp", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	clients := strings.Count(string(out), "--- SKIP: TestByCallClients/") // this machine lacks
	if err != nil || strings.Count(string(out), "--- PASS: TestByCall")+clients < want {
		t.Errorf("%v\n%s", err, out)
	}
}

// byCall starts a program as service "api", whose connections are intercepted
// at connect(2). started is called in its namespace.
func (w *bench) byCall(r *relays, cmd *exec.Cmd, peers ...intercept.Peer) intercept.Attachment {
	w.tb.Helper()
	i, calls := &ByCall{serve: r.serve}, syscalls.New()
	t := intercept.Target{Name: "api", NetNS: w.ns, Peers: peers, Exec: &intercept.Exec{Path: cmd.Path, Argv: cmd.Args}}
	a, err := i.Attach(context.Background(), t, r)
	if err != nil {
		w.tb.Fatal(err)
	}
	watch, err := calls.Attach(context.Background(), t, r)
	if err != nil {
		w.tb.Fatal(err)
	}
	cmd.Path, cmd.Args, cmd.ExtraFiles, cmd.Err = t.Exec.Path, t.Exec.Argv, t.Exec.Files, nil
	if err := inside(w.ns, cmd.Start); err != nil {
		w.tb.Fatal(err)
	}
	for _, f := range t.Exec.Files {
		f.Close()
	}
	w.tb.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		for _, c := range []interface{ Close() error }{a, watch, calls, i} {
			if err := c.Close(); err != nil {
				w.tb.Error(err)
			}
		}
	})
	if err := t.Exec.Started(); err != nil {
		w.tb.Fatal(err)
	}
	return a
}

// newClient is testdata/client.py; start starts it.
func newClient(tb testing.TB, start func(*exec.Cmd)) *client {
	tb.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		tb.Skip("needs python3 as a client")
	}
	cmd := exec.Command("python3", "testdata/client.py")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	start(cmd)
	return &client{tb, in, bufio.NewReader(out)}
}

// plainClient is a client that nobody intercepts.
func (w *bench) plainClient() *client {
	return newClient(w.tb, func(cmd *exec.Cmd) {
		if err := inside(w.ns, cmd.Start); err != nil {
			w.tb.Fatal(err)
		}
		w.tb.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	})
}

// TestByCallTransparent: see TestTransparent.
func TestByCallTransparent(t *testing.T) {
	w := newPlainBench(t)
	port, _ := w.server("tcp", "[::]:0")
	other, _ := w.server("tcp", "[::]:0")
	r := &relays{}
	direct := w.plainClient()
	c := newClient(t, func(cmd *exec.Cmd) { w.byCall(r, cmd, peer("db", "0.0.0.0", port)) })
	ways := []struct {
		args   []any
		direct bool // is left alone
	}{
		{args: []any{"plain", "4", "127.0.0.1", port}},
		{args: []any{"plain", "4", "127.0.0.5", port}},
		{args: []any{"plain", "4", "0.0.0.0", port}},
		{args: []any{"plain", "4", "10.9.0.1", port}},
		{args: []any{"plain", "6", "::1", port}},
		{args: []any{"plain", "6", "::", port}},
		{args: []any{"plain", "6", "fd09::1", port}},
		{args: []any{"plain", "6", "::ffff:127.0.0.1", port}},
		{args: []any{"plain", "6", "::ffff:10.9.0.1", port}},
		{args: []any{"by_name", "", "localhost", port}},
		{args: []any{"nonblocking", "4", "127.0.0.1", port}},
		{args: []any{"nonblocking", "6", "::1", port}},
		{args: []any{"nonblocking", "4", "10.9.0.1", port}},
		{args: []any{"bound", "4", "127.0.0.1", port, "127.0.0.7"}},
		{args: []any{"bound", "4", "10.9.0.1", port, "10.9.0.2"}},
		{args: []any{"bound", "4", "10.9.0.1", port, "127.0.0.1"}},
		{args: []any{"bound", "6", "fd09::1", port, "fd09::1"}},
		{args: []any{"bound", "6", "fd09::1", port, "::1"}},
		{args: []any{"again", "4", "127.0.0.1", other, port}},
		{args: []any{"again", "6", "::1", other, port}},
		{args: []any{"mptcp", "4", "127.0.0.1", port}},
		{args: []any{"fastopen", "4", "127.0.0.1", port}, direct: true},
		{args: []any{"fastopen", "6", "::1", port}, direct: true},
		{args: []any{"fastopen_connect", "4", "127.0.0.1", port}, direct: true},
		{args: []any{"plain", "4", "127.0.0.1", other}, direct: true},
		{args: []any{"plain", "6", "::1", other}, direct: true},
		{args: []any{"to_device", "4", "127.0.0.1", port}, direct: true},
	}
	for _, way := range ways {
		before, after := direct.connect(way.args...), c.connect(way.args...)
		if before.Echo == "" {
			t.Fatalf("%v fails without faultbox: %+v", way.args, before)
		}
		if !reflect.DeepEqual(after, before) {
			t.Errorf("%v\n direct: %+v\n proxied: %+v", way.args, before, after)
		}
		var want []string
		if !way.direct {
			want = []string{"api → db"}
		}
		expect(t, fmt.Sprint(way.args), r.take(), want)
	}
	// A socket that was redirected and connects again to an edge without rule.
	if s := c.connect("again", "4", "127.0.0.1", port, other); s.Echo == "" || s.Peer[1] != float64(other) {
		t.Errorf("connected again to %d: %+v", other, s)
	}
	expect(t, "again", r.take(), []string{"api → db"})
	r.quiet(t)
}

func TestByCallRefusedStaysRefused(t *testing.T) {
	w := newPlainBench(t)
	port, stop := w.server("tcp4", "127.0.0.1:0")
	r := &relays{}
	c := newClient(t, func(cmd *exec.Cmd) { w.byCall(r, cmd, peer("db", "0.0.0.0", port)) })
	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
		t.Errorf("server up: %+v", s)
	}
	for family, ip := range map[string]string{"4": "127.0.0.2", "6": "::1"} { // up, but not there
		if s := c.connect("plain", family, ip, port); s.Errno != int(syscall.ECONNREFUSED) {
			t.Errorf("connect to %s: %+v", ip, s)
		}
	}
	expect(t, "server up", r.take(), []string{"api → db"})
	stop()
	for _, how := range []string{"plain", "nonblocking"} {
		if s := c.connect(how, "4", "127.0.0.1", port); s.Errno != int(syscall.ECONNREFUSED) {
			t.Errorf("server down: %+v", s)
		}
	}
	expect(t, "server down", r.take(), nil)
	w.server("tcp4", fmt.Sprint("127.0.0.1:", port))
	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
		t.Errorf("server up again: %+v", s)
	}
	expect(t, "server up again", r.take(), []string{"api → db"})
	r.quiet(t)
}

// TestByCallUpdate changes the rules of a program that runs, and ends them.
func TestByCallUpdate(t *testing.T) {
	w := newPlainBench(t)
	db, _ := w.server("tcp4", "127.0.0.1:0")
	cache, _ := w.server("tcp4", "127.0.0.1:0")
	r := &relays{}
	var a intercept.Attachment
	c := newClient(t, func(cmd *exec.Cmd) { a = w.byCall(r, cmd) })
	try := func(want []string) {
		t.Helper()
		for _, port := range []int{db, cache} {
			if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" || s.Peer[1] != float64(port) {
				t.Errorf("connect: %+v", s)
			}
		}
		expect(t, "update", r.take(), want)
	}
	try(nil)
	for _, step := range []struct {
		peers []intercept.Peer
		want  []string
	}{
		{[]intercept.Peer{peer("db", "127.0.0.1", db)}, []string{"api → db"}},
		{[]intercept.Peer{peer("db", "::", db), peer("cache", "0.0.0.0", cache)}, []string{"api → db", "api → cache"}},
		{nil, nil},
		{[]intercept.Peer{peer("cache", "127.0.0.1", cache)}, []string{"api → cache"}},
	} {
		if err := a.Update(step.peers); err != nil {
			t.Fatal(err)
		}
		try(step.want)
	}
	if err := a.Update([]intercept.Peer{peer("far", "192.0.2.1", db)}); err == nil || !strings.Contains(err.Error(), "within this machine") {
		t.Errorf("a peer on another machine: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	try(nil)
	r.quiet(t)
}

// testUndumpable: what cannot be intercepted without privileges works as
// it is, and is told.
func testUndumpable(t *testing.T) {
	w := newPlainBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	r := &relays{}
	c := newClient(t, func(cmd *exec.Cmd) { w.byCall(r, cmd, peer("db", "0.0.0.0", port)) })
	for range 2 {
		if s := c.connect("undumpable", "4", "127.0.0.1", port); s.Echo == "" || s.Peer[1] != float64(port) {
			t.Errorf("connect: %+v", s)
		}
	}
	expect(t, "undumpable", r.take(), nil)
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], "went its own way") {
		t.Errorf("notes: %q", r.notes)
	}
}

// TestByCallStorm: many connections at once, blocking and not, that all must
// reach whom they meant.
func TestByCallStorm(t *testing.T) {
	w := newPlainBench(t)
	var to []string
	var peers []intercept.Peer
	for range 3 {
		port, _ := w.server("tcp4", "127.0.0.1:0")
		to = append(to, fmt.Sprint("127.0.0.1:", port))
		peers = append(peers, peer("db", "0.0.0.0", port))
	}
	r := &relays{}
	cmd := exec.Command("/proc/self/exe", "part:storm")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	w.byCall(r, cmd, peers...)
	s := &stormer{json.NewEncoder(in), bufio.NewReader(out)}
	if err := s.run(storm{N: 3000, Parallel: 16, To: to, Reset: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(r.take()); n != 3000 {
		t.Errorf("%d connections went through the proxy, want 3000", n)
	}
	r.quiet(t)
}

// TestByCallClients: clients that nobody here wrote, directly and intercepted,
// as a user without privileges.
func TestByCallClients(t *testing.T) {
	if furnished { // root may look into every process
		t.Run("undumpable", testUndumpable)
	}
	w := newPlainBench(t)
	port, stop := w.server("tcp4", "127.0.0.1:0")
	stop()
	web := exec.Command("python3", "-m", "http.server", "--directory", "testdata", fmt.Sprint(port))
	if err := inside(w.ns, web.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { web.Process.Kill(); web.Wait() })
	url := fmt.Sprintf("http://localhost:%d/client.py", port)
	clients := map[string][]string{
		"curl":    {"curl", "-s", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null", "-w", "%{http_code} %{remote_ip}:%{remote_port} %{size_download}", url},
		"python3": {"/usr/bin/python3", "-c", "import urllib.request as u; r = u.urlopen('" + url + "'); print(r.status, len(r.read()))"},
		// Node 18 tries only the first address that a name has.
		"node": {"node", "-e", "fetch('" + strings.Replace(url, "localhost", "127.0.0.1", 1) + "').then(async r => console.log(r.status, (await r.text()).length))"},
	}
	for _, name := range []string{"curl", "python3", "node"} { // curl waits until the server is up
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(clients[name][0]); err != nil {
				t.Skip("needs ", name)
			}
			argv := clients[name]
			if !furnished {
				argv = asNobody(argv...)
			}
			run := func(start func(*exec.Cmd)) string {
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Env = append(os.Environ(), "HOME=/nonexistent")
				var out strings.Builder
				cmd.Stdout, cmd.Stderr = &out, &out
				start(cmd)
				err := cmd.Wait()
				return fmt.Sprint(out.String(), err)
			}
			direct := run(func(cmd *exec.Cmd) {
				if err := inside(w.ns, cmd.Start); err != nil {
					t.Fatal(err)
				}
			})
			r := &relays{}
			w := &bench{tb: t, ns: w.ns}
			through := run(func(cmd *exec.Cmd) { w.byCall(r, cmd, peer("web", "0.0.0.0", port)) })
			if direct != through || !strings.HasPrefix(direct, "200 ") {
				t.Errorf("direct: %q\nthrough the proxy: %q", direct, through)
			}
			expect(t, name, slices.Compact(r.take()), []string{"api → web"})
			r.quiet(t)
		})
	}
}

// BenchmarkByCall measures a connection and its end: direct, watched but on an
// edge without a rule, and through the proxy.
func BenchmarkByCall(b *testing.B) {
	w := newPlainBench(b)
	armed, _ := w.server("tcp4", "127.0.0.1:0")
	other, _ := w.server("tcp4", "127.0.0.1:0")
	for _, c := range []struct {
		name    string
		port    int
		watched bool
	}{{"direct", armed, false}, {"other edge", other, true}, {"proxied", armed, true}} {
		b.Run(c.name, func(b *testing.B) {
			w := &bench{tb: b, ns: w.ns}
			cmd := exec.Command("/proc/self/exe", "part:storm")
			in, _ := cmd.StdinPipe()
			out, _ := cmd.StdoutPipe()
			cmd.Stderr = os.Stderr
			if c.watched {
				w.byCall(&relays{}, cmd, peer("db", "0.0.0.0", armed))
			} else {
				if err := inside(w.ns, cmd.Start); err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
			}
			s := &stormer{json.NewEncoder(in), bufio.NewReader(out)}
			b.ResetTimer()
			begin := time.Now()
			if err := s.run(storm{N: b.N, Parallel: 4, To: []string{fmt.Sprint("127.0.0.1:", c.port)}, Reset: true}); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/time.Since(begin).Seconds(), "connects/s")
		})
	}
}

// BenchmarkByCallThroughput: connections that were made cost what the proxy
// costs, whichever way they came to it.
func BenchmarkByCallThroughput(b *testing.B) {
	for _, tool := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skip("needs ", tool)
		}
	}
	w := newBench(b)
	server := exec.Command("redis-server", "--port", "6001", "--save", "", "--loglevel", "warning")
	server.Dir = b.TempDir()
	if err := inside(w.ns, server.Start); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Process.Kill(); server.Wait() })
	w.run("sh", "-c", "until redis-cli -p 6001 ping; do sleep 0.1; done")
	for _, how := range []string{"direct", "at connect(2)", "by BPF"} {
		b.Run(how, func(b *testing.B) {
			w := &bench{tb: b, ns: w.ns, cgroup: w.cgroup}
			var out strings.Builder
			cmd := exec.Command("redis-benchmark", "-p", "6001", "-t", "get", "-c", "50", "-n", fmt.Sprint(max(b.N, 1000)), "--csv")
			cmd.Stdout = &out
			switch how {
			case "at connect(2)":
				w.byCall(&relays{}, cmd, peer("cache", "0.0.0.0", 6001))
			case "by BPF":
				w.attach(w.cgroup, peer("cache", "0.0.0.0", 6001))
				w.start(w.cgroup, cmd)
			default:
				w.start(w.cgroup, cmd)
			}
			if err := cmd.Wait(); err != nil {
				b.Fatal(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var rate float64
			if fields := strings.Split(lines[len(lines)-1], ","); len(fields) > 1 {
				fmt.Sscanf(fields[1], "\"%f\"", &rate)
			}
			b.ReportMetric(rate, "requests/s")
		})
	}
}
