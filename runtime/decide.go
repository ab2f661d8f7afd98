package runtime

import (
	"faultbox/intercept"
	"faultbox/protocols"
)

// decide asks the test's rules, if they are armed.
func (t *T) decide(ev *intercept.Event, item *protocols.Item, armed bool) (d intercept.Decision) {
	if ev.Kind == intercept.Wire {
		t.log.Open(ev)
	}
	if !armed {
		return d
	}
	d = t.rules.Decide(ev, item)
	if ev.Kind == intercept.Syscall && (d.Fires() || t.traces(ev)) {
		t.log.Open(ev) // the others are not in the timeline
	}
	if d.Fires() {
		struck := *ev
		struck.Decision = d
		t.log.Strike(struck)
	}
	return d
}

// done files an event.
func (t *T) done(ev intercept.Event) {
	if ev.Kind == intercept.Syscall && len(ev.Rules) == 0 && !t.traces(&ev) {
		t.log.Glance(ev)
		return
	}
	if !t.log.begin(&ev) {
		return
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	t.rules.Ended(&ev)
	t.log.add(ev)
}

// needs says what must be known of a system call to decide on it.
func (t *T) needs(ev *intercept.Event) intercept.Needs {
	needs := t.rules.Needs(ev)
	if t.traces(ev) {
		needs |= intercept.NeedsCall | intercept.NeedsFile | intercept.NeedsPeer
	}
	return needs
}

// Solo decides for one program that runs without a world and without a test.
type Solo struct {
	t    *T
	Tell func(intercept.Event) // hears of each event that a rule acted on, or that is traced; nil: nobody
}

// NewSolo arms rules, whose random draws come from seed, and traces calls of
// the service that the rules are for.
func NewSolo(seed uint64, service string, traced []string, rules ...intercept.Rule) *Solo {
	s := &Solo{t: &T{test: &Test{Name: service}, rules: intercept.NewRules(seed), log: NewLog()}}
	s.t.rules.Arm(rules...)
	if len(traced) > 0 {
		s.t.track(service, traced)
	}
	return s
}

// Decide implements intercept.Handler.
func (s *Solo) Decide(ev *intercept.Event, item *protocols.Item) intercept.Decision {
	return s.t.decide(ev, item, true)
}

// Done implements intercept.Handler.
func (s *Solo) Done(ev intercept.Event) {
	s.t.done(ev)
	if s.Tell != nil && (len(ev.Rules) > 0 || ev.Kind == intercept.Note || s.t.traces(&ev)) {
		s.Tell(ev)
	}
}

// Needs implements intercept.Scout.
func (s *Solo) Needs(ev *intercept.Event) intercept.Needs { return s.t.needs(ev) }

// Folders implements intercept.Scout.
func (s *Solo) Folders(ev *intercept.Event) []string { return s.t.rules.Folders(ev) }

// LiesAbout implements intercept.Scout.
func (s *Solo) LiesAbout(ev *intercept.Event, item *protocols.Item) bool {
	return s.t.rules.LiesAbout(ev, item)
}

// Faults says what each rule touched.
func (s *Solo) Faults() []FaultRecord {
	return s.t.faults()
}
