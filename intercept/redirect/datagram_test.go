//go:build linux

package redirect

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

var datagrams = &protocols.Protocol{Name: "udp", Datagram: true, New: func() protocols.Codec { return messageCodec{} }}

// messageCodec takes each datagram as a message.
type messageCodec struct{ copyCodec }

func (messageCodec) Decode(_ protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	return protocols.Frame{Items: []protocols.Item{{Op: "datagram"}}, Oneway: true, End: true}, len(buf), nil
}

func datagramPeer(to, ip string, port int) intercept.Peer {
	p := peer(to, ip, port)
	p.Protocol = datagrams
	return p
}

// datagramServer answers "who" and echoes the rest, at each of these addresses
// on one port. The returned function ends it.
func (w *bench) datagramServer(port int, addrs ...string) (int, func()) {
	w.tb.Helper()
	var socks []net.PacketConn
	for _, addr := range addrs {
		err := inside(w.ns, func() error {
			c, err := net.ListenPacket("udp", net.JoinHostPort(addr, fmt.Sprint(port)))
			if err == nil {
				port = c.LocalAddr().(*net.UDPAddr).Port
				socks = append(socks, c)
			}
			return err
		})
		if err != nil {
			w.tb.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for _, c := range socks {
		wg.Go(func() {
			buf := make([]byte, 1<<17)
			for {
				n, from, err := c.ReadFrom(buf)
				if err != nil {
					return
				}
				answer := buf[:n]
				if string(answer) == "who" {
					answer = fmt.Appendf(nil, "%s %s", c.LocalAddr(), from.(*net.UDPAddr).IP)
				}
				c.WriteTo(answer, from)
			}
		})
	}
	stop := sync.OnceFunc(func() {
		for _, c := range socks {
			c.Close()
		}
		wg.Wait()
	})
	w.tb.Cleanup(stop)
	return port, stop
}

// sender is testdata/datagrams.py, running in a service's cgroup.
func (w *bench) sender(cgroup string) func(how ...any) string {
	w.tb.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		w.tb.Skip("needs python3 as a client")
	}
	cmd := exec.Command("python3", "testdata/datagrams.py")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	w.start(cgroup, cmd)
	lines := bufio.NewReader(out)
	return func(how ...any) string {
		w.tb.Helper()
		line, _ := json.Marshal(how)
		fmt.Fprintf(in, "%s\n", line)
		answer, err := lines.ReadString('\n')
		if err != nil {
			w.tb.Fatalf("client, told %s: %v", line, err)
		}
		return strings.TrimSpace(answer)
	}
}

// counter counts what is decided on.
type counter struct {
	relays
	mu sync.Mutex
	n  int
}

func (c *counter) Decide(*intercept.Event, *protocols.Item) intercept.Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return intercept.Decision{}
}

// took returns how many datagrams were relayed since it was last called.
func (c *counter) took() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.n
	c.n = 0
	return n
}

func (w *bench) attachDatagrams(peers ...intercept.Peer) (*counter, intercept.Attachment) {
	w.tb.Helper()
	c, i := &counter{}, New()
	a, err := i.Attach(context.Background(), intercept.Target{Name: "api", Cgroup: w.cgroup, NetNS: w.ns, Peers: peers}, c)
	if err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			w.tb.Error(err)
		}
		if err := i.Close(); err != nil {
			w.tb.Error(err)
		}
	})
	return c, a
}

// TestDatagramsTransparent has a client send in every way it knows, directly
// and then through the proxy: it and the server must see the same.
func TestDatagramsTransparent(t *testing.T) {
	w := newBench(t)
	for _, addr := range []string{"10.9.0.1/32", "10.9.0.2/32"} {
		w.run("ip", "addr", "add", addr, "dev", "lo")
	}
	for _, addr := range []string{"fd09::1/128", "fd09::2/128"} {
		w.run("ip", "addr", "add", addr, "dev", "lo", "nodad")
	}
	at := []string{"127.0.0.1", "127.0.0.5", "10.9.0.1", "::1", "fd09::1"}
	port, _ := w.datagramServer(0, at...)
	other, _ := w.datagramServer(0, at...)
	send := w.sender(w.cgroup)

	type way struct {
		args   []any
		direct bool // is left alone
	}
	var ways []way
	for _, to := range append(at, "0.0.0.0", "::", "::ffff:127.0.0.5", "::ffff:10.9.0.1") {
		family := "4"
		if strings.Contains(to, ":") {
			family = "6"
		}
		for _, how := range []string{"plain", "sendto", "sendmsg", "sendto_sizes"} {
			ways = append(ways, way{args: []any{how, family, to, port}})
		}
		ways = append(ways,
			way{args: []any{"sendto_many", family, to, port, other}},
			way{args: []any{"sendto_though_connected", family, to, port, other}},
			way{args: []any{"plain", family, to, other}, direct: true},
			way{args: []any{"sendto", family, to, other}, direct: true},
			way{args: []any{"again", family, to, port, other}})
	}
	for _, how := range []string{"bound", "sendto_bound"} {
		for _, pair := range [][3]string{{"4", "127.0.0.1", "127.0.0.7"}, {"4", "127.0.0.5", "127.0.0.1"}, {"4", "10.9.0.1", "10.9.0.2"},
			{"4", "10.9.0.1", "127.0.0.1"}, {"4", "127.0.0.5", "10.9.0.2"}, {"6", "fd09::1", "fd09::2"}, {"6", "::1", "fd09::1"}} {
			ways = append(ways, way{args: []any{how, pair[0], pair[1], port, pair[2]}})
		}
	}
	ways = append(ways, way{args: []any{"to_device", "4", "127.0.0.1", port}, direct: true})
	before := make([]string, len(ways))
	for i, way := range ways {
		if before[i] = send(way.args...); strings.Contains(before[i], "errno") || strings.Contains(before[i], "false") {
			t.Fatalf("%v fails without faultbox: %s", way.args, before[i])
		}
	}
	c, _ := w.attachDatagrams(datagramPeer("stats", "0.0.0.0", port))
	for i, way := range ways {
		if after := send(way.args...); after != before[i] {
			t.Errorf("%v\n direct: %s\n proxied: %s", way.args, before[i], after)
		}
		if n := c.took(); n > 0 == way.direct {
			t.Errorf("%v: %d datagrams were relayed", way.args, n)
		}
	}
	// A socket that was redirected and connects again to an edge without rule.
	if got := send("again", "4", "127.0.0.1", other, port); !strings.Contains(got, fmt.Sprintf(`"from": ["127.0.0.1", %d]`, other)) {
		t.Errorf("connected again to %d: %s", other, got)
	}
	c.quiet(t)
}

