//go:build linux

package redirect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"syscall"
	"testing"

	"faultbox/intercept"
)

// TestRemote: the server is in another namespace, and sees the client's address.
func TestRemote(t *testing.T) {
	w, far := newBench(t), newBench(t)
	connectBenches(w, far)
	port, _ := far.server("tcp4", "10.8.0.2:0")
	c := w.client(w.cgroup)
	before := c.connect("plain", "4", "10.8.0.2", port)
	if before.Echo == "" {
		t.Fatalf("connect: %+v", before)
	}
	r, _, _ := w.attach(w.cgroup, peer("db", "10.8.0.2", port), peer("elsewhere", "0.0.0.0", port))
	after := c.connect("plain", "4", "10.8.0.2", port)
	if !reflect.DeepEqual(after, before) {
		t.Errorf("direct: %+v\n proxied: %+v", before, after)
	}
	expect(t, "remote", r.take(), []string{"api → db"})
	r.quiet(t)
}

// TestRemoteRefused: what nobody listens on in the peer's namespace is refused
// by that namespace itself.
func TestRemoteRefused(t *testing.T) {
	w, far := newBench(t), newBench(t)
	connectBenches(w, far)
	port, stop := far.server("tcp4", "10.8.0.2:0")
	c := w.client(w.cgroup)
	db := peer("db", "10.8.0.2", port)
	db.NetNS = far.ns
	r, a, _ := w.attach(w.cgroup, db)
	for n := range 2 { // the second time the namespace has its number already
		if s := c.connect("plain", "4", "10.8.0.2", port); s.Echo == "" {
			t.Errorf("server up: %+v", s)
		}
		expect(t, "server up", r.take(), []string{"api → db"})
		stop()
		for _, how := range []string{"plain", "nonblocking"} {
			if s := c.connect(how, "4", "10.8.0.2", port); s.Errno != int(syscall.ECONNREFUSED) {
				t.Errorf("server down: %+v", s)
			}
		}
		expect(t, "server down", r.take(), nil)
		if n == 0 {
			_, stop = far.server("tcp4", fmt.Sprint("10.8.0.2:", port))
			if err := a.Update([]intercept.Peer{db}); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.quiet(t)
}

// TestRunning: what was connected before is broken off, and only that.
func TestRunning(t *testing.T) {
	w := newBench(t)
	port, _ := w.server("tcp4", "127.0.0.1:0")
	other, _ := w.server("tcp4", "127.0.0.1:0")
	dial := func(port int) net.Conn {
		var conn net.Conn
		err := inside(w.ns, func() (err error) {
			conn, err = net.Dial("tcp4", fmt.Sprint("127.0.0.1:", port))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := conn.Read(make([]byte, 100)); err != nil { // the banner
			t.Fatal(err)
		}
		return conn
	}
	broken, kept := dial(port), dial(other)
	i := New()
	a, err := i.Attach(t.Context(), intercept.Target{Name: "api", Cgroup: w.cgroup, NetNS: w.ns, Running: true,
		Peers: []intercept.Peer{peer("db", "0.0.0.0", port)}}, &relays{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNABORTED) {
		t.Errorf("read from what was connected: %v, want ECONNABORTED", err)
	}
	if _, err := kept.Write([]byte("x")); err != nil {
		t.Errorf("the connection to another port: %v", err)
	}
	if _, err := kept.Read(make([]byte, 1)); err != nil {
		t.Errorf("the connection to another port: %v", err)
	}
	if err := errors.Join(a.Close(), i.Close()); err != nil {
		t.Error(err)
	}
}

// connectBenches lays a cable: w is 10.8.0.1, far is 10.8.0.2.
func connectBenches(w, far *bench) {
	w.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), far.ns.Fd()))
	w.run("ip", "addr", "add", "10.8.0.1/24", "dev", "eth0")
	w.run("ip", "link", "set", "eth0", "up")
	far.run("ip", "addr", "add", "10.8.0.2/24", "dev", "eth0")
	far.run("ip", "link", "set", "eth0", "up")
}
