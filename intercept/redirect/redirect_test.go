//go:build linux

package redirect

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

var raw = &protocols.Protocol{Name: "tcp", New: func() protocols.Codec { return copyCodec{} }}

// copyCodec follows nothing.
type copyCodec struct{}

func (copyCodec) Decode(_ protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	return protocols.Frame{}, len(buf), nil
}

func (copyCodec) Apply(_ protocols.Dir, _ protocols.Frame, raw []byte, _ []protocols.Fate) ([]byte, []byte) {
	return raw, nil
}

func peer(to, ip string, port int) intercept.Peer {
	return intercept.Peer{To: to, Interface: "main", Protocol: raw,
		Addr: netip.AddrPortFrom(netip.MustParseAddr(ip), uint16(port))}
}

// TestTransparent has a client connect in every way it knows, directly and then
// through the proxy: it and the server must see the same.
func TestTransparent(t *testing.T) {
	w := newBench(t)
	for _, addr := range []string{"10.9.0.1/32", "10.9.0.2/32", "fd09::1/128"} {
		w.run("ip", "addr", "add", addr, "dev", "lo")
	}
	w.run("sysctl", "-qw", "net.ipv4.tcp_fastopen=1543") // both sides, data in the first SYN, every listener
	port, _ := w.server("tcp", "[::]:0")
	other, _ := w.server("tcp", "[::]:0")
	c := w.client(w.cgroup)

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
		{args: []any{"bound", "4", "127.0.0.1", port, "127.0.0.7"}},
		{args: []any{"bound", "4", "10.9.0.1", port, "10.9.0.2"}},
		{args: []any{"bound", "4", "10.9.0.1", port, "127.0.0.1"}},
		{args: []any{"bound", "6", "fd09::1", port, "fd09::1"}},
		{args: []any{"bound", "6", "fd09::1", port, "::1"}},
		{args: []any{"fastopen", "4", "127.0.0.1", port}},
		{args: []any{"fastopen", "6", "::1", port}},
		{args: []any{"fastopen_connect", "4", "127.0.0.1", port}},
		{args: []any{"again", "4", "127.0.0.1", other, port}},
		{args: []any{"again", "6", "::1", other, port}},
		{args: []any{"plain", "4", "127.0.0.1", other}, direct: true},
		{args: []any{"plain", "6", "::1", other}, direct: true},
		{args: []any{"to_device", "4", "127.0.0.1", port}, direct: true},
	}
	before := make([]sight, len(ways))
	for i, way := range ways {
		before[i] = c.connect(way.args...)
		if before[i].Echo == "" {
			t.Fatalf("%v fails without faultbox: %+v", way.args, before[i])
		}
	}
	r, _, _ := w.attach(w.cgroup, peer("db", "0.0.0.0", port))
	for i, way := range ways {
		after := c.connect(way.args...)
		if !reflect.DeepEqual(after, before[i]) {
			t.Errorf("%v\n direct: %+v\n proxied: %+v", way.args, before[i], after)
		}
		var want []string
		if !way.direct {
			want = []string{"api → db"}
		}
		expect(t, fmt.Sprint(way.args), r.take(), want)
	}

	// A socket that was redirected and connects again to an edge without rule.
	s := c.connect("again", "4", "127.0.0.1", port, other)
	if s.Echo == "" || s.Peer[1] != float64(other) {
		t.Errorf("connected again to %d: %+v", other, s)
	}
	expect(t, "again", r.take(), []string{"api → db"})
	r.quiet(t)
}

