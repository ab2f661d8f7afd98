package runtime

import (
	"fmt"
	"slices"
	"sync/atomic"

	"faultbox/intercept"
	"faultbox/protocols"
)

// callsOf returns the system calls of svc that the tests' rules, or bodies that
// arm rules of their own, are about.
func callsOf(tests []*Test, svc *Service) []string {
	var calls []string
	for _, t := range tests {
		if t.Dynamic {
			calls = append(calls, t.Calls...)
		}
		for i := range t.Rules {
			if r := &t.Rules[i]; r.Proto == intercept.Syscalls.Name && r.To == svc.Name {
				calls = append(calls, r.Watched()...)
			}
		}
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// tracks are the traces of system calls that are on. Reading them takes no lock.
type tracks struct{ list atomic.Pointer[[]*track] }

type track struct {
	service string
	calls   []string
}

// Trace puts the system calls of a service into the timeline, those that no rule
// acts on too, until stop is called or the test ends. It fails for calls that
// are not watched: Test.Calls did not name them.
func (t *T) Trace(service string, calls []string) (stop func(), err error) {
	if err := t.Watches(service, calls); err != nil {
		return nil, err
	}
	return t.track(service, calls), nil
}

func (t *T) track(service string, calls []string) (stop func()) {
	tr := &track{service: service}
	for _, name := range calls {
		tr.calls = append(tr.calls, intercept.SyscallNames(name)...)
	}
	t.tracks.change(func(list []*track) []*track { return append(slices.Clip(list), tr) })
	return func() {
		t.tracks.change(func(list []*track) []*track {
			return slices.DeleteFunc(slices.Clone(list), func(x *track) bool { return x == tr })
		})
	}
}

func (ts *tracks) change(f func([]*track) []*track) {
	for {
		old := ts.list.Load()
		var list []*track
		if old != nil {
			list = *old
		}
		list = f(list)
		if ts.list.CompareAndSwap(old, &list) {
			return
		}
	}
}

// traces reports whether a system call is traced.
func (t *T) traces(ev *intercept.Event) bool {
	list := t.tracks.list.Load()
	if list == nil {
		return false
	}
	for _, tr := range *list {
		if tr.service == ev.To && slices.Contains(tr.calls, ev.Op) {
			return true
		}
	}
	return false
}

// Watches returns nil if the calls of a service can be seen: a rule about others
// would never match.
func (t *T) Watches(service string, calls []string) error {
	t.stage.mu.Lock()
	a := t.stage.actors[service]
	t.stage.mu.Unlock()
	if a == nil {
		return nil // not started; it will be with what the test names
	}
	var have []string
	for _, name := range a.calls {
		have = append(have, intercept.SyscallNames(name)...)
	}
	for _, name := range calls {
		for _, call := range intercept.SyscallNames(name) {
			if !slices.Contains(have, call) {
				return fmt.Errorf("`%s` of %s is not watched: write its name where the spec can be seen to use it, as in `%s = deny(…)` or `syscalls = [\"%s\"]`", call, service, call, call)
			}
		}
	}
	return nil
}

// Needs implements intercept.Scout: between tests, and while services start, no
// system call concerns anybody.
func (s *stage) Needs(ev *intercept.Event) intercept.Needs {
	t := s.now.Load()
	if t == nil || !s.armed.Load() {
		return 0
	}
	return t.needs(ev)
}

// Folders implements intercept.Scout.
func (s *stage) Folders(ev *intercept.Event) []string {
	if t := s.now.Load(); t != nil {
		return t.rules.Folders(ev)
	}
	return nil
}

// LiesAbout implements intercept.Scout.
func (s *stage) LiesAbout(ev *intercept.Event, item *protocols.Item) bool {
	t := s.now.Load()
	return t != nil && s.armed.Load() && t.rules.LiesAbout(ev, item)
}
