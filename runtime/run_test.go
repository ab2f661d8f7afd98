package runtime

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

var fakeProto = &protocols.Protocol{Name: "fake", Fields: map[string]protocols.Field{"command": protocols.OpField}}

// fakeWorld has no kernel behind it.
type fakeWorld struct{ closed *int }

func (fakeWorld) Dir() string                   { return "" }
func (fakeWorld) NetNS() *os.File               { return nil }
func (fakeWorld) Cgroup(string) (string, error) { return "", nil }
func (fakeWorld) Peer(_ *Service, i *Interface) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i.Port))
}
func (w fakeWorld) Close() error { *w.closed++; return nil }
func (fakeWorld) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nobody listens")
}

// fakeKit is worlds, driver and interceptor in one; it keeps count.
type fakeKit struct {
	mu                             sync.Mutex
	made, closed, started, stopped int
	peers                          map[string][]intercept.Peer
	startErr                       error
	handler                        intercept.Handler
	calls                          map[string][]string // system calls to watch, by service
	did                            []string            // to instances
}

func (k *fakeKit) Supported() error { return nil }
func (k *fakeKit) Sweep() error     { return nil }
func (k *fakeKit) New(context.Context, string) (World, error) {
	k.made++
	return fakeWorld{&k.closed}, nil
}

func (k *fakeKit) Start(ctx context.Context, w World, s *Service, gate Gate) (Instance, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.startErr != nil {
		return nil, k.startErr
	}
	k.started++
	return &fakeInstance{kit: k, exited: make(chan struct{})}, gate(intercept.Target{})
}

func (k *fakeKit) Attach(_ context.Context, t intercept.Target, h intercept.Handler) (intercept.Attachment, error) {
	if k.peers == nil {
		k.peers = make(map[string][]intercept.Peer)
	}
	k.peers[t.Name] = t.Peers
	if t.Calls != nil {
		k.calls = map[string][]string{t.Name: t.Calls}
	}
	k.handler = h
	return fakeAttachment{}, nil
}

type fakeAttachment struct{}

func (fakeAttachment) Close() error                  { return nil }
func (fakeAttachment) Update([]intercept.Peer) error { return nil }

type fakeInstance struct {
	kit    *fakeKit
	exited chan struct{}
}

func (f *fakeInstance) Exited() <-chan struct{}    { return f.exited }
func (f *fakeInstance) Err() error                 { return nil }
func (f *fakeInstance) Tail(int) []string          { return []string{"last words"} }
func (f *fakeInstance) Lines(func(string, string)) {}
func (f *fakeInstance) Stop(context.Context) error { f.kit.stopped++; return nil }
func (f *fakeInstance) Dial(context.Context, string, string) (net.Conn, error) {
	a, b := net.Pipe()
	b.Close()
	return a, nil
}

// collect keeps the test records.
type collect struct {
	tests []*TestRecord
	end   *EndRecord
}

func (c *collect) Write(r Record) error {
	if r.Test != nil {
		c.tests = append(c.tests, r.Test)
	}
	if r.End != nil {
		c.end = r.End
	}
	return nil
}
func (c *collect) Close() error { return nil }

func fixture(tests ...*Test) (*Runner, *fakeKit, *collect) {
	k, c := &fakeKit{}, &collect{}
	s := &Spec{File: "x.star", Tests: tests, Services: []*Service{
		{Name: "api", Binary: "api", DependsOn: []string{"db"}, Interfaces: []*Interface{{Name: "public", Protocol: fakeProto, Port: 80}}},
		{Name: "db", Binary: "db", Interfaces: []*Interface{{Name: "main", Protocol: fakeProto, Port: 5432}}},
	}}
	return &Runner{Spec: s, Worlds: k, Local: k, Interceptor: k, Sinks: []Sink{c}}, k, c
}

func closeRule(t *testing.T, command string) intercept.Rule {
	t.Helper()
	m, err := intercept.NewTerm(fakeProto, "command", "", command)
	if err != nil {
		t.Fatal(err)
	}
	return intercept.Rule{Name: "broken", To: "db", Proto: "fake", Match: intercept.Match{m}, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Close}}
}

// exchange makes an exchange happen on api → db, as the proxy would.
func exchange(k *fakeKit, op string, outcome intercept.Outcome) {
	ev := intercept.Event{From: "api", To: "db", Interface: "main", Proto: "fake", Op: op}
	ev.Decision = k.handler.Decide(&ev, &protocols.Item{Op: op})
	if ev.Decision.Fires() {
		ev.Outcome = outcome
	}
	k.handler.Done(ev)
}