func TestRefusedStaysRefused(t *testing.T) {
	w := newBench(t)
	port, stop := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	r, _, _ := w.attach(w.cgroup, peer("db", "0.0.0.0", port))

	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
		t.Errorf("server up: %+v", s)
	}
	// Up, but not at this address.
	for _, ip := range []string{"127.0.0.2", "::1"} {
		if s := c.connect("plain", map[bool]string{true: "6", false: "4"}[ip == "::1"], ip, port); s.Errno != int(syscall.ECONNREFUSED) {
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

func TestUpdate(t *testing.T) {
	w := newBench(t)
	db, _ := w.server("tcp4", "127.0.0.1:0")
	cache, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	r, a, _ := w.attach(w.cgroup)
	for _, step := range []struct {
		peers []intercept.Peer
		want  []string
	}{
		{nil, nil},
		{[]intercept.Peer{peer("db", "127.0.0.1", db)}, []string{"api → db"}},
		{[]intercept.Peer{peer("db", "::", db), peer("cache", "0.0.0.0", cache)}, []string{"api → db", "api → cache"}},
		{[]intercept.Peer{peer("cache", "127.0.0.1", cache)}, []string{"api → cache"}},
		{nil, nil},
	} {
		if err := a.Update(step.peers); err != nil {
			t.Fatal(err)
		}
		for _, port := range []int{db, cache} {
			if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
				t.Errorf("connect: %+v", s)
			}
		}
		expect(t, fmt.Sprint(step.peers), r.take(), step.want)
	}
	r.quiet(t)
}

// TestMptcp: a multipath socket connects by its first subflow.
func TestMptcp(t *testing.T) {
	w := newBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	before := c.connect("mptcp", "4", "127.0.0.1", port)
	if before.Errno != 0 {
		t.Skip("needs a kernel with MPTCP: ", before.Error)
	}
	r, _, _ := w.attach(w.cgroup, peer("db", "0.0.0.0", port))
	after := c.connect("mptcp", "4", "127.0.0.1", port)
	if !reflect.DeepEqual(after, before) {
		t.Errorf("direct: %+v\n proxied: %+v", before, after)
	}
	expect(t, "mptcp", r.take(), []string{"api → db"})
	r.quiet(t)
}

func TestWithoutIPv6(t *testing.T) {
	w := newBench(t)
	w.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
	port, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	r, a, _ := w.attach(w.cgroup, peer("db", "::", port))
	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
		t.Errorf("connect: %+v", s)
	}
	expect(t, "without IPv6", r.take(), []string{"api → db"})
	if err := a.Update([]intercept.Peer{peer("db", "fd09::1", port)}); err == nil {
		t.Error("an IPv6 peer was accepted where there is no ::1")
	}
	r.quiet(t)
}

