//go:build linux

package redirect

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"faultbox/bpf"
	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols"
)

// lines is a relay and handler that prints.
type lines struct{}

func (l *lines) serve(ctx context.Context, c net.Conn, link proxy.Link) error {
	fmt.Println("relay", link.From, link.To)
	return proxy.Serve(ctx, c, link)
}

func (l *lines) Decide(ev *intercept.Event, _ *protocols.Item) intercept.Decision {
	fmt.Println(ev.Op, ev.From, ev.To)
	return intercept.Decision{}
}

func (l *lines) Done(ev intercept.Event) {
	if ev.Note != "" {
		fmt.Println("note", ev.Note)
	}
}

// other is a faultbox in a process of its own.
type other struct {
	*exec.Cmd
	lines chan string
}

// faultbox starts one, inside the service's own cgroup: the hardest place to
// tell its connections from the service's.
func (w *bench) faultbox(port int) *other {
	w.tb.Helper()
	o := &other{exec.Command("/proc/self/exe", "part:faultbox", w.cgroup, fmt.Sprint("127.0.0.1:", port)), make(chan string, 100)}
	o.ExtraFiles = []*os.File{w.ns}
	o.StdinPipe()
	out, _ := o.StdoutPipe()
	w.start(w.cgroup, o.Cmd)
	go func() {
		defer close(o.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			o.lines <- s.Text()
		}
	}()
	o.expect(w.tb, "ready")
	return o
}

