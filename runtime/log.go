package runtime

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"faultbox/intercept"
)

// maxEvents bounds a test's timeline: beyond it, exchanges and system calls are
// forgotten and what rules did to them is only counted, so that a load test, or a
// program that runs for days, does not fill memory.
const maxEvents = 200_000

// Log is the timeline of one test. It is safe for concurrent use.
type Log struct {
	start time.Time
	seq   atomic.Uint64
	owner uint64 // in the upper bits of its events' Seq while they last: tells them from another test's

	mu     sync.Mutex
	lost   int
	events []intercept.Event          // in the order in which they ended
	struck map[uint64]intercept.Event // faulted and not ended yet, by Seq
	seen   map[sight]int              // system calls that are not in the timeline
	folded map[fold]int               // what rules did to events that were forgotten
	grown  chan struct{}              // closed when events grow; nil while nobody waits
}

// logs counts the timelines of this process.
var logs atomic.Uint64

// ownerBit is where a Seq begins to tell whose it is.
const ownerBit = 40

// NewLog returns an empty timeline that begins now.
func NewLog() *Log {
	return &Log{start: time.Now(), struck: make(map[uint64]intercept.Event), owner: logs.Add(1) << ownerBit}
}

// Open gives an event that begins now its number and time.
func (l *Log) Open(ev *intercept.Event) {
	ev.Seq = l.owner | l.seq.Add(1)
	ev.At = time.Since(l.start)
}

// Strike notes an open event that rules act on, so that it counts even if it
// has not ended when the test is judged.
func (l *Log) Strike(ev intercept.Event) {
	for _, r := range ev.Decision.Rules {
		ev.Rules = append(ev.Rules, r.Name)
	}
	ev.Seq &^= l.owner
	l.mu.Lock()
	defer l.mu.Unlock()
	l.struck[ev.Seq] = ev
}

// Add appends an event that has ended. One that was not opened is numbered now.
func (l *Log) Add(ev intercept.Event) {
	if l.begin(&ev) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.add(ev)
	}
}

// begin gives an event that has ended the number under which it is kept. It
// reports false for one that began in the timeline of another test.
func (l *Log) begin(ev *intercept.Event) bool {
	if ev.Seq == 0 {
		l.Open(ev)
		ev.At = max(ev.At-ev.Took, 0)
	}
	own := ev.Seq>>ownerBit<<ownerBit == l.owner
	ev.Seq &^= l.owner
	return own
}

// add is Add for an event that has its number. The mutex is held.
func (l *Log) add(ev intercept.Event) {
	delete(l.struck, ev.Seq)
	if len(l.events) >= maxEvents && (ev.Kind == intercept.Wire || ev.Kind == intercept.Syscall) {
		l.lost++
		l.fold(&ev)
		return
	}
	l.events = append(l.events, ev)
	if l.grown != nil {
		close(l.grown)
		l.grown = nil
	}
}

// fold is what a rule did to events.
type fold struct {
	rule  *intercept.ActiveRule
	touch Touch // Count is 0
}

// fold counts what rules did to an event that is forgotten. l.mu is held.
func (l *Log) fold(ev *intercept.Event) {
	for _, a := range ev.Decision.Rules {
		if touch, ok := touchOf(ev, a); ok {
			if l.folded == nil {
				l.folded = make(map[fold]int)
			}
			l.folded[fold{a, touch}]++
		}
	}
}

// sight is what is remembered of a system call that no rule acted on.
type sight struct{ service, call, key string }

// maxGlances bounds how many of them are told apart.
const maxGlances = 4096

// Glance counts a system call that is not worth an event: one that a rule might
// have acted on, so that a rule that never did can be explained.
func (l *Log) Glance(ev intercept.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := sight{ev.To, ev.Op, ev.Key}
	if _, ok := l.seen[s]; !ok && len(l.seen) >= maxGlances {
		return
	}
	if l.seen == nil {
		l.seen = make(map[sight]int)
	}
	l.seen[s]++
}

// Events returns the events that have ended, in that order, and how many were
// forgotten. The slice is shared and must not be changed.
func (l *Log) Events() (events []intercept.Event, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)], l.lost
}

// Timeline returns all events in the order in which they began: those that
// ended, and the faulted ones that are still under way.
func (l *Log) Timeline() (events []intercept.Event, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.timeline(), l.lost
}

// timeline is Timeline with the mutex held.
func (l *Log) timeline() []intercept.Event {
	events := slices.Clone(l.events)
	for _, ev := range l.struck {
		ev.Outcome = intercept.Pending
		ev.Took = time.Since(l.start) - ev.At
		events = append(events, ev)
	}
	slices.SortStableFunc(events, func(a, b intercept.Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Seq, b.Seq))
	})
	return events
}

// pending is how many events that rules act on have not ended.
func (l *Log) pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.struck)
}

// Next returns the events from index n on, waiting until there is one or ctx ends.
func (l *Log) Next(ctx context.Context, n int) ([]intercept.Event, error) {
	for {
		l.mu.Lock()
		events := l.events[:len(l.events):len(l.events)]
		if n >= len(events) && l.grown == nil {
			l.grown = make(chan struct{})
		}
		grown := l.grown
		l.mu.Unlock()
		if n < len(events) {
			return events[n:], nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
