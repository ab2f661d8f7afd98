package runtime

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"faultbox/intercept"
)

// T is what a running test gives its body. It is safe for concurrent use.
type T struct {
	ctx   context.Context
	test  *Test
	stage *stage
	rules *intercept.Rules
	log   *Log

	immune atomic.Bool // own steps are not faulted
	tracks tracks
	unable atomic.Pointer[error] // why a standing rule could not be put into force

	mu       sync.Mutex
	sessions map[sessionKey]*session
	impaired []Impairment // in force
}

type sessionKey struct {
	service, iface string
	immune         bool
}

// session serialises the steps on one connection.
type session struct {
	mu   sync.Mutex
	open Session
}

// Context ends when the test must: timeout, interrupt.
func (t *T) Context() context.Context { return t.ctx }

// Name returns the test's name.
func (t *T) Name() string { return t.test.Name }

// Log returns the test's timeline.
func (t *T) Log() *Log { return t.log }

// Rules returns the armed rules, with their counters.
func (t *T) Rules() *intercept.Rules { return t.rules }

// Arm arms rules until disarm is called or the test ends. Their names, like
// those of Test.Rules, appear in the report. Only a test marked Dynamic, or
// one that traces the edges in question, has anything to arm them on.
func (t *T) Arm(rules ...intercept.Rule) (disarm func()) {
	active, off := t.rules.ArmActive(rules...)
	undo := t.stand(active)
	return func() {
		undo()
		off()
	}
}

// Immune says whether the test's own steps are spared from faults from now
// on: they are while expectations are judged.
func (t *T) Immune(on bool) { t.immune.Store(on) }

// Step performs a step: a method of the stepper of the interface's protocol.
// Faults show in the response; an error is a mistake of the caller's (no such
// service, interface or method).
func (t *T) Step(service, iface, method string, args Args) (Response, error) {
	svc := t.stage.runner.Spec.Service(service)
	if svc == nil {
		return Response{}, fmt.Errorf("find service %q: the spec declares none of that name", service)
	}
	itf := svc.Interface(iface)
	if itf == nil {
		return Response{}, fmt.Errorf("find interface %q: service %q has none of that name", iface, service)
	}
	stepper := t.stage.runner.Steppers[itf.Protocol.Name]
	if stepper == nil {
		return Response{}, fmt.Errorf("take a step: protocol %q has no steps", itf.Protocol.Name)
	}
	start := time.Now()
	resp := t.do(stepper, svc, itf, method, args)
	resp.Duration = time.Since(start)
	t.log.Add(stepEvent(svc, itf, method, args, resp))
	return resp, nil
}

func (t *T) do(stepper Stepper, svc *Service, itf *Interface, method string, args Args) Response {
	s := t.session(sessionKey{svc.Name, itf.Name, t.immune.Load()})
	if !s.mu.TryLock() { // another step of parallel(…) uses it: take a connection of our own
		s = &session{}
		s.mu.Lock()
		defer s.close()
	}
	defer s.mu.Unlock()
	if s.open == nil {
		open, err := stepper.Open(t.ctx, t.stage.endpoint(t, svc, itf))
		if err != nil {
			return Response{Error: err.Error()}
		}
		s.open = open
	}
	return s.open.Do(t.ctx, method, args)
}

func (t *T) session(key sessionKey) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[key]
	if s == nil {
		s = &session{}
		t.sessions[key] = s
	}
	return s
}

func (s *session) close() {
	if s.open != nil {
		s.open.Close()
		s.open = nil
	}
}

// closeSessions closes every step connection once its step is over.
func (t *T) closeSessions() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.sessions {
		s.mu.Lock()
		s.close()
		s.mu.Unlock()
	}
}

// stepEvent is how a step shows in the timeline.
func stepEvent(svc *Service, itf *Interface, method string, args Args, resp Response) intercept.Event {
	ev := intercept.Event{
		Kind: intercept.Step, From: "test", To: svc.Name, Interface: itf.Name, Proto: itf.Protocol.Name,
		Op: method, Took: resp.Duration,
	}
	for _, name := range []string{"path", "sql", "cmd", "topic", "subject", "key", "collection", "queue", "method"} {
		if s := args.Str(name); s != "" {
			ev.Key = s
			break
		}
	}
	switch {
	case resp.ErrorCode != "":
		ev.Err = resp.ErrorCode
	case resp.Status != 0:
		ev.Err = fmt.Sprint(resp.Status)
	case !resp.OK:
		ev.Err = resp.Error
	}
	return ev
}
