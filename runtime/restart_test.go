package runtime

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
)

// mortal is a driver whose services end by themselves: script says, for each
// start of a service, how it ends; nil in it means that it stays.
type mortal struct {
	mu     sync.Mutex
	script map[string][]error
	starts []string
}

var errClean = errors.New("clean")

func (m *mortal) Start(_ context.Context, _ World, s *Service, gate Gate) (Instance, error) {
	m.mu.Lock()
	m.starts = append(m.starts, s.Name)
	var end error
	if rest := m.script[s.Name]; len(rest) > 0 {
		end, m.script[s.Name] = rest[0], rest[1:]
	}
	m.mu.Unlock()
	i := &mortalInstance{fakeInstance: fakeInstance{kit: &fakeKit{}, exited: make(chan struct{})}, end: end}
	if end != nil {
		i.once.Do(func() { close(i.exited) })
	}
	return i, gate(intercept.Target{})
}

type mortalInstance struct {
	fakeInstance
	end  error
	once sync.Once
}

func (i *mortalInstance) Err() error {
	if i.end == errClean {
		return nil
	}
	return i.end
}
func (i *mortalInstance) Stop(context.Context) error {
	i.once.Do(func() { close(i.exited) })
	return nil
}

// play runs one test with these services and returns its record.
func (m *mortal) play(t *testing.T, body func(*T) error, services ...*Service) (*TestRecord, []string) {
	t.Helper()
	got := &collect{}
	r := &Runner{
		Spec:   &Spec{Services: services, Tests: []*Test{{Name: "one", Body: body}}},
		Worlds: &fakeKit{}, Local: m, Sinks: []Sink{got}, Timeout: 10 * time.Second,
	}
	if _, err := r.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return got.tests[0], m.starts
}

func nothing(*T) error { return nil }

func TestRestartPolicy(t *testing.T) {
	crash := errors.New("exit code 3")
	count := func(starts []string, name string) (n int) {
		for _, s := range starts {
			if s == name {
				n++
			}
		}
		return n
	}
	for _, c := range []struct {
		policy string
		ends   []error
		starts int
	}{
		{"", []error{crash}, 1},
		{"always", []error{crash, crash, nil}, 3},
		{"always", []error{errClean, nil}, 2},
		{"on-failure", []error{crash, nil}, 2},
		{"on-failure", []error{errClean}, 1},
		{"on-failure:1", []error{crash, crash, crash}, 2},
	} {
		m := &mortal{script: map[string][]error{"a": c.ends}}
		_, starts := m.play(t, func(*T) error { time.Sleep(time.Second); return nil }, &Service{Name: "a", Binary: "a", Restart: c.policy})
		if n := count(starts, "a"); n != c.starts {
			t.Errorf("%q: %d starts, want %d", c.policy, n, c.starts)
		}
	}
}

// A service that has to become ready may end a few times on the way there.
func TestRestartUntilReady(t *testing.T) {
	m := &mortal{script: map[string][]error{"a": {errors.New("exit code 1"), errClean}}}
	rec, starts := m.play(t, nothing, &Service{Name: "a", Binary: "a", Restart: "on-failure", Health: &Health{Kind: "done"}})
	if rec.Verdict != Passed || len(starts) != 2 {
		t.Errorf("%s %s after %d starts", rec.Verdict, rec.Reason, len(starts))
	}
}

func TestDone(t *testing.T) {
	m := &mortal{script: map[string][]error{"migrate": {errors.New("exit code 1")}}}
	rec, starts := m.play(t, nothing,
		&Service{Name: "migrate", Binary: "m", Health: &Health{Kind: "done"}},
		&Service{Name: "web", Binary: "w", DependsOn: []string{"migrate"}, Conditions: map[string]Condition{"migrate": Done}})
	if rec.Verdict != Error || !strings.Contains(rec.Reason, "exit code 1") || slices.Contains(starts, "web") {
		t.Errorf("%s %q, started %v", rec.Verdict, rec.Reason, starts)
	}
}

// Who waits for a start alone does not wait for the health check.
func TestStartedIsEnough(t *testing.T) {
	m := &mortal{}
	slow := &Service{Name: "db", Binary: "d", Health: &Health{Kind: "done", Timeout: 300 * time.Millisecond}}
	_, starts := m.play(t, nothing, slow, &Service{Name: "web", Binary: "w", DependsOn: []string{"db"}, Conditions: map[string]Condition{"db": Started}})
	if !slices.Contains(starts, "web") {
		t.Errorf("started %v", starts)
	}
	m = &mortal{}
	_, starts = m.play(t, nothing, slow, &Service{Name: "web", Binary: "w", DependsOn: []string{"db"}})
	if slices.Contains(starts, "web") {
		t.Errorf("started %v although db was not ready", starts)
	}
}
