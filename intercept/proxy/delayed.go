package proxy

import (
	"container/heap"
	"time"
)

// delayed is what a flow sends later, the earliest first; what is due at the
// same time keeps its order. It is guarded by Flow.mu.
type delayed struct {
	flow  *Flow
	heap  dues
	size  int // bytes
	n     uint64
	timer *time.Timer
}

// due is a sending and its time.
type due struct {
	sending
	at time.Duration // see teller.now
	n  uint64
}

// add has s sent at that time.
func (q *delayed) add(s sending, at time.Duration) {
	q.n++
	q.size += len(s.forward) + len(s.back)
	heap.Push(&q.heap, due{s, at, q.n})
	if q.timer == nil {
		q.timer = time.AfterFunc(at-q.flow.now(), q.fire)
	} else if q.heap[0].n == q.n {
		q.timer.Reset(at - q.flow.now())
	}
}

// fire sends what is due.
func (q *delayed) fire() {
	f := q.flow
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(q.heap) > 0 && !f.closed {
		now := f.now()
		if wait := q.heap[0].at - now; wait > 0 {
			q.timer.Reset(wait)
			return
		}
		s := heap.Pop(&q.heap).(due).sending
		q.size -= len(s.forward) + len(s.back)
		f.used = now
		if !s.last {
			s.x.plan.holds--
		}
		f.release(s)
	}
	f.settle()
	if f.leaving {
		go f.Close()
	}
}

// drop empties the queue.
func (q *delayed) drop() (dropped []sending) {
	if q.timer != nil {
		q.timer.Stop()
	}
	for _, d := range q.heap {
		dropped = append(dropped, d.sending)
	}
	q.heap, q.size = nil, 0
	return dropped
}

// dues is a heap.Interface.
type dues []due

func (h dues) Len() int { return len(h) }
func (h dues) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].n < h[j].n
}
func (h dues) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *dues) Push(x any)   { *h = append(*h, x.(due)) }
func (h *dues) Pop() any {
	last := len(*h) - 1
	d := (*h)[last]
	(*h)[last] = due{}
	*h = (*h)[:last]
	return d
}
