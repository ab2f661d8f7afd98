package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols"
	"faultbox/protocols/all"
	"faultbox/runtime"
	"faultbox/runtime/process"
	"faultbox/runtime/world"
)

// startTimeout bounds how long a server may take until it listens.
const startTimeout = time.Minute

// lab is one world with the servers, in which client programs are run.
type lab struct {
	worlds      runtime.Worlds
	world       runtime.World
	driver      runtime.Driver
	interceptor *redirect.Interceptor
	running     []runtime.Instance
	serving     *server
	speaking    bool // each server has its peer, a proxy that speaks, next to it
	proxies     int  // of running: what stays when another server comes
	runs        int
}

func openLab(ctx context.Context) (*lab, error) {
	l := &lab{worlds: world.New(world.Options{}), driver: process.New(process.Options{Dir: os.TempDir()}), interceptor: redirect.New()}
	if err := errors.Join(l.worlds.Supported(), l.interceptor.Supported()); err != nil {
		return nil, err
	}
	var err error
	l.world, err = l.worlds.New(ctx, "bench")
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(l.world.Dir(), 0o777)
}

func (l *lab) close() {
	l.stop(0)
	l.world.Close()
	l.interceptor.Close()
}

// stop ends all that was started after the first keep.
func (l *lab) stop(keep int) {
	for _, in := range slices.Backward(l.running[keep:]) {
		in.Stop(context.Background())
	}
	l.running = l.running[:keep]
}

// serve has server s run, with its peer if peers are measured, in place of the
// one before.
func (l *lab) serve(ctx context.Context, s *server) error {
	if l.serving == s {
		return nil
	}
	if l.serving == nil {
		l.proxies = len(l.running)
	}
	l.stop(l.proxies)
	l.serving = s
	if err := s.start(ctx, l); err != nil {
		return err
	}
	if s.peer == nil || !l.speaking {
		return nil
	}
	return s.peer.start(ctx, l, s.port)
}

// start starts s and waits until it listens.
func (l *lab) start(ctx context.Context, s *runtime.Service) error {
	in, err := l.driver.Start(ctx, l.world, s, func(intercept.Target) error { return nil })
	if err != nil {
		return err
	}
	l.running = append(l.running, in)
	address := "127.0.0.1:" + strconv.Itoa(s.Interfaces[0].Port)
	for began := time.Now(); time.Since(began) < startTimeout; {
		c, err := in.Dial(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-in.Exited():
			return fmt.Errorf("start %s: it ended: %s", s.Name, strings.Join(in.Tail(5), "; "))
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("start %s: it does not listen at %s: %s", s.Name, address, strings.Join(in.Tail(5), "; "))
}

func service(name string, port int, binary string, args ...string) *runtime.Service {
	return &runtime.Service{Name: name, Binary: binary, Args: args, Interfaces: []*runtime.Interface{{Name: "main", Port: port}}}
}

// compare measures a load on every side in turns and returns a row of the
// table.
func (l *lab) compare(ctx context.Context, ld load, ways []side, rounds int) ([]string, error) {
	results, used := make([][]float64, len(ways)), make([][]float64, len(ways))
	if ld.server.warms {
		if _, err := l.measure(ctx, ld, ways[0]); err != nil {
			return nil, fmt.Errorf("warm up for %s: %w", ld.name, err)
		}
	}
	for range rounds {
		for i, s := range ways {
			if s.name == "peer" && ld.server.peer == nil {
				continue
			}
			before := l.used(s, ld)
			v, err := l.measure(ctx, ld, s)
			if err != nil {
				return nil, fmt.Errorf("measure %s, %s: %w", ld.name, s.name, err)
			}
			results[i] = append(results[i], v)
			used[i] = append(used[i], float64(l.used(s, ld)-before)/float64(ld.requests)/1e3)
		}
	}
	base := median(results[0])
	row := []string{ld.name, rounded(base) + " " + ld.unit}
	for i, s := range ways[1:] {
		i++
		if results[i] == nil {
			row = append(row, "-")
			continue
		}
		cell := fmt.Sprintf("%.2f", median(results[i])/base)
		if s.edge != "un-named" {
			cell += fmt.Sprintf(" %.1fµs", median(used[i]))
		}
		if s.name == "peer" {
			cell += " " + ld.server.peer.name
		}
		row = append(row, cell)
	}
	return row, nil
}

// rounded keeps what a measurement can tell.
func rounded(x float64) string {
	if x >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

// used returns the processor time that what stands between client and server
// on side s has taken so far.
func (l *lab) used(s side, ld load) time.Duration {
	name := s.name
	switch {
	case s.edge != "":
		var ru syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
			return 0
		}
		return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
	case s.shift == 0:
		return 0
	case s.name == "peer":
		name = ld.server.peer.service(ld.server.port)
	}
	dir, err := l.world.Cgroup(name)
	if err != nil {
		return 0
	}
	stat, _ := os.ReadFile(filepath.Join(dir, "cpu.stat"))
	for line := range strings.Lines(string(stat)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "usage_usec "); ok {
			us, _ := strconv.ParseInt(v, 10, 64)
			return time.Duration(us) * time.Microsecond
		}
	}
	return 0
}

// measure runs one load over one side.
func (l *lab) measure(ctx context.Context, ld load, s side) (float64, error) {
	dir, err := os.MkdirTemp(l.world.Dir(), "run")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o777); err != nil {
		return 0, err
	}
	out, err := l.client(ctx, s.name, l.peers(ld, s), ld.args(ld.server.port+s.shift, dir)...)
	if err != nil {
		return 0, err
	}
	return ld.result(out, dir)
}