// TestDatagramsRefused: what a host answers for a port that nobody is on
// reaches a connected client, and nobody else, as it does directly.
func TestDatagramsRefused(t *testing.T) {
	w := newBench(t)
	port, stop := w.datagramServer(0, "127.0.0.1", "::1")
	send := w.sender(w.cgroup)
	c, _ := w.attachDatagrams(datagramPeer("stats", "0.0.0.0", port))
	if got := send("keep", "4", "127.0.0.1", port); !strings.Contains(got, "who") {
		t.Fatal(got)
	}
	c.took()
	stop()
	none := fmt.Sprintf(`{"saw": [%[1]d, %[1]d, %[1]d]}`, syscall.ECONNREFUSED)
	for _, to := range [][2]string{{"4", "127.0.0.1"}, {"6", "::1"}, {"6", "::ffff:127.0.0.1"}} {
		if got := send("refused", to[0], to[1], port); got != none {
			t.Errorf("a connected socket to %s: %s", to[1], got)
		}
		if c.took() == 0 {
			t.Errorf("a connected socket to %s is not redirected", to[1])
		}
	}
	want := fmt.Sprintf(`{"saw": [%d, ["127.0.0.1", %d]]}`, syscall.ECONNREFUSED, port)
	if got := send("unheard", "4", "127.0.0.1", port); got != want {
		t.Errorf("an unconnected socket: %s, want %s", got, want)
	}
	if n := c.took(); n != 0 {
		t.Errorf("%d datagrams were relayed to nobody", n)
	}
	// A socket that was connected all the time sees the server go and come.
	if got := send("kept_one"); got != fmt.Sprintf(`{"saw": %d}`, syscall.ECONNREFUSED) {
		t.Errorf("the kept socket, server down: %s", got)
	}
	w.datagramServer(port, "127.0.0.1", "::1")
	if got := send("kept_one"); !strings.Contains(got, "127.0.0.1") {
		t.Errorf("the kept socket, server up again: %s", got)
	}
	if c.took() == 0 {
		t.Error("the kept socket is not redirected any more")
	}
	c.quiet(t)
}

// TestDatagramsUpdate: a port may have a rule for TCP, for datagrams, both or none.
func TestDatagramsUpdate(t *testing.T) {
	w := newBench(t)
	port, _ := w.datagramServer(0, "127.0.0.1")
	w.server("tcp4", fmt.Sprint("127.0.0.1:", port))
	send, connect := w.sender(w.cgroup), w.client(w.cgroup)
	c, a := w.attachDatagrams()
	for _, step := range []struct {
		peers     []intercept.Peer
		datagrams bool
	}{
		{nil, false},
		{[]intercept.Peer{datagramPeer("dns", "127.0.0.1", port)}, true},
		{[]intercept.Peer{datagramPeer("dns", "0.0.0.0", port), peer("web", "0.0.0.0", port)}, true},
		{[]intercept.Peer{peer("web", "127.0.0.1", port)}, false},
		{nil, false},
	} {
		if err := a.Update(step.peers); err != nil {
			t.Fatal(err)
		}
		for _, how := range []string{"plain", "sendto"} {
			if got := send(how, "4", "127.0.0.1", port); !strings.Contains(got, "who") {
				t.Error(got)
			}
			if n := c.took(); n > 0 != step.datagrams {
				t.Errorf("%v: %d datagrams were relayed", step.peers, n)
			}
		}
		if s := connect.connect("plain", "4", "127.0.0.1", port); s.Echo == "" {
			t.Errorf("connect: %+v", s)
		}
	}
	c.quiet(t)
}
