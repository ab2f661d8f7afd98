package spec

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/runtime"
)

// kit is a system without processes: GET /SQL on the api makes it send that
// SQL to the db, on an edge that is intercepted where the runner asks for it.
type kit struct {
	mu      sync.Mutex
	handler intercept.Handler // of api → db; nil: not intercepted
	stopped chan struct{}     // gets one for each step of /hang that was cancelled
}

func (k *kit) Supported() error                                   { return nil }
func (k *kit) Sweep() error                                       { return nil }
func (k *kit) New(context.Context, string) (runtime.World, error) { return kitWorld{}, nil }

func (k *kit) Start(_ context.Context, _ runtime.World, s *runtime.Service, gate runtime.Gate) (runtime.Instance, error) {
	if s.Name == "api" {
		k.intercept(nil)
	}
	return kitInstance{}, gate(intercept.Target{})
}

func (k *kit) Attach(_ context.Context, t intercept.Target, h intercept.Handler) (intercept.Attachment, error) {
	if t.Name == "api" {
		k.intercept(h)
	}
	return kitInstance{}, nil
}

func (k *kit) intercept(h intercept.Handler) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.handler = h
}

// Through refuses the way to db, so that a step that takes it is told apart.
func (k *kit) Through(ctx context.Context, _ string, p intercept.Peer, _ intercept.Handler, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	if p.To != "db" {
		return dial(ctx)
	}
	return nil, errors.New("went through the proxy")
}

type kitWorld struct{}

func (kitWorld) Dir() string                   { return "" }
func (kitWorld) NetNS() *os.File               { return nil }
func (kitWorld) Cgroup(string) (string, error) { return "", nil }
func (kitWorld) Close() error                  { return nil }
func (kitWorld) Peer(_ *runtime.Service, i *runtime.Interface) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i.Port))
}
func (kitWorld) Dial(context.Context, string, string) (net.Conn, error) {
	a, _ := net.Pipe()
	return a, nil
}

type kitInstance struct{}

func (kitInstance) Exited() <-chan struct{}       { return nil }
func (kitInstance) Err() error                    { return nil }
func (kitInstance) Tail(int) []string             { return nil }
func (kitInstance) Lines(func(string, string))    {}
func (kitInstance) Stop(context.Context) error    { return nil }
func (kitInstance) Close() error                  { return nil }
func (kitInstance) Update([]intercept.Peer) error { return nil }
func (kitInstance) Dial(context.Context, string, string) (net.Conn, error) {
	a, _ := net.Pipe()
	return a, nil
}

// kitStepper is the step client of every protocol.
type kitStepper struct{ k *kit }

func (s kitStepper) Methods() []runtime.Method { return nil }
func (s kitStepper) Open(ctx context.Context, e runtime.Endpoint) (runtime.Session, error) {
	c, err := e.Dial(ctx, "tcp", e.Addr)
	if err != nil {
		return nil, err
	}
	c.Close()
	return s, nil
}
func (s kitStepper) Close() error { return nil }

func (s kitStepper) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	path := strings.TrimPrefix(args.Str("path"), "/")
	switch path {
	case "hang":
		<-ctx.Done()
		s.k.stopped <- struct{}{}
		return runtime.Response{Error: "cancelled"}
	case "slow":
		time.Sleep(20 * time.Millisecond)
		return runtime.Response{Status: 200, OK: true}
	case "args":
		return runtime.Response{Status: 200, OK: true, Data: map[string]any{"method": method, "args": fmt.Sprint(map[string]any(args))}}
	}
	return s.k.query(path)
}

// query is one exchange of api with db.
func (k *kit) query(sql string) runtime.Response {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.handler == nil || sql == "" {
		return runtime.Response{Status: 200, OK: true, Body: sql}
	}
	ev := intercept.Event{From: "api", To: "db", Interface: "main", Proto: "postgres", Op: strings.Fields(sql)[0], Text: sql}
	ev.Decision = k.handler.Decide(&ev, &protocols.Item{Op: ev.Op, Text: sql})
	for _, r := range ev.Decision.Rules {
		ev.Rules = append(ev.Rules, r.Name)
	}
	resp := runtime.Response{Status: 200, OK: true, Body: sql}
	if d := ev.Decision; d.Fault.Do != intercept.Pass {
		ev.Outcome, resp = intercept.Dropped, runtime.Response{Status: 500, ErrorCode: "broken"}
		if d.Fault.Do == intercept.Answer {
			ev.Outcome, ev.Err, resp.Body = intercept.Replaced, d.Fault.Reply.Code, d.Fault.Reply.Message
		}
	}
	k.handler.Done(ev)
	return resp
}

// records keeps the outcomes of tests.
type records map[string]*runtime.TestRecord

func (r records) Write(rec runtime.Record) error {
	if rec.Test != nil {
		r[rec.Test.Name] = rec.Test
	}
	return nil
}
func (r records) Close() error { return nil }

const system = `db = service("db", "./db", interface("main", "postgres", 5432))
api = service("api", "./api", interface("public", "http", 8080), depends_on = [db])
`

// play loads a spec below the lines of system and runs it.
func play(t *testing.T, src string) records {
	t.Helper()
	return playJobs(t, src, 1)
}

func playJobs(t *testing.T, src string, jobs int) records {
	t.Helper()
	s := loadText(t, system+src)
	k := &kit{stopped: make(chan struct{}, 16)}
	steppers := map[string]runtime.Stepper{}
	for name := range testSteps() {
		steppers[name] = kitStepper{k}
	}
	got := records{}
	r := &runtime.Runner{Spec: s, Worlds: k, Local: k, Interceptor: k, Through: k.Through, Steppers: steppers, Sinks: []runtime.Sink{got}, Timeout: 10 * time.Second, Jobs: jobs}
	if _, err := r.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	return got
}

// check compares a verdict, the position of the check that failed, and a part
// of the reason.
func (r records) check(t *testing.T, test string, want runtime.Verdict, pos, reason string) *runtime.TestRecord {
	t.Helper()
	rec := r[test]
	if rec == nil {
		t.Fatalf("test %s did not run", test)
	}
	if rec.Verdict != want || rec.FailPos != pos || !strings.Contains(rec.Reason, reason) {
		t.Errorf("%s: %s at %q: %s\nwant %s at %q: %s", test, rec.Verdict, rec.FailPos, rec.Reason, want, pos, reason)
	}
	return rec
}
