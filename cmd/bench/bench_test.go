package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols/all"
)

// Every load stands in front of plain proxies and has a rule that can be armed,
// however little it is asked to do.
func TestLoads(t *testing.T) {
	names := map[string]bool{}
	for _, l := range append(loads(0.0001), protocolLoads(0.0001)...) {
		if names[l.name] {
			t.Errorf("%s: there are two", l.name)
		}
		names[l.name] = true
		if !slices.Contains(ports, l.server.port) {
			t.Errorf("%s: no proxy stands in front of port %d", l.name, l.server.port)
		}
		if l.requests < 1 {
			t.Errorf("%s: %d requests", l.name, l.requests)
		}
		h := neverMatching(intercept.Peer{To: "server", Protocol: protocol(l.protocol)})
		if err := h.sound(); err == nil {
			t.Errorf("%s: an edge that nothing went through is taken for one at work", l.name)
		}
		if _, err := l.result("nothing of a result", t.TempDir()); err == nil {
			t.Errorf("%s: a result was read out of nothing", l.name)
		}
	}
}

// -protocols leaves out none but those that are not of TCP, or of no protocol.
func TestProtocols(t *testing.T) {
	loads := protocolLoads(1)
	for _, p := range all.Protocols() {
		measured := slices.ContainsFunc(loads, func(l load) bool { return l.protocol == p.Name })
		if want := !slices.Contains([]string{"tcp", "udp", "dns"}, p.Name); measured != want {
			t.Errorf("%s is measured: %t", p.Name, measured)
		}
	}
}

// The usual loads run to the end with nothing installed but their servers.
func TestUsualLoadsRun(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces and BPF")
	}
	t.Setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
	if _, err := exec.LookPath("redis-benchmark"); err != nil {
		t.Skip("needs redis-benchmark: apt-get install redis-tools")
	}
	if err := bench(t.Context(), options{rounds: 1, scale: 0.005}); err != nil {
		t.Fatal(err)
	}
}

func TestResults(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(out, dir string) (float64, error)
		out  string
		want float64 // 0: refused
	}{
		{"redis-benchmark", csvField(1), "\"test\",\"rps\",\"avg\"\n\"GET\",\"52000.50\",\"0.4\"", 52000.5},
		{"pgbench", tps, "number of failed transactions: 0 (0.000%)\ntps = 5919.9 (without initial connection time)", 5919.9},
		{"pgbench, failures", tps, "number of failed transactions: 3 (0.1%)\ntps = 5919.9 (without initial connection time)", 0},
		{"h2load", h2loaded(100), "finished in 2.00s, 50.25 req/s, 9KB/s\nstatus codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx", 50.25},
		{"h2load, failures", h2loaded(100), "finished in 2.00s, 50.25 req/s, 9KB/s\nstatus codes: 99 2xx, 0 3xx, 0 4xx, 1 5xx", 0},
		{"ghz", called(8), "  Requests/sec:\t589.11\nStatus code distribution:\n  [OK]   8 responses", 589.11},
		{"ghz, failures", called(8), "  Requests/sec:\t589.11\nStatus code distribution:\n  [OK]   7 responses\n  [Unavailable]   1 responses", 0},
	} {
		got, err := c.read(c.out, "")
		if (err == nil) != (c.want != 0) || got != c.want && err == nil {
			t.Errorf("%s: %g, %v", c.name, got, err)
		}
	}
}

func TestChoose(t *testing.T) {
	if _, _, err := choose(options{only: "no such load"}); err == nil || !strings.Contains(err.Error(), "redis-benchmark -c 50 -P 16") {
		t.Errorf("the error does not list the loads: %v", err)
	}
	ways, chosen, err := choose(options{only: "redis-benchmark", scale: 1})
	if err != nil {
		t.Skip(err)
	}
	if len(chosen) != 3 || len(ways) != 3 || ways[0].name != "direct" {
		t.Errorf("%d loads, %d sides, the first of which is %s", len(chosen), len(ways), ways[0].name)
	}
}
