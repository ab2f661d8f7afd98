package runtime

import (
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

// TestLongRun denies more calls than a timeline holds: none is uncounted, and
// memory is taken for no more.
func TestLongRun(t *testing.T) {
	const n = maxEvents + 1000
	rule := intercept.Rule{Name: "full", To: "program", Proto: intercept.Syscalls.Name, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Deny, Errno: 28}}
	s := NewSolo(1, "program", []string{"write"}, rule)
	for range n {
		ev := intercept.Event{Kind: intercept.Syscall, From: "program", To: "program", Proto: intercept.Syscalls.Name, Op: "write"}
		ev.Decision = s.Decide(&ev, &protocols.Item{Op: "write"})
		for _, r := range ev.Decision.Rules {
			ev.Rules = append(ev.Rules, r.Name)
		}
		ev.Err, ev.Outcome = "ENOSPC", intercept.Denied
		s.Done(ev)
	}
	if events, lost := s.t.log.Timeline(); len(events) != maxEvents || lost != n-maxEvents {
		t.Errorf("%d events kept, %d forgotten; want %d and %d", len(events), lost, maxEvents, n-maxEvents)
	}
	f := s.Faults()[0]
	if f.Acted != n || len(f.Touched) != 1 || f.Touched[0].Count != n {
		t.Errorf("acted on %d, told of %+v; want %d of one kind", f.Acted, f.Touched, n)
	}
}
