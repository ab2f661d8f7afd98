package drivers

import (
	"slices"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Log decides by Rules and keeps every event that it is told of.
type Log struct {
	Rules *intercept.Rules

	start  time.Time
	mu     sync.Mutex
	events []intercept.Event
}

// Decide implements intercept.Handler.
func (l *Log) Decide(ev *intercept.Event, item *protocols.Item) intercept.Decision {
	ev.At = time.Since(l.start)
	return l.Rules.Decide(ev, item)
}

// Done implements intercept.Handler. It takes back the count of a fault that
// had nothing to act on.
func (l *Log) Done(ev intercept.Event) {
	l.Rules.Ended(&ev)
	l.mu.Lock()
	defer l.mu.Unlock()
	ev.Seq = uint64(len(l.events)) + 1
	l.events = append(l.events, ev)
}

// Events returns what has ended so far, notes not included, in the order in
// which it ended.
func (l *Log) Events() []intercept.Event { return l.all(false) }

// Some returns the events once there are n, or after ten seconds those that
// there are. A client may have its answer just before the relay reports it.
func (l *Log) Some(n int) []intercept.Event {
	deadline := time.Now().Add(10 * time.Second)
	for {
		events := l.Events()
		if len(events) >= n || time.Now().After(deadline) {
			return events
		}
		time.Sleep(time.Millisecond)
	}
}

// Notes returns what the relay had to say.
func (l *Log) Notes() []string {
	var notes []string
	for _, ev := range l.all(true) {
		notes = append(notes, ev.Note)
	}
	return notes
}

func (l *Log) all(notes bool) []intercept.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.events), func(ev intercept.Event) bool { return notes == (ev.Op != "") })
}

// Tally returns the rules with their counters, in the order given to Front.
func (l *Log) Tally() []*intercept.ActiveRule { return l.Rules.Tally() }

// Wait waits until an event satisfies ok and returns it, as Some does. The test
// fails if none comes.
func (l *Log) Wait(t testing.TB, what string, ok func(*intercept.Event) bool) intercept.Event {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		events := l.all(false)
		if i := slices.IndexFunc(events, func(ev intercept.Event) bool { return ok(&ev) }); i >= 0 {
			return events[i]
		}
	}
	t.Fatalf("no event %s; there were %+v, notes %q", what, l.Events(), l.Notes())
	return intercept.Event{}
}
