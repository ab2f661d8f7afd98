//go:build linux

package redirect

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
)

// TestDatagramsRemote: the server is in another namespace, and sees the
// client's address; it goes and comes.
func TestDatagramsRemote(t *testing.T) {
	w, far := newBench(t), newBench(t)
	connectBenches(w, far)
	port, stop := far.datagramServer(0, "10.8.0.2")
	send := w.sender(w.cgroup)
	ways := [][]any{
		{"plain", "4", "10.8.0.2", port},
		{"bound", "4", "10.8.0.2", port, "10.8.0.1"},
		{"sendto", "4", "10.8.0.2", port},
		{"sendto_bound", "4", "10.8.0.2", port, "10.8.0.1"},
		{"sendto_sizes", "6", "::ffff:10.8.0.2", port},
	}
	var before []string
	for _, way := range ways {
		got := send(way...)
		if !strings.Contains(got, "who") {
			t.Fatalf("%v: %s", way, got)
		}
		before = append(before, got)
	}
	for _, known := range []bool{false, true} {
		t.Run(fmt.Sprintf("namespace known: %v", known), func(t *testing.T) {
			stats := datagramPeer("stats", "10.8.0.2", port)
			if known {
				stats.NetNS = far.ns
			}
			c, a := w.attachDatagrams(stats)
			for i, way := range ways {
				if got := send(way...); got != before[i] || c.took() == 0 {
					t.Errorf("%v\n direct: %s\n proxied: %s", way, before[i], got)
				}
			}
			stop()
			if got, want := send("refused", "4", "10.8.0.2", port), fmt.Sprintf(`{"saw": [%[1]d, %[1]d, %[1]d]}`, syscall.ECONNREFUSED); got != want {
				t.Errorf("server down: %s", got)
			}
			_, stop = far.datagramServer(port, "10.8.0.2")
			if got := send(ways[2]...); got != before[2] {
				t.Errorf("server up again: %s", got)
			}
			c.quiet(t)
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDatagramsKilled: when faultbox goes, or hangs, datagrams go direct. It
// lives in the service's own cgroup, and what it sends does not come back to it.
func TestDatagramsKilled(t *testing.T) {
	w := newBench(t)
	port, _ := w.datagramServer(0, "127.0.0.1")
	send := w.sender(w.cgroup)
	direct := func() {
		t.Helper()
		for _, how := range []string{"plain", "sendto"} {
			if got := send(how, "4", "127.0.0.1", port); !strings.Contains(got, "who") {
				t.Errorf("%s: %s", how, got)
			}
		}
	}
	o := w.faultbox(port)
	through := func() {
		t.Helper()
		if got := send("sendto", "4", "127.0.0.1", port); !strings.Contains(got, "who") {
			t.Error(got)
		}
		o.expect(t, "datagram api stats") // the query
		o.expect(t, "datagram api stats") // and the answer
	}
	through()
	if err := o.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(700 * time.Millisecond) // the heartbeat grows stale
	direct()
	if err := o.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	o.expect(t, "went direct")
	through()
	if err := o.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	o.Wait()
	direct()
}

// TestDatagramsLeaveNothing: an attachment that ends takes its ports with it.
func TestDatagramsLeaveNothing(t *testing.T) {
	w := newBench(t)
	port, _ := w.datagramServer(0, "127.0.0.1")
	send := w.sender(w.cgroup)
	for range 3 {
		c, a := w.attachDatagrams(datagramPeer("stats", "0.0.0.0", port))
		send("plain", "4", "127.0.0.1", port)
		if c.took() == 0 {
			t.Error("nothing was relayed")
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := a.Update([]intercept.Peer{datagramPeer("stats", "0.0.0.0", port)}); err == nil {
			t.Error("a closed attachment takes peers")
		}
		for p := lowestPort; p <= highestPort; p++ {
			if got := send("refused", "4", "127.0.0.1", p); strings.Contains(got, "who") || p == highestPort && !strings.Contains(got, "111") {
				t.Errorf("port %d is open: %s", p, got)
			}
			if p == lowestPort {
				p = highestPort - 3
			}
		}
	}
}

// BenchmarkDatagrams is a query and its answer, in turn, on a connected socket.
func BenchmarkDatagrams(b *testing.B) {
	for _, bm := range []struct {
		name     string
		attached bool
		peer     int
	}{{"direct", false, 0}, {"unnamed", true, 6002}, {"redirected", true, 6001}} {
		b.Run(bm.name, func(b *testing.B) {
			w := newBench(b)
			w.datagramServer(6001, "127.0.0.1")
			if bm.attached {
				w.attachDatagrams(datagramPeer("stats", "0.0.0.0", bm.peer))
			}
			send := w.sender(w.cgroup)
			b.ResetTimer()
			if got := send("in_turn", "4", "127.0.0.1", 6001, b.N); got != `{"saw": null}` {
				b.Fatal(got)
			}
		})
	}
}
