package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// stage is a world with services in it, on which tests are run one after the
// other. Services with reuse outlive a test; a stage whose spec has none is
// used once. It is the interceptor's Handler for everything in its world and
// passes each event to the test that is on.
type stage struct {
	runner *Runner
	world  World
	now    atomic.Pointer[T] // the test that is on; nil between tests
	armed  atomic.Bool       // the test's body runs: rules apply

	mu      sync.Mutex
	actors  map[string]*actor
	keepers map[string]*keeper // by service, of those with a restart policy

	presence // who is where, for edges between namespaces

	systems sync.Map // *protocols.Protocol to the same, OfSystem
}

// actor is a service that runs on a stage.
type actor struct {
	svc      *Service
	instance Instance
	attached []intercept.Attachment // empty when nothing of it is intercepted
	calls    []string               // the system calls of it that are watched
	seeded   bool
	leaving  atomic.Bool // its end is of our doing
}

// Decide asks the rules of the test that is on.
func (s *stage) Decide(ev *intercept.Event, item *protocols.Item) intercept.Decision {
	if t := s.now.Load(); t != nil {
		return t.decide(ev, item, s.armed.Load())
	}
	return intercept.Decision{}
}

// Done files the event in the timeline of the test that is on.
func (s *stage) Done(ev intercept.Event) {
	if t := s.now.Load(); t != nil {
		t.done(ev)
	}
}

// life notes in the timeline, and in the reports, how a service fares.
func (s *stage) life(svc *Service, state, detail string, took time.Duration) {
	name := ""
	if t := s.now.Load(); t != nil {
		name = t.Name()
		t.log.Add(intercept.Event{Kind: intercept.Life, To: svc.Name, Op: state, Text: detail, Took: took})
	}
	s.runner.emit(Record{Service: &ServiceRecord{Test: name, Service: svc.Name, State: state, Detail: detail, Took: took}})
}

