//go:build linux

package redirect

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols"
)

// bench is a network namespace and a cgroup made for one test.
type bench struct {
	tb     testing.TB
	ns     *os.File
	cgroup string
}

var benches atomic.Int32

func newBench(tb testing.TB) *bench {
	tb.Helper()
	probe := New()
	defer probe.Close()
	if err := probe.Supported(); err != nil {
		tb.Skip("needs root, cgroup2 and Linux 5.15: ", err)
	}
	w := &bench{tb: tb, ns: newNetNS(tb)}
	w.cgroup = filepath.Join(cgroup2(tb), fmt.Sprintf("redirect-test-%d-%d", os.Getpid(), benches.Add(1)))
	w.mkdir(w.cgroup)
	w.run("ip", "link", "set", "lo", "up")
	return w
}

func cgroup2(tb testing.TB) string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range strings.Split(string(b), "\n") {
		if mount, fs, _ := strings.Cut(line, " - "); strings.HasPrefix(fs, "cgroup2 ") {
			return strings.Fields(mount)[4]
		}
	}
	tb.Fatal("no cgroup2 mount")
	return ""
}

func newNetNS(tb testing.TB) (ns *os.File) {
	if _, err := home(); err != nil {
		tb.Fatal(err)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		tb.Fatal(err)
	}
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err := (&visit{}).leave(); err != nil {
		tb.Fatal(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ns.Close() })
	return ns
}

func (w *bench) mkdir(cgroup string) {
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() {
		for range 100 { // the last process may still be on its way out
			if os.Remove(cgroup) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		w.tb.Errorf("cgroup %s can't be removed", cgroup)
	})
}

// run runs a command in the namespace, outside the cgroup.
func (w *bench) run(name string, args ...string) {
	w.tb.Helper()
	err := inside(w.ns, func() error {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s %v: %w: %s", name, args, err, out)
		}
		return nil
	})
	if err != nil {
		w.tb.Fatal(err)
	}
}

// start starts a service: a command in the namespace and the given cgroup.
func (w *bench) start(cgroup string, cmd *exec.Cmd) {
	w.tb.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		w.tb.Fatal(err)
	}
	defer dir.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if cmd.Stderr == nil {
		cmd.Stderr = os.Stderr
	}
	if err := inside(w.ns, cmd.Start); err != nil {
		w.tb.Fatal(err)
	}
	w.tb.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
}

// server says, on each connection, at which address it was reached and by
// whom, and then echoes. The returned function ends it.
func (w *bench) server(network, addr string) (port int, stop func()) {
	w.tb.Helper()
	var l net.Listener
	err := inside(w.ns, func() (err error) {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(context.Background(), network, addr)
		return err
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				from, _, _ := net.SplitHostPort(c.RemoteAddr().String())
				fmt.Fprintf(c, "%s %s\n", c.LocalAddr(), from)
				io.Copy(c, c)
			}()
		}
	})
	stop = sync.OnceFunc(func() { l.Close(); wg.Wait() })
	w.tb.Cleanup(stop)
	return l.Addr().(*net.TCPAddr).Port, stop
}

// client is testdata/client.py, running in a service's cgroup.
type client struct {
	tb  testing.TB
	in  io.Writer
	out *bufio.Reader
}

func (w *bench) client(cgroup string) *client {
	w.tb.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		w.tb.Skip("needs python3 as a client")
	}
	cmd := exec.Command("python3", "testdata/client.py")
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	w.start(cgroup, cmd)
	return &client{w.tb, in, bufio.NewReader(out)}
}

// sight is what a client saw.
type sight struct {
	Errno     int
	Error     string
	Peer      []any
	Source    string
	Server    string
	ServerSaw string `json:"server_saw"`
	Echo      string
}

func (c *client) connect(how ...any) sight {
	c.tb.Helper()
	line, err := json.Marshal(how)
	if err != nil {
		c.tb.Fatal(err)
	}
	fmt.Fprintf(c.in, "%s\n", line)
	answer, err := c.out.ReadBytes('\n')
	if err != nil {
		c.tb.Fatalf("client, told %s: %v", line, err)
	}
	var s sight
	if err := json.Unmarshal(answer, &s); err != nil {
		c.tb.Fatal(err)
	}
	return s
}

// relays counts what went through the proxy, and holds its notes.
type relays struct {
	mu    sync.Mutex
	to    []string
	notes []string
}

func (r *relays) serve(ctx context.Context, c net.Conn, l proxy.Link) error {
	r.mu.Lock()
	r.to = append(r.to, l.From+" → "+l.To)
	r.mu.Unlock()
	return proxy.Serve(ctx, c, l)
}

func (r *relays) Decide(*intercept.Event, *protocols.Item) intercept.Decision {
	return intercept.Decision{}
}

func (r *relays) Done(ev intercept.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ev.Note != "" {
		r.notes = append(r.notes, ev.Note)
	}
}

// take returns the connections relayed since it was last called.
func (r *relays) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := r.to
	r.to = nil
	return to
}

func (r *relays) quiet(tb testing.TB) {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.notes) > 0 {
		tb.Errorf("notes: %q", r.notes)
	}
}

// attach intercepts "api" with an Interceptor of its own.
func (w *bench) attach(cgroup string, peers ...intercept.Peer) (*relays, intercept.Attachment, *Interceptor) {
	w.tb.Helper()
	r := &relays{}
	i := &Interceptor{serve: r.serve}
	a, err := i.Attach(context.Background(), intercept.Target{Name: "api", Cgroup: cgroup, NetNS: w.ns, Peers: peers}, r)
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
	return r, a, i
}

func expect(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s: got %q, want %q", what, got, want)
	}
}
