package runtime

import (
	"context"
	"sync"
	"time"

	"faultbox/intercept"
)

// maxEvents bounds a test's timeline: beyond it, exchanges that no rule acted
// on are counted and forgotten, so that a load test does not fill memory.
const maxEvents = 200_000

// Log is the timeline of one test. It is safe for concurrent use.
type Log struct {
	start time.Time

	mu     sync.Mutex
	seq    uint64
	lost   int
	events []intercept.Event
	grown  chan struct{} // closed and replaced when events grow
}

// NewLog returns an empty timeline that begins now.
func NewLog() *Log { return &Log{start: time.Now(), grown: make(chan struct{})} }

// Add appends an event, giving it its number and its time of ending; At is
// when it began.
func (l *Log) Add(ev intercept.Event) {
	now := time.Since(l.start)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) >= maxEvents && len(ev.Rules) == 0 && ev.Kind == intercept.Wire {
		l.lost++
		return
	}
	l.seq++
	ev.Seq = l.seq
	ev.At = max(now-ev.Took, 0)
	l.events = append(l.events, ev)
	close(l.grown)
	l.grown = make(chan struct{})
}

// Events returns the events so far, oldest first, and how many were forgotten.
// The slice is shared and must not be changed.
func (l *Log) Events() (events []intercept.Event, lost int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[:len(l.events):len(l.events)], l.lost
}

// Next returns the events from index n on, waiting until there is one or ctx ends.
func (l *Log) Next(ctx context.Context, n int) ([]intercept.Event, error) {
	for {
		l.mu.Lock()
		events, grown := l.events[:len(l.events):len(l.events)], l.grown
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