// peers is what the client is intercepted toward. Un-named: another port.
func (l *lab) peers(ld load, s side) []intercept.Peer {
	if s.edge == "" {
		return nil
	}
	p := intercept.Peer{To: "server", Interface: "main", Protocol: protocol(ld.protocol)}
	port := ld.server.port
	if s.edge == "un-named" {
		port = 1
	}
	p.Addr = netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))
	return []intercept.Peer{p}
}

func protocol(name string) *protocols.Protocol {
	for _, p := range all.Protocols() {
		if p.Name == name {
			return p
		}
	}
	panic("no protocol " + name)
}

// client runs a program in the world to its end and returns what it printed.
func (l *lab) client(ctx context.Context, name string, peers []intercept.Peer, args ...string) (string, error) {
	l.runs++
	var attached intercept.Attachment
	var seen *armed
	gate := func(t intercept.Target) error {
		if peers == nil {
			return nil
		}
		t.Name, t.Peers = "client", peers
		seen = neverMatching(peers[0])
		var err error
		attached, err = l.interceptor.Attach(ctx, t, seen)
		return err
	}
	s := &runtime.Service{Name: fmt.Sprintf("%s-%d", name, l.runs), Binary: args[0], Args: args[1:], Env: []string{"HOME=" + l.world.Dir()}}
	in, err := l.driver.Start(ctx, l.world, s, gate)
	if err != nil {
		return "", err
	}
	select {
	case <-in.Exited():
	case <-ctx.Done():
	}
	if attached != nil {
		err = attached.Close()
	}
	err = errors.Join(err, in.Stop(context.Background()), in.Err(), ctx.Err())
	if err == nil && name == "armed" {
		err = seen.sound()
	}
	out := strings.Join(in.Tail(50), "\n")
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out), nil
}

// armed is a handler with one rule that looks at every event and never fires.
// It keeps no timeline; it counts.
type armed struct {
	*intercept.Rules
	done atomic.Uint64
	note atomic.Pointer[string]
}

// Done implements intercept.Handler.
func (a *armed) Done(ev intercept.Event) {
	if ev.Note != "" {
		note := ev.Note
		a.note.Store(&note)
	}
	a.done.Add(1)
}

// sound returns an error if what was measured is not an armed edge at work.
func (a *armed) sound() error {
	if note := a.note.Load(); note != nil {
		return errors.New(*note)
	}
	if a.done.Load() == 0 {
		return errors.New("the edge was armed, and nothing went through it")
	}
	return nil
}

func neverMatching(p intercept.Peer) *armed {
	term, err := intercept.NewTerm(p.Protocol, matchers[p.Protocol.Name], "", "no such thing*")
	if err != nil {
		panic(err)
	}
	r := intercept.NewRules(1)
	r.Arm(intercept.Rule{Name: "never", To: p.To, Proto: p.Protocol.Name, Match: intercept.Match{term}, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Close}})
	return &armed{Rules: r}
}

// matchers are the fields that the rule looks at.
var matchers = map[string]string{
	"redis": "key", "postgres": "query", "mysql": "query", "memcached": "key", "nats": "subject", "http": "path",
	"http2": "path", "grpc": "path", "kafka": "topic", "amqp": "topic", "mongodb": "collection",
}