// expect waits for a line that contains want; any other is an error.
func (o *other) expect(tb testing.TB, want string) {
	tb.Helper()
	select {
	case got := <-o.lines:
		if !strings.Contains(got, want) {
			tb.Fatalf("the other faultbox says %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		tb.Fatalf("the other faultbox does not say %q", want)
	}
}

// direct connects and checks that nothing but the server can have answered.
func (c *client) direct(port int) {
	c.tb.Helper()
	s := c.connect("plain", "4", "127.0.0.1", port)
	if s.Echo != "hello\n" || s.Server != fmt.Sprint("127.0.0.1:", port) || s.Peer[1] != float64(port) {
		c.tb.Fatalf("connect: %+v", s)
	}
}

func TestKilled(t *testing.T) {
	w := newBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	o := w.faultbox(port)
	c.direct(port)
	o.expect(t, "relay api db")
	if err := o.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	o.Wait()
	c.direct(port)
}

func TestStopped(t *testing.T) {
	w := newBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	o := w.faultbox(port)
	c.direct(port)
	o.expect(t, "relay api db")
	if err := o.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // the heartbeat grows stale
	c.direct(port)                     // a stopped process relays nothing
	c.direct(port)
	if err := o.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.expect(t, "note 2 connections of api went direct")
	c.direct(port)
	o.expect(t, "relay api db")
}

// TestStorm reuses each 4-tuple many times over, for different destinations.
func TestStorm(t *testing.T) {
	w := newBench(t)
	w.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=20000 20999")
	db, _ := w.server("tcp4", "127.0.0.1:6001")
	cache, _ := w.server("tcp4", "127.0.0.1:6002")
	plain, _ := w.server("tcp4", "127.0.0.1:6003")
	r, _, _ := w.attach(w.cgroup, peer("db", "0.0.0.0", db), peer("cache", "127.0.0.1", cache))
	s := w.storm()
	n := 21000
	if testing.Short() {
		n = 2100
	}
	if err := s.run(storm{N: n, Parallel: 48, Reset: true, To: []string{
		fmt.Sprint("127.0.0.1:", db), fmt.Sprint("127.0.0.1:", cache), fmt.Sprint("127.0.0.1:", plain),
	}}); err != nil {
		t.Error(err)
	}
	count := map[string]int{}
	for _, to := range r.take() {
		count[to]++
	}
	if want := n / 3; count["api → db"] != want || count["api → cache"] != want || len(count) != 2 {
		t.Errorf("relayed %v, want %d of each of db and cache", count, want)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, note := range r.notes { // the resets are the client's own
		if !strings.Contains(note, "reset by peer") && !strings.Contains(note, "broken pipe") {
			t.Error(note)
		}
	}
}

// TestUpdateUnderLoad: an edge comes and goes, and no connection notices.
func TestUpdateUnderLoad(t *testing.T) {
	w := newBench(t)
	w.server("tcp4", "127.0.0.1:6001")
	r, a, _ := w.attach(w.cgroup)
	s, done := w.storm(), make(chan error, 1)
	go func() { done <- s.run(storm{N: 6000, Parallel: 16, Reset: true, To: []string{"127.0.0.1:6001"}}) }()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			if relayed := len(r.take()); relayed == 0 || relayed == 6000 {
				t.Errorf("%d of 6000 connections were relayed", relayed)
			}
			return
		case <-time.After(time.Millisecond):
			peers := []intercept.Peer{peer("db", "0.0.0.0", 6001)}
			if err := a.Update(peers[n%2:]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// stormer is a partStorm in the service's cgroup.
type stormer struct {
	in  *json.Encoder
	out *bufio.Reader
}

func (w *bench) storm() *stormer {
	cmd := exec.Command("/proc/self/exe", "part:storm")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	w.start(w.cgroup, cmd)
	return &stormer{json.NewEncoder(in), bufio.NewReader(out)}
}

func (s *stormer) run(what storm) error {
	if err := s.in.Encode(what); err != nil {
		return err
	}
	answer, err := s.out.ReadString('\n')
	if err == nil && answer != "ok\n" {
		err = errors.New(strings.TrimSpace(answer))
	}
	return err
}

func TestCloseLeavesNothing(t *testing.T) {
	w := newBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	c := w.client(w.cgroup)
	r := &relays{}
	i := &Interceptor{serve: r.serve}
	a, err := i.Attach(t.Context(), intercept.Target{Name: "api", Cgroup: w.cgroup, NetNS: w.ns,
		Peers: []intercept.Peer{peer("db", "0.0.0.0", port)}}, r)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.connect("hold", "4", "127.0.0.1", port); s.Echo == "" {
		t.Fatalf("hold: %+v", s)
	}
	expect(t, "attached", r.take(), []string{"api → db", "api → db"})
	k, door := i.kernel, a.(*attachment).door.port
	if err := i.Close(); err == nil {
		t.Error("programs were unloaded under an attachment")
	}

	hooked := k.hooks[a.(*attachment).cgroup]
	var links []link.ID
	for _, l := range hooked.links {
		info, err := l.Info()
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, info.ID)
	}
	prog, err := k.objs.Connect4.Info()
	if err != nil {
		t.Fatal(err)
	}
	progID, _ := prog.ID()
	rules, err := k.objs.Rules.Info()
	if err != nil {
		t.Fatal(err)
	}
	mapID, _ := rules.ID()

	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	var (
		key  bpf.RedirectRuleKey
		rule bpf.RedirectRule
	)
	if k.objs.Rules.Iterate().Next(&key, &rule) {
		t.Error("rules are left")
	}
	if _, err := Dial(t.Context(), w.ns, "tcp", fmt.Sprint("127.0.0.1:", door)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connect to the listener of a closed attachment: %v", err)
	}
	if s := c.connect("ended"); s.Echo != "ended" {
		t.Errorf("the connection that was open is still open: %+v", s)
	}
	c.direct(port)
	expect(t, "closed", r.take(), nil)
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	gone(t, "link", func() error {
		for _, id := range links {
			if l, err := link.NewFromID(id); err == nil {
				return l.Close()
			}
		}
		return os.ErrNotExist
	})
	gone(t, "program", func() error {
		p, err := ebpf.NewProgramFromID(progID)
		if err == nil {
			p.Close()
		}
		return err
	})
	gone(t, "map", func() error {
		m, err := ebpf.NewMapFromID(mapID)
		if err == nil {
			m.Close()
		}
		return err
	})
	r.quiet(t)
}

// gone waits for the kernel, which frees some things after a grace period.
func gone(tb testing.TB, what string, open func() error) {
	tb.Helper()
	for range 100 {
		if errors.Is(open(), os.ErrNotExist) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	tb.Errorf("a %s is left", what)
}

// BenchmarkConnect is the time to connect, read a banner and close.
func BenchmarkConnect(b *testing.B) {
	for _, bm := range []struct {
		name     string
		attached bool
		peer     int
	}{{"direct", false, 0}, {"unnamed", true, 6002}, {"redirected", true, 6001}} {
		b.Run(bm.name, func(b *testing.B) {
			w := newBench(b)
			w.server("tcp4", "127.0.0.1:6001")
			if bm.attached {
				w.attach(w.cgroup, peer("db", "0.0.0.0", bm.peer))
			}
			s := w.storm()
			b.ResetTimer()
			if err := s.run(storm{N: b.N, Parallel: 4, Reset: true, To: []string{"127.0.0.1:6001"}}); err != nil {
				b.Fatal(err)
			}
		})
	}
}
