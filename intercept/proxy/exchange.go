package proxy

import (
	"sort"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// exchange is a request until its answer has been passed on, or a pushed
// message until it has.
type exchange struct {
	id, stream uint64
	began      time.Duration // since the connection began
	first      item          // what it asks for, if items > 0
	rest       []item        // the others, for a request that asks for many things
	items      int
	err        string // the server's error code
	plan       *plan  // nil: no rule fired

	sent     bool // the request's last frame has come
	heard    bool // the answer's first frame has come
	told     bool // its sender has heard all that it is going to hear
	oneway   bool // no answer will come
	pushed   bool // by the server
	mute     [2]bool
	silent   [2]bool // mute, and nothing in its place: the relay ends the connection
	awaits   bool    // the server's answer has yet to come and be swallowed
	broken   bool    // the connection ended first
	replaced bool    // a fault has replaced the answer, of which the rest is to come
	idle     [2]bool // by When: the fault had nothing to act on
	late     bool    // the delay of the answer has begun
	listed   bool    // is in a list of exchanges in flight
	pending  bool    // is in a list of exchanges to report
}

// item is the part of an event that an exchange keeps.
type item struct {
	seq           uint64
	at            time.Duration
	op, key, text string
	decision      *intercept.Decision // nil: no rule fired
}

// plan is what is to be done to an exchange that rules fired on.
type plan struct {
	delay [2]time.Duration    // by When
	fates [2][]protocols.Fate // by When; nil: all pass
	end   intercept.Do        // Close, Reset or Cut; Pass: none
	when  intercept.When      // of end
	bytes int                 // Cut: bytes of the answer that pass

	hold    [2]*hold        // by direction: frames whose delay is not over
	holds   int             // how many of them
	twice   bool            // the frames of the request are gathered up to its End
	first   protocols.Frame // the first of those
	all     []byte          // their bytes
	back    []byte          // what the client hears instead of the server's answer
	ready   bool            // back, or end, takes effect when its turn comes
	passed  int             // Cut: bytes of the answer that have passed
	cut     bool            // the cut is made
	endless bool            // the answer ends where the connection does
}

// gone reports whether no further frame can concern the exchange.
func (x *exchange) gone() bool {
	return x.told && x.sent && !x.awaits && (x.plan == nil || x.plan.holds == 0)
}

// ring holds the requests in flight on a connection, in the order of their IDs.
type ring struct {
	buf     []*exchange // its length is a power of two
	head, n int
}

func (q *ring) at(i int) *exchange { return q.buf[(q.head+i)&(len(q.buf)-1)] }

// add appends x. A full ring first lets go of exchanges that ended behind one
// that lives long, each of which goes to free.
func (q *ring) add(x *exchange, free func(*exchange)) {
	if q.n == len(q.buf) {
		q.sweep(free)
		if 2*q.n >= len(q.buf) {
			q.grow()
		}
	}
	q.buf[(q.head+q.n)&(len(q.buf)-1)] = x
	q.n++
	x.listed = true
}

func (q *ring) sweep(free func(*exchange)) {
	kept := 0
	for i := range q.n {
		x := q.at(i)
		if x.gone() {
			x.listed = false
			free(x)
			continue
		}
		q.buf[(q.head+kept)&(len(q.buf)-1)] = x
		kept++
	}
	for i := kept; i < q.n; i++ {
		q.buf[(q.head+i)&(len(q.buf)-1)] = nil
	}
	q.n = kept
}

func (q *ring) grow() {
	next := make([]*exchange, max(2, 2*len(q.buf)))
	for i := range q.n {
		next[i] = q.at(i)
	}
	q.buf, q.head = next, 0
}

// find returns the exchange with that ID, or nil.
func (q *ring) find(id uint64) *exchange {
	if q.n == 0 {
		return nil
	}
	if x := q.at(0); x.id == id {
		return x
	}
	if x := q.at(q.n - 1); x.id == id {
		return x
	}
	if i := sort.Search(q.n, func(i int) bool { return q.at(i).id >= id }); i < q.n && q.at(i).id == id {
		return q.at(i)
	}
	return nil
}

// pop removes the first exchange.
func (q *ring) pop() *exchange {
	x := q.at(0)
	q.buf[q.head] = nil
	q.head = (q.head + 1) & (len(q.buf) - 1)
	q.n--
	x.listed = false
	return x
}