func TestVerdicts(t *testing.T) {
	var k *fakeKit
	for _, c := range []struct {
		name string
		body func(*T) error
		want Verdict
		says []string
	}{
		{"acted", func(*T) error { exchange(k, "GET", intercept.Dropped); return nil }, Passed, nil},
		{"matched nothing", func(*T) error { exchange(k, "SET", intercept.Dropped); return nil }, Inconclusive, []string{"broken matched nothing", "1× SET", "api → db", `command="GET"`}},
		{"no traffic", func(*T) error { return nil }, Inconclusive, []string{"no service sent fake traffic to db"}},
		{"no effect", func(*T) error { exchange(k, "GET", intercept.Untouched); return nil }, Inconclusive, []string{"nothing to act on"}},
		{"failed", func(*T) error {
			exchange(k, "GET", intercept.Dropped)
			return &Failure{Pos: "x.star:3:1", Message: "no"}
		}, Failed, []string{"no"}},
		{"failed and touched nothing", func(*T) error { return &Failure{Message: "no"} }, Failed, []string{"no", "note: broken matched nothing"}},
		{"raised", func(*T) error { return errors.New("boom") }, Failed, []string{"boom"}},
		{"timeout", func(t *T) error { <-t.Context().Done(); return t.Context().Err() }, Failed, []string{"timed out after 20ms"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r *Runner
			var out *collect
			r, k, out = fixture(&Test{Name: "t", Body: c.body, Rules: []intercept.Rule{closeRule(t, "GET")}, Timeout: time.Second})
			if c.name == "timeout" {
				r.Spec.Tests[0].Timeout = 20 * time.Millisecond
			}
			v, err := r.Run(t.Context())
			if err != nil || v != c.want {
				t.Fatalf("verdict %s (%v), want %s: %s", v, err, c.want, out.tests[0].Reason)
			}
			for _, s := range c.says {
				if !strings.Contains(out.tests[0].Reason, s) {
					t.Errorf("reason %q lacks %q", out.tests[0].Reason, s)
				}
			}
			if k.made != 1 || k.closed != 1 || k.started != 2 || k.stopped != 2 {
				t.Errorf("worlds %d/%d, services %d/%d: something was left", k.made, k.closed, k.started, k.stopped)
			}
		})
	}
}

func TestOnlyNamedEdgesAreIntercepted(t *testing.T) {
	r, k, _ := fixture(&Test{Name: "t", Body: func(*T) error { return nil }, Rules: []intercept.Rule{closeRule(t, "GET")}})
	r.Run(t.Context())
	if p := k.peers["api"]; len(p) != 1 || p[0].To != "db" {
		t.Errorf("api is intercepted toward %v, want db", p)
	}
	if p := k.peers["db"]; p != nil {
		t.Errorf("db is intercepted toward %v, want nothing", p)
	}
}

func TestServiceThatFailsToStart(t *testing.T) {
	r, k, out := fixture(&Test{Name: "t", Body: func(*T) error { return nil }})
	k.startErr = errors.New("no such file")
	if v, _ := r.Run(t.Context()); v != Error {
		t.Errorf("verdict %s, want error", v)
	}
	if reason := out.tests[0].Reason; !strings.Contains(reason, "start service db: no such file") {
		t.Errorf("reason %q", reason)
	}
	if k.closed != 1 {
		t.Error("the world was left behind")
	}
}

func TestServiceThatExitsAtOnce(t *testing.T) {
	r, k, out := fixture(&Test{Name: "t", Body: func(*T) error { return nil }})
	r.Spec.Services[1].Health = &Health{Kind: "http", Addr: "http://localhost:1/", Timeout: 10 * time.Second}
	r.Local = driverFunc(func(ctx context.Context, w World, s *Service, gate Gate) (Instance, error) {
		in, err := k.Start(ctx, w, s, gate)
		close(in.(*fakeInstance).exited)
		return in, err
	})
	r.Run(t.Context())
	if reason := out.tests[0].Reason; !strings.Contains(reason, "exited before it was ready") || !strings.Contains(reason, "last words") {
		t.Errorf("reason %q", reason)
	}
}

type driverFunc func(context.Context, World, *Service, Gate) (Instance, error)

func (f driverFunc) Start(ctx context.Context, w World, s *Service, gate Gate) (Instance, error) {
	return f(ctx, w, s, gate)
}

func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, k, _ := fixture(
		&Test{Name: "a", Body: func(t *T) error { cancel(); <-t.Context().Done(); return t.Context().Err() }},
		&Test{Name: "b", Body: func(*T) error { t.Error("ran after the interrupt"); return nil }},
	)
	if v, _ := r.Run(ctx); v != Interrupted || v.ExitCode() != 130 {
		t.Errorf("verdict %s", v)
	}
	if k.made != k.closed || k.started != k.stopped {
		t.Error("something was left")
	}
}

func TestReuse(t *testing.T) {
	resets := 0
	body := func(*T) error { return nil }
	r, k, _ := fixture(&Test{Name: "a", Body: body}, &Test{Name: "b", Body: body}, &Test{Name: "c", Body: body})
	r.Spec.Services[1].Reuse = true
	r.Spec.Services[1].Reset = func(*T) error { resets++; return nil }
	if v, err := r.Run(t.Context()); v != Passed || err != nil {
		t.Fatal(v, err)
	}
	if k.started != 4 || resets != 2 || k.made != 1 || k.closed != 1 || k.stopped != 4 {
		t.Errorf("started %d stopped %d resets %d worlds %d/%d; want 4 4 2 1/1", k.started, k.stopped, resets, k.made, k.closed)
	}
}

func TestNoTestMatches(t *testing.T) {
	r, _, _ := fixture(&Test{Name: "a"})
	r.Select = func(string) bool { return false }
	if _, err := r.Run(t.Context()); !errors.Is(err, ErrNoTest) {
		t.Errorf("got %v", err)
	}
}

func TestSeedIsPerTest(t *testing.T) {
	r, _, _ := fixture()
	a, b := &Test{Name: "a"}, &Test{Name: "b"}
	if r.seed(a) == r.seed(b) {
		t.Error("seeds do not belong to tests")
	}
}
