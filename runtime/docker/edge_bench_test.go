//go:build linux

package docker_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/postgres"
	"faultbox/protocols/redis"
	"faultbox/runtime"
	"faultbox/runtime/docker/dockertest"
)

// BenchmarkEdge measures what an edge between two containers costs, with the
// loads of `make bench`. Its sides are those of there, each a client container
// of its own:
//
//	direct     nothing of it is intercepted
//	un-named   the programs are attached, no rule names the edge
//	armed      a rule looks at everything and never matches
//	toxiproxy  a plain TCP proxy in a container beside them: FAULTBOX_TOXIPROXY
//	           names its server's program; without, the column is left out
//
// In an iteration they go in turns; the figures are medians, the columns ratios
// of direct.
func BenchmarkEdge(b *testing.B) {
	const million = 1_000_000
	b.Run("redis-benchmark", func(b *testing.B) {
		f := newField(b, "redis", redis.Protocol, "key", &runtime.Service{Image: "redis:7"})
		f.compare(b, "-c 50 -P 1", "req/s", csvColumn(1), benchmarkRedis(million/5, "-c", "50"))
		f.compare(b, "-c 50 -P 16", "req/s", csvColumn(1), benchmarkRedis(2*million, "-c", "50", "-P", "16"))
		f.compare(b, "-c 50, SET of 64 KB", "req/s", csvColumn(1), benchmarkRedis(million/50, "-c", "50", "-t", "set", "-d", "65536"))
		f.compare(b, "-c 50, new connections", "req/s", csvColumn(1), benchmarkRedis(million/100, "-c", "50", "-k", "0"))
		f.compare(b, "-c 1", "p50-ms", csvColumn(4), benchmarkRedis(million/25, "-c", "1", "--precision", "3"))
	})
	b.Run("pgbench", func(b *testing.B) {
		f := newField(b, "postgres", postgres.Protocol, "query",
			&runtime.Service{Image: "postgres:16", Env: []string{"POSTGRES_HOST_AUTH_METHOD=trust"}})
		f.run(b, "direct", "pgbench", "-h", "server", "-U", "postgres", "-i", "-q", "postgres")
		f.compare(b, "-c 8 -M simple", "tps", pgbenchRate, benchmarkPostgres(8, 4000, "-M", "simple"))
		f.compare(b, "-c 8 -M prepared", "tps", pgbenchRate, benchmarkPostgres(8, 6000, "-M", "prepared"))
		f.compare(b, "-c 1 -M prepared", "avg-ms", pgbenchLatency, benchmarkPostgres(1, 10_000, "-M", "prepared"))
	})
}

// field is a server, and the clients that are compared.
type field struct {
	*bed
	sides []string
	seen  map[string]*silent // by side, of those that are attached
}

func newField(b *testing.B, image string, p *protocols.Protocol, matcher string, server *runtime.Service) *field {
	b.Helper()
	dockertest.Start(b).Images(b, image, "redis")
	server.Name, server.Interfaces = "server", []*runtime.Interface{{Name: "main", Protocol: p, Port: p.Port}}
	services := []*runtime.Service{server}
	f := &field{sides: []string{"direct", "un-named", "armed"}, seen: make(map[string]*silent)}
	plain := os.Getenv("FAULTBOX_TOXIPROXY")
	if plain != "" {
		f.sides = append(f.sides, "toxiproxy")
		services = append(services, toxiproxy(b, plain, p.Port))
	}
	for _, side := range f.sides {
		services = append(services, &runtime.Service{Name: side, Image: server.Image, Args: []string{"sleep", "100000"}})
	}
	f.bed = newBed(b, services...)
	peer := intercept.Peer{To: "server", Interface: "main", Protocol: p, Addr: f.world.Peer(server, server.Interfaces[0])}
	for _, s := range services {
		peers := []intercept.Peer{peer}
		switch s.Name {
		case "un-named": // toward a port where nobody listens
			peers[0].Addr = netip.AddrPortFrom(peer.Addr.Addr(), 1)
			fallthrough
		case "armed":
			f.seen[s.Name] = &silent{Rules: never(b, p, matcher)}
			f.start(b, s, f.seen[s.Name], peers...)
		default:
			i := f.start(b, s, nil)
			if len(s.Interfaces) > 0 {
				listens(b, i, s.Interfaces[0].Port)
			}
		}
	}
	return f
}