// TestParallelWorlds: the same addresses in many namespaces, one Interceptor.
func TestParallelWorlds(t *testing.T) {
	r := &relays{}
	i := &Interceptor{serve: r.serve}
	var wg sync.WaitGroup
	var want []string
	for n := range 6 {
		w := newBench(t)
		w.server("tcp4", "127.0.0.1:6001")
		s := w.storm()
		name := fmt.Sprint("api", n)
		a, err := i.Attach(t.Context(), intercept.Target{Name: name, Cgroup: w.cgroup, NetNS: w.ns,
			Peers: []intercept.Peer{peer(fmt.Sprint("db", n), "0.0.0.0", 6001)}}, r)
		if err != nil {
			t.Fatal(err)
		}
		defer i.Close()
		defer a.Close()
		for range 100 {
			want = append(want, fmt.Sprintf("%s → db%d", name, n))
		}
		wg.Go(func() {
			if err := s.run(storm{N: 100, Parallel: 4, To: []string{"127.0.0.1:6001"}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := r.take()
	slices.Sort(got)
	expect(t, "worlds", got, want)
	r.quiet(t)
}

// TestCurl: a real client that shows what it believes to be connected to.
func TestCurl(t *testing.T) {
	w := newBench(t)
	for _, tool := range []string{"curl", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs ", tool)
		}
	}
	port, stop := w.server("tcp4", "127.0.0.1:0")
	stop()
	w.start(cgroup2(t), exec.Command("python3", "-m", "http.server", "--directory", "testdata", strconv.Itoa(port)))
	r, _, _ := w.attach(w.cgroup, peer("web", "0.0.0.0", port))
	var out strings.Builder
	curl := exec.Command("curl", "-sS", "--retry", "20", "--retry-connrefused", "--retry-delay", "1", "-o", "/dev/null",
		"-w", "%{http_code} %{remote_ip}:%{remote_port}", fmt.Sprintf("http://localhost:%d/client.py", port))
	curl.Stdout = &out
	w.start(w.cgroup, curl)
	if err := curl.Wait(); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), fmt.Sprintf("200 127.0.0.1:%d", port); !strings.HasSuffix(got, want) {
		t.Errorf("curl: got %q, want %q", got, want)
	}
	expect(t, "curl", r.take(), []string{"api → web"})
}

// TestTwoServices share a network namespace; each has its own rules.
func TestTwoServices(t *testing.T) {
	w := newBench(t)
	other := filepath.Join(w.cgroup, "other")
	w.mkdir(other)
	child := filepath.Join(w.cgroup, "child")
	w.mkdir(child)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	r, _, i := w.attach(w.cgroup, peer("db", "0.0.0.0", port))

	c := w.client(child)
	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" || s.Peer[1] != float64(port) {
		t.Errorf("from a cgroup below the service's: %+v", s)
	}
	expect(t, "below", r.take(), []string{"api → db"})

	// The lower cgroup's own rule comes first; the upper one leaves it alone.
	b, err := i.Attach(context.Background(), intercept.Target{Name: "worker", Cgroup: other, NetNS: w.ns,
		Peers: []intercept.Peer{peer("db", "127.0.0.1", port)}}, r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c = w.client(other)
	if s := c.connect("plain", "4", "127.0.0.1", port); s.Echo == "" || s.Peer[1] != float64(port) {
		t.Errorf("from a service below another: %+v", s)
	}
	expect(t, "other", r.take(), []string{"worker → db"})
	if _, err := i.Attach(context.Background(), intercept.Target{Name: "twin", Cgroup: other, NetNS: w.ns}, r); err == nil {
		t.Error("a second attachment to a cgroup and namespace was accepted")
	}
	r.quiet(t)
}

// TestSameSource: the kernel may give clients of two services the same source
// port at once, as their listeners have different ones.
func TestSameSource(t *testing.T) {
	w := newBench(t)
	other := filepath.Join(w.cgroup, "other")
	w.mkdir(other)
	db, _ := w.server("tcp4", "127.0.0.1:0")
	cache, _ := w.server("tcp4", "127.0.0.1:0")
	r, a, i := w.attach(w.cgroup, peer("db", "0.0.0.0", db))
	b, err := i.Attach(t.Context(), intercept.Target{Name: "worker", Cgroup: other, NetNS: w.ns, Peers: []intercept.Peer{peer("cache", "0.0.0.0", cache)}}, r)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const source = 40000
	from := netip.MustParseAddrPort(fmt.Sprint("127.0.0.1:", source))
	w.client(w.cgroup).connect("from_port", "4", "127.0.0.1", db, source)
	w.client(other).connect("from_port", "4", "127.0.0.1", cache, source)
	expect(t, "from one port", r.take(), []string{"api → db", "worker → cache"})
	for _, c := range []struct {
		a    intercept.Attachment
		want int
	}{{a, db}, {b, cache}} {
		a := c.a.(*attachment)
		if to, _, err := a.kernel.meant(a.door, from); err != nil || int(to.Port()) != c.want {
			t.Errorf("%s, from %s, meant %s (%v), want port %d", a.name, from, to, err, c.want)
		}
	}
	r.quiet(t)
}

// TestSocketTableCloses: a descriptor that is closed may be somebody else's the
// next moment.
func TestSocketTableCloses(t *testing.T) {
	table, err := openSocketTable()
	if err != nil {
		t.Skip(err)
	}
	table.close()
	r, w, err := os.Pipe() // the first of them takes the place of what was closed
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	table.close()
	if table.listens(netip.MustParseAddrPort("127.0.0.1:1")) {
		t.Error("a closed table knows who listens")
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Errorf("write to a pipe that nobody closed: %v", err)
	}
}
