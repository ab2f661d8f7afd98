package proxy

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// Flows end when nothing has come for idleFlow, which is what NATs are asked to
// allow (RFC 4787), and the one that is idle the longest when there are too many.
const (
	idleFlow = 5 * time.Minute
	maxFlows = 4096
)

// Flows are the flows of many clients.
type Flows struct {
	mu     sync.Mutex
	byKey  map[FlowKey]*list.Element // of *entry
	recent list.List                 // the one whose client spoke last comes first
	sweep  *time.Timer
	closed bool
}

// FlowKey tells flows apart: who sends, and to which of our addresses.
type FlowKey struct{ Client, To netip.AddrPort }

type entry struct {
	key  FlowKey
	flow *Flow
}

// Take relays a datagram of a client, in the flow that it belongs to. The first
// makes it with open; if that fails, flows that are idle make room and it is
// tried again. Take is called by one goroutine at a time for the same key.
func (t *Flows) Take(key FlowKey, b []byte, open func() (*Flow, error)) error {
	for {
		f := t.find(key)
		if f == nil {
			var err error
			if f, err = open(); err != nil && t.shed(t.count()/2) {
				f, err = open()
			}
			if err != nil {
				return err
			}
			if !t.add(key, f) {
				f.Close()
				return nil
			}
		}
		if f.Take(b) { // else it has just ended
			return nil
		}
	}
}

func (t *Flows) find(key FlowKey) *Flow {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[key]
	if e == nil {
		return nil
	}
	t.recent.MoveToFront(e)
	return e.Value.(*entry).flow
}

func (t *Flows) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.recent.Len()
}

// add reports false if there are to be no more flows.
func (t *Flows) add(key FlowKey, f *Flow) bool {
	if t.count() >= maxFlows {
		t.shed(maxFlows - maxFlows/16)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	if t.byKey == nil {
		t.byKey = make(map[FlowKey]*list.Element)
		t.sweep = time.AfterFunc(idleFlow/4, t.expire)
	}
	t.byKey[key] = t.recent.PushFront(&entry{key, f})
	return true
}

// shed ends the flows whose clients have been silent the longest, until keep
// are left. It reports whether there were any.
func (t *Flows) shed(keep int) bool {
	return t.end(func(left int, _ *Flow) bool { return left > keep })
}

// expire ends the flows that are idle.
func (t *Flows) expire() {
	t.end(func(_ int, f *Flow) bool { return f.Idle() >= idleFlow })
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.sweep.Reset(idleFlow / 4)
	}
}

// end ends the flows that are over, and waits for them.
func (t *Flows) end(over func(left int, f *Flow) bool) bool {
	var ended []*Flow
	t.mu.Lock()
	for e := t.recent.Back(); e != nil; {
		before := e.Prev()
		if x := e.Value.(*entry); over(t.recent.Len(), x.flow) {
			t.recent.Remove(e)
			delete(t.byKey, x.key)
			ended = append(ended, x.flow)
		}
		e = before
	}
	t.mu.Unlock()
	for _, f := range ended {
		f.Close()
	}
	return len(ended) > 0
}

// Close ends all flows and waits for them; Take then does nothing.
func (t *Flows) Close() {
	t.mu.Lock()
	t.closed = true
	if t.sweep != nil {
		t.sweep.Stop()
	}
	t.mu.Unlock()
	t.end(func(int, *Flow) bool { return true })
}