// raise starts the services that do not run yet, each as soon as those it
// depends on have come to what it wants of them, and seeds them.
func (s *stage) raise(ctx context.Context, t *T) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready, started := make(map[string]chan struct{}), make(map[string]chan struct{})
	for _, svc := range s.runner.Spec.Services {
		ready[svc.Name], started[svc.Name] = make(chan struct{}), make(chan struct{})
	}
	var wg sync.WaitGroup
	for _, svc := range s.runner.Spec.Services {
		wg.Go(func() {
			for _, dep := range svc.DependsOn {
				there := ready[dep]
				if svc.Conditions[dep] == Started {
					there = started[dep]
				}
				select {
				case <-there:
				case <-ctx.Done():
					return
				}
			}
			if err := s.enter(ctx, t, svc, func() { close(started[svc.Name]) }); err != nil {
				cancel(err)
				return
			}
			close(ready[svc.Name])
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// enter brings one service up, or makes one that is up fit for the next test.
// started is called once it runs.
func (s *stage) enter(ctx context.Context, t *T, svc *Service, started func()) error {
	s.mu.Lock()
	a := s.actors[svc.Name]
	s.mu.Unlock()
	if a != nil {
		started()
		if svc.Reset != nil {
			return describe(svc, "reset", svc.Reset(t))
		}
		return nil
	}
	start := time.Now()
	a, err := s.start(ctx, t, svc)
	if err != nil {
		s.life(svc, "failed", err.Error(), time.Since(start))
		return err
	}
	s.keep(t, a)
	started()
	if err := s.awaitReady(ctx, a); err != nil {
		s.life(svc, "failed", err.Error(), time.Since(start))
		return err
	}
	s.life(svc, "ready", s.addresses(svc), time.Since(start))
	if svc.Seed != nil && !a.seeded {
		a.seeded = true
		return describe(svc, "seed", svc.Seed(t))
	}
	return nil
}

func describe(svc *Service, what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s service %s: %w", what, svc.Name, err)
	}
	return nil
}

// start starts a service with its intercepted edges in place before its first
// instruction.
func (s *stage) start(ctx context.Context, t *T, svc *Service) (*actor, error) {
	driver := s.runner.driver(svc)
	if driver == nil {
		return nil, fmt.Errorf("start service %s: this build of faultbox cannot start services of its kind", svc.Name)
	}
	a := &actor{svc: svc}
	var err error
	a.instance, err = driver.Start(ctx, s.world, s.trusting(s.testsOf(t, svc), svc), func(target intercept.Target) error { return s.attach(ctx, t, a, target) })
	if err != nil {
		s.vanish(a)
		a.detach()
		return nil, fmt.Errorf("start service %s: %w", svc.Name, err)
	}
	if len(svc.Observe) > 0 {
		a.instance.Lines(func(stream, line string) { s.observe(svc, stream, line) })
	}
	s.mu.Lock()
	s.actors[svc.Name] = a
	s.mu.Unlock()
	if svc.Container != "" {
		go s.guard(a)
	} else if svc.Restart == "" {
		go s.mourn(a)
	}
	return a, nil
}

// observe files a line of a service's output that one of its observers knows.
func (s *stage) observe(svc *Service, stream, line string) {
	t := s.now.Load()
	if t == nil {
		return
	}
	for _, o := range svc.Observe {
		if _, ok := o.Decode(line); ok && o.Stream == stream {
			t.log.Add(intercept.Event{Kind: intercept.Output, To: svc.Name, Op: stream, Text: line})
			return
		}
	}
}

// testsOf returns the tests that svc is started for.
func (s *stage) testsOf(t *T, svc *Service) []*Test {
	if svc.Reuse {
		return s.runner.selected
	}
	return []*Test{t.test}
}

// attach gets in the way of what the tests that svc is started for name.
func (s *stage) attach(ctx context.Context, t *T, a *actor, target intercept.Target) error {
	tests := s.testsOf(t, a.svc)
	s.gates.Lock()
	defer s.gates.Unlock()
	s.appear(a, target.NetNS)
	target.Name = a.svc.Name
	target.Peers = s.peers(tests, a.svc)
	target.Calls = callsOf(tests, a.svc)
	for _, to := range s.runner.Spec.Services {
		for _, itf := range to.Interfaces {
			target.Known = append(target.Known, s.peer(to, itf))
		}
	}
	if len(target.Calls) > 0 {
		if s.runner.Calls == nil {
			return fmt.Errorf("watch system calls: this build of faultbox cannot")
		}
		if target.Running {
			return fmt.Errorf("watch its system calls: only a program that is about to start can be: start it from the spec (image= or build= in place of container=)")
		}
	}
	via := func(i intercept.Interceptor) error {
		att, err := i.Attach(ctx, target, s)
		if err == nil {
			a.attached = append(a.attached, att)
		}
		return err
	}
	if len(target.Peers) > 0 {
		target.Peers = s.reach(a.svc, target.Peers)
		if err := via(s.runner.Interceptor); err != nil {
			return err
		}
	}
	// The interceptor may want to hear of calls itself.
	if len(target.Calls) > 0 || target.Exec != nil && target.Exec.Connections != nil {
		if err := via(s.runner.Calls); err != nil {
			return err
		}
	}
	a.calls = target.Calls
	return s.announce(t, a)
}

// peers returns the interfaces that svc reaches through an edge that one of the
// tests names.
func (s *stage) peers(tests []*Test, svc *Service) []intercept.Peer {
	var peers []intercept.Peer
	for _, to := range s.runner.Spec.Services {
		if to == svc {
			continue
		}
		for _, itf := range to.Interfaces {
			if edgeNamed(tests, svc.Name, to.Name, itf.Name) {
				peers = append(peers, s.everyPeer(to, itf)...)
			}
		}
	}
	return peers
}

func (s *stage) peer(svc *Service, itf *Interface) intercept.Peer {
	return intercept.Peer{To: svc.Name, Interface: itf.Name, Protocol: s.protocol(itf), TLS: itf.TLS && !itf.Protocol.UpgradesTLS, Addr: s.world.Peer(svc, itf)}
}

// edgeNamed reports whether any of the tests has a rule or a trace on the edge.
func edgeNamed(tests []*Test, from, to, itf string) bool {
	fits := func(want, have string) bool { return want == "" || want == have }
	for _, t := range tests {
		if t.Dynamic {
			return true
		}
		for _, r := range t.Rules {
			if r.Proto != intercept.Syscalls.Name && !r.Standing() && r.To == to && fits(r.From, from) && fits(r.Interface, itf) {
				return true
			}
		}
		for _, e := range t.Traced {
			if e.To == to && fits(e.From, from) && fits(e.Interface, itf) {
				return true
			}
		}
	}
	return false
}

// protocol returns the interface's protocol as all connections of the stage use it.
func (s *stage) protocol(itf *Interface) *protocols.Protocol {
	if itf.Protocol.Shared == nil {
		return itf.Protocol
	}
	own, _ := s.systems.LoadOrStore(itf.Protocol, itf.Protocol.OfSystem())
	return own.(*protocols.Protocol)
}

func (s *stage) addresses(svc *Service) string {
	if len(svc.Interfaces) == 0 {
		return ""
	}
	return s.stepAddr(svc, svc.Interfaces[0])
}

// strike ends the services, those that others depend on last. With all set,
// reused ones too. It returns what went wrong; everything is ended regardless.
func (s *stage) strike(ctx context.Context, all bool) error {
	var errs []error
	order := s.runner.Spec.Services
	for i := len(order) - 1; i >= 0; i-- {
		svc := order[i]
		if !svc.Reuse || all {
			s.unkeep(svc.Name)
		}
		s.mu.Lock()
		a := s.actors[svc.Name]
		s.mu.Unlock()
		if a == nil || svc.Reuse && !all && a.alive() {
			continue
		}
		s.vanish(a)
		errs = append(errs, a.end(ctx))
		s.mu.Lock()
		delete(s.actors, svc.Name)
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (a *actor) alive() bool {
	select {
	case <-a.instance.Exited():
		return false
	default:
		return true
	}
}

func (a *actor) end(ctx context.Context) error { return a.stop(ctx, a.instance.Stop) }

// halt ends a service that is to be started again.
func (a *actor) halt(ctx context.Context) error {
	if h, ok := a.instance.(Halter); ok {
		return a.stop(ctx, h.Halt)
	}
	return a.end(ctx)
}

func (a *actor) stop(ctx context.Context, how func(context.Context) error) error {
	a.leaving.Store(true)
	for _, att := range a.attached {
		if r, ok := att.(Releaser); ok {
			r.Release()
		}
	}
	return errors.Join(how(ctx), a.detach())
}

func (a *actor) detach() (err error) {
	for _, att := range a.attached {
		err = errors.Join(err, att.Close())
	}
	return err
}

// tails returns the last lines that each service wrote.
func (s *stage) tails(n int) map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	tails := make(map[string][]string)
	for name, a := range s.actors {
		if lines := a.instance.Tail(n); len(lines) > 0 {
			tails[name] = lines
		}
	}
	return tails
}
