package runtime

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"faultbox/intercept"
)

// Network impairs the packets between services of a world.
type Network interface {
	// Impair does to packets from a service to another (or to every other, if
	// to is nil) what f says: Lose (all of them, or the share prob, drawn from
	// seed) or keep to a Rate. Connections that exist already are impaired too.
	Impair(w World, from *Service, to []*Service, f intercept.Fault, prob float64, seed uint64) (Impairment, error)
}

// Impairment is one that is in force.
type Impairment interface {
	// Struck is how many packets it acted on.
	Struck() uint64
	// Refresh finds the services again after one of them was started anew.
	Refresh() error
	Lift() error
}

// Killer is an Instance whose processes can be killed all at once.
type Killer interface{ Kill() error }

// Pauser is an Instance whose processes can be stopped where they are, until
// thaw is called or faultbox is killed.
type Pauser interface {
	Pause() (thaw func() error, err error)
}

// Halter is an Instance that can be stopped so that its driver starts it again
// with all that it had written.
type Halter interface {
	Halt(ctx context.Context) error
}

// Crasher is an Attachment that kills a service the way a power cut would: what
// it was led to believe is on disk is lost.
type Crasher interface{ Crash() error }

// Releaser is an Attachment that holds things up: Release ends the delays that
// are running, so that a service can end politely.
type Releaser interface{ Release() }

// stand does what standing rules say, now. undo ends what lasts.
func (t *T) stand(rules []*intercept.ActiveRule) (undo func()) {
	var undos []func()
	for _, a := range rules {
		if !a.Standing() {
			continue
		}
		undo, err := t.act(a)
		if err != nil {
			t.log.Add(intercept.Event{Kind: intercept.Note, From: a.From, To: a.To, Proto: a.Proto, Note: fmt.Sprintf("%s: %s", a.Name, err)})
			t.fail(fmt.Errorf("%s: %w", a.Name, err))
			continue
		}
		undos = append(undos, undo)
	}
	return sync.OnceFunc(func() {
		for i := len(undos) - 1; i >= 0; i-- {
			undos[i]()
		}
	})
}

// fail keeps the first reason why what a test asks for could not be done.
func (t *T) fail(err error) { t.unable.CompareAndSwap(nil, &err) }

func (t *T) act(a *intercept.ActiveRule) (undo func(), err error) {
	if a.Proto == intercept.Network.Name {
		return t.impair(a)
	}
	begin := time.Now()
	undo = func() {}
	if ended := t.stage.ended(a.To); ended != nil && a.Fault.Do != intercept.Restart {
		if a.Fault.Do == intercept.Kill {
			err = t.stage.kill(a.To) // what its first process may have left
		}
		t.log.Add(intercept.Event{Kind: intercept.Note, From: a.To, To: a.To, Proto: a.Proto, Note: fmt.Sprintf("%s had nothing to act on: the service had ended (%s)", a.Name, ended)})
		return undo, err
	}
	switch a.Fault.Do {
	case intercept.Kill:
		err = t.stage.kill(a.To)
	case intercept.Pause:
		undo, err = t.stage.pause(a.To, a.Fault.Delay)
	case intercept.Restart:
		err = t.stage.restart(t.ctx, t, a.To)
	}
	if err != nil {
		return nil, err
	}
	a.Struck(1)
	t.log.Add(intercept.Event{
		Kind: intercept.Life, From: a.To, To: a.To, Proto: a.Proto, Op: a.Fault.Do.String(), Took: time.Since(begin),
		Rules: []string{a.Name}, Decision: intercept.Decision{Fault: a.Fault, Rules: []*intercept.ActiveRule{a}},
	})
	return undo, nil
}

// impair puts a network rule into force.
func (t *T) impair(a *intercept.ActiveRule) (undo func(), err error) {
	s := t.stage
	if s.runner.Network == nil {
		return nil, &LacksError{What: "this build of faultbox cannot impair the network"}
	}
	from := s.runner.Spec.Service(a.From)
	var to []*Service
	for _, svc := range s.runner.Spec.Services {
		if svc != from && (a.To == "" || svc.Name == a.To) {
			to = append(to, svc)
		}
	}
	i, err := s.runner.Network.Impair(s.world, from, to, a.Fault, a.Trigger.Prob, a.Seed())
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.impaired = append(t.impaired, i)
	t.mu.Unlock()
	return func() {
		t.mu.Lock()
		t.impaired = slices.DeleteFunc(t.impaired, func(x Impairment) bool { return x == i })
		t.mu.Unlock()
		a.Struck(i.Struck())
		if err := i.Lift(); err != nil {
			t.log.Add(intercept.Event{Kind: intercept.Note, From: a.From, To: a.To, Proto: a.Proto, Note: err.Error()})
		}
	}, nil
}

// actor returns a service that was started.
func (s *stage) actor(name string) (*actor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.actors[name]; a != nil {
		return a, nil
	}
	return nil, fmt.Errorf("service %s does not run", name)
}

// ended says how a service ended that does not run any more; nil: it runs.
func (s *stage) ended(name string) error {
	a, err := s.actor(name)
	if err != nil || a.alive() {
		return err
	}
	return orClean(a.instance.Err())
}

// mourn tells of a service that ended by itself, and not well.
func (s *stage) mourn(a *actor) {
	<-a.instance.Exited()
	if err := a.instance.Err(); err != nil && !a.leaving.Load() {
		s.life(a.svc, "ended", err.Error(), 0)
	}
}

// kill ends every process of a service at once.
func (s *stage) kill(name string) error {
	a, err := s.actor(name)
	if err != nil {
		return err
	}
	a.leaving.Store(true) // nobody is to be surprised
	for _, att := range a.attached {
		if c, ok := att.(Crasher); ok {
			if err := c.Crash(); err != nil {
				return err
			}
		}
	}
	k, ok := a.instance.(Killer)
	if !ok {
		return fmt.Errorf("kill %s: services of its kind cannot be killed by this build", name)
	}
	return k.Kill()
}

// pause stops a service where it is until undo is called, for d at most if
// there is one.
func (s *stage) pause(name string, d time.Duration) (undo func(), err error) {
	a, err := s.actor(name)
	if err != nil {
		return nil, err
	}
	p, ok := a.instance.(Pauser)
	if !ok {
		return nil, fmt.Errorf("pause %s: services of its kind cannot be paused by this build", name)
	}
	end, err := p.Pause()
	if err != nil {
		return nil, err
	}
	thaw := sync.OnceFunc(func() {
		if err := end(); err != nil {
			s.Done(intercept.Event{Kind: intercept.Note, To: name, Proto: intercept.Processes.Name, Note: err.Error()})
		}
	})
	if d > 0 {
		timer := time.AfterFunc(d, thaw)
		return func() { timer.Stop(); thaw() }, nil
	}
	return thaw, nil
}

// restart ends a service politely, if it runs, and starts it anew.
func (s *stage) restart(ctx context.Context, t *T, name string) error {
	svc := s.runner.Spec.Service(name)
	s.unkeep(name)
	if a, err := s.actor(name); err == nil {
		s.vanish(a)
		if err := a.halt(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	a, err := s.start(ctx, t, svc)
	if err == nil {
		s.keep(t, a)
		err = s.refresh(t)
	}
	if err == nil {
		err = s.awaitReady(ctx, a)
	}
	if err != nil {
		return err
	}
	s.life(svc, "ready", s.addresses(svc), time.Since(begin))
	return nil
}
