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
	return l.once(func(events []intercept.Event) bool { return len(events) >= n })
}

// once returns the events once they satisfy ok, or after ten seconds.
func (l *Log) once(ok func([]intercept.Event) bool) []intercept.Event {
	deadline := time.Now().Add(10 * time.Second)
	for {
		events := l.Events()
		if ok(events) || time.Now().After(deadline) {
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
	at := -1
	events := l.once(func(events []intercept.Event) bool {
		at = slices.IndexFunc(events, func(ev intercept.Event) bool { return ok(&ev) })
		return at >= 0
	})
	if at >= 0 {
		return events[at]
	}
	t.Fatalf("no event %s; there were %+v, notes %q", what, l.Events(), l.Notes())
	return intercept.Event{}
}