// toxiproxy is one without toxics in front of the server. Any image that its
// program's libraries are in will do.
func toxiproxy(b *testing.B, program string, port int) *runtime.Service {
	b.Helper()
	config := filepath.Join(b.TempDir(), "toxiproxy.json")
	text := fmt.Sprintf(`[{"name": "server", "listen": "0.0.0.0:%d", "upstream": "server:%d", "enabled": true}]`, port, port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return &runtime.Service{
		Name: "proxy", Image: "redis:7", Args: []string{"/toxiproxy", "-host", "0.0.0.0", "-config", "/toxiproxy.json"},
		Volumes:    []runtime.Bind{{Host: program, Container: "/toxiproxy", Mode: "ro"}, {Host: config, Container: "/toxiproxy.json", Mode: "ro"}},
		Interfaces: []*runtime.Interface{{Name: "main", Port: port}},
	}
}

// never is one rule that looks at every exchange and matches none.
func never(b *testing.B, p *protocols.Protocol, matcher string) *intercept.Rules {
	b.Helper()
	term, err := intercept.NewTerm(p, matcher, "", "no such thing*")
	if err != nil {
		b.Fatal(err)
	}
	rules := intercept.NewRules(1)
	rules.Arm(intercept.Rule{Name: "never", To: "server", Proto: p.Name, Match: intercept.Match{term}, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Close}})
	return rules
}

// silent is rules whose events are counted, and no more.
type silent struct {
	*intercept.Rules
	done atomic.Int64
}

func (s *silent) Done(intercept.Event) { s.done.Add(1) }

// run runs a program in the container of a side.
func (f *field) run(b *testing.B, side string, args ...string) string {
	b.Helper()
	return f.Must(b, append([]string{"exec", f.name(b, &runtime.Service{Name: side})}, args...)...)
}

// compare measures a load on every side, in turns.
func (f *field) compare(b *testing.B, name, unit string, read func(out string) (float64, error), load func(host string) []string) {
	b.Run(name, func(b *testing.B) {
		results := make(map[string][]float64)
		for b.Loop() {
			for _, side := range f.sides {
				host := "server"
				if side == "toxiproxy" {
					host = "proxy"
				}
				out := f.run(b, side, load(host)...)
				v, err := read(out)
				if err != nil {
					b.Fatalf("read %q: %v", out, err)
				}
				results[side] = append(results[side], v)
			}
		}
		if u, a := f.seen["un-named"].done.Swap(0), f.seen["armed"].done.Swap(0); u > 0 || a == 0 {
			b.Errorf("%d exchanges went through the un-named edge, %d through the armed one", u, a)
		}
		direct := middle(results["direct"])
		b.ReportMetric(direct, unit)
		for _, side := range f.sides[1:] {
			b.ReportMetric(middle(results[side])/direct, side+":1")
		}
		b.ReportMetric(0, "ns/op") // of all sides together, which says nothing
	})
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func benchmarkRedis(requests int, args ...string) func(host string) []string {
	return func(host string) []string {
		return append([]string{"redis-benchmark", "-h", host, "--csv", "-n", strconv.Itoa(requests), "-t", "get"}, args...)
	}
}

// benchmarkPostgres has each of clients do its part of the transactions.
func benchmarkPostgres(clients, each int, args ...string) func(host string) []string {
	return func(host string) []string {
		args := append([]string{"pgbench", "-h", host, "-U", "postgres", "-n", "-S", "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), "-t", strconv.Itoa(each)}, args...)
		return append(args, "postgres")
	}
}

// csvColumn reads a column of redis-benchmark's last line:
// "test","rps","avg","min","p50","p95","p99","max".
func csvColumn(n int) func(out string) (float64, error) {
	return func(out string) (float64, error) {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		fields := strings.Split(lines[len(lines)-1], ",")
		if len(fields) <= n {
			return 0, errors.New("it is no result of redis-benchmark")
		}
		return strconv.ParseFloat(strings.Trim(fields[n], `"`), 64)
	}
}

// pgbenchRate reads the transactions per second and insists that none failed.
func pgbenchRate(out string) (float64, error) { return pgbenchFigure(out, "tps = ") }

func pgbenchLatency(out string) (float64, error) { return pgbenchFigure(out, "latency average = ") }

func pgbenchFigure(out, name string) (float64, error) {
	_, rest, found := strings.Cut(out, name)
	if !found || !strings.Contains(out, "number of failed transactions: 0 ") {
		return 0, errors.New("it is no result of pgbench, or some transactions failed")
	}
	number, _, _ := strings.Cut(rest, " ")
	return strconv.ParseFloat(number, 64)
}
