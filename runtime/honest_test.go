package runtime

import (
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// begin is exchange, of which the end comes later, if at all.
func begin(k *fakeKit, op string) (end func(intercept.Outcome)) {
	ev := intercept.Event{From: "api", To: "db", Interface: "main", Proto: "fake", Op: op}
	ev.Decision = k.handler.Decide(&ev, &protocols.Item{Op: op})
	h := k.handler
	return func(o intercept.Outcome) {
		ev.Outcome = o
		for _, a := range ev.Decision.Rules {
			ev.Rules = append(ev.Rules, a.Name)
		}
		h.Done(ev)
	}
}

func delayRule(t *testing.T, name string, when intercept.When) intercept.Rule {
	r := closeRule(t, "GET")
	r.Name, r.Fault = name, intercept.Fault{Delay: time.Second, When: when}
	return r
}

// A fault that a test ends before is no hit; a delay that is on is one.
func TestFaultUnderWayWhenTheTestEnds(t *testing.T) {
	var k *fakeKit
	second := closeRule(t, "GET")
	second.Name = "second"
	never := closeRule(t, "GET")
	never.Trigger.Prob = 0
	for _, c := range []struct {
		name  string
		rules []intercept.Rule
		body  func(*T) error
		want  Verdict
		says  string
	}{
		{"still to act", []intercept.Rule{closeRule(t, "GET")}, func(*T) error { begin(k, "GET"); return nil }, Inconclusive, "broken struck 1 event, but had not come to it when the test ended"},
		{"delay under way", []intercept.Rule{delayRule(t, "slow", intercept.Before)}, func(*T) error { begin(k, "GET"); return nil }, Passed, ""},
		{"told a moment later", []intercept.Rule{closeRule(t, "GET")}, func(*T) error {
			time.AfterFunc(10*time.Millisecond, func() { begin(k, "SET")(intercept.Answered) })
			end := begin(k, "GET")
			time.AfterFunc(20*time.Millisecond, func() { end(intercept.Dropped) })
			return nil
		}, Passed, ""},
		{"one of two has acted", []intercept.Rule{closeRule(t, "GET")}, func(*T) error { begin(k, "GET"); exchange(k, "GET", intercept.Dropped); return nil }, Passed, ""},
		{"no answer to delay", []intercept.Rule{delayRule(t, "late", intercept.After)}, func(*T) error {
			ev := intercept.Event{From: "api", To: "db", Interface: "main", Proto: "fake", Op: "GET"}
			ev.Decision = k.handler.Decide(&ev, &protocols.Item{Op: "GET"})
			ev.Decision.DelayAfter, ev.Outcome = 0, intercept.Broken
			k.handler.Done(ev)
			return nil
		}, Inconclusive, "late struck 1 event, but there was nothing to act on"},
		{"another was first", []intercept.Rule{closeRule(t, "GET"), second}, func(*T) error { exchange(k, "GET", intercept.Dropped); return nil }, Inconclusive, "second matched 1 event, but broken ended the exchange first"},
		{"never", []intercept.Rule{never}, func(*T) error { exchange(k, "GET", intercept.Answered); return nil }, Inconclusive, "its probability is 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r *Runner
			var out *collect
			r, k, out = fixture(&Test{Name: "t", Body: c.body, Rules: c.rules})
			if v, err := r.Run(t.Context()); err != nil || v != c.want || !strings.Contains(out.tests[0].Reason, c.says) {
				t.Errorf("verdict %s (%v): %q; want %s: %q", v, err, out.tests[0].Reason, c.want, c.says)
			}
		})
	}
}

// What a reused service is still about from the test before belongs to that one.
func TestEventOfTheTestBefore(t *testing.T) {
	var k *fakeKit
	var end func(intercept.Outcome)
	slow := []intercept.Rule{delayRule(t, "slow", intercept.Before)}
	r, k, out := fixture(
		&Test{Name: "a", Rules: slow, Body: func(*T) error { end = begin(k, "GET"); return nil }},
		&Test{Name: "b", Rules: slow, Body: func(*T) error { end(intercept.Answered); exchange(k, "GET", intercept.Answered); return nil }},
	)
	for _, s := range r.Spec.Services {
		s.Reuse = true
	}
	if v, err := r.Run(t.Context()); v != Passed || err != nil {
		t.Fatal(v, err)
	}
	for i, rec := range out.tests {
		wire := 0
		for _, ev := range rec.Events {
			if ev.Kind == intercept.Wire {
				if wire++; ev.Seq > 100 {
					t.Errorf("%s: event number %d", rec.Name, ev.Seq)
				}
			}
		}
		if f := rec.Faults[0]; wire != 1 || f.Fired != 1 || len(f.Touched) != 1 {
			t.Errorf("test %d: %d exchanges, fault %+v", i, wire, f)
		}
	}
}

// There is nothing to kill, or to pause, of a service that has ended.
func TestStandingFaultOfTheDead(t *testing.T) {
	for _, do := range []intercept.Do{intercept.Kill, intercept.Pause} {
		r, _, out := fixture(&Test{Name: "t", Body: func(t *T) error {
			t.Arm(process(intercept.Kill, 0))
			rule := process(do, 0)
			rule.Name = "again"
			t.Arm(rule)()
			return nil
		}})
		if v, _ := r.Run(t.Context()); v != Inconclusive || !strings.Contains(out.tests[0].Reason, "again had nothing to act on: db did not run any more") {
			t.Errorf("%s: %s, %q", do, v, out.tests[0].Reason)
		}
	}
}
