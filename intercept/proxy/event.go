package proxy

import (
	"strconv"
	"sync"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// teller asks a Handler about the exchanges of one connection, and tells it how
// they ended. It is guarded by the connection's mutex.
type teller struct {
	link  Link
	edge  intercept.Event // what all events of this connection have in common
	asked intercept.Event // the one that the Handler decides on
	start time.Time
	spare []*exchange // for reuse by this connection
}

func newTeller(l Link) teller {
	edge := l.event()
	return teller{link: l, edge: edge, asked: edge, start: time.Now()}
}

// now is the time since the connection began.
func (r *teller) now() time.Duration { return time.Since(r.start) }

// decide asks the Handler about each item of x and plans what it says.
func (r *teller) decide(x *exchange, items []protocols.Item) {
	for i := range items {
		it := &items[i]
		ev := &r.asked
		ev.Seq, ev.At, ev.Op, ev.Key, ev.Text = 0, 0, it.Op, it.Key, it.Text
		d := r.link.Handler.Decide(ev, it)
		kept := item{seq: ev.Seq, at: ev.At, op: it.Op, key: it.Key, text: it.Text}
		if d.Fires() {
			kept.decision = new(d)
		}
		if x.items == 0 {
			x.first = kept
		} else {
			x.rest = append(x.rest, kept)
		}
		x.items++
	}
	for i := x.items - len(items); i < x.items; i++ {
		if x.item(i).decision != nil {
			x.replan()
			return
		}
	}
}

func (x *exchange) item(i int) *item {
	if i == 0 {
		return &x.first
	}
	return &x.rest[i-1]
}

// replan makes one plan of the decisions on all items: the longest delay of
// each kind, a fate for each item, and the first end of the connection.
func (x *exchange) replan() {
	if x.plan == nil {
		x.plan = &plan{}
	}
	p := x.plan
	for i := range x.items {
		d := x.item(i).decision
		if d == nil {
			continue
		}
		p.delay[intercept.Before] = max(p.delay[intercept.Before], d.DelayBefore)
		p.delay[intercept.After] = max(p.delay[intercept.After], d.DelayAfter)
		switch f := d.Fault; f.Do {
		case intercept.Pass:
		case intercept.Answer, intercept.Lose, intercept.Twice:
			when := f.When
			if f.Do == intercept.Twice || x.pushed {
				when = intercept.Before
			}
			if len(p.fates[when]) < x.items {
				p.fates[when] = append(p.fates[when], make([]protocols.Fate, x.items-len(p.fates[when]))...)
			}
			p.fates[when][i] = d.Fate()
			p.twice = p.twice || f.Do == intercept.Twice
		case intercept.Close, intercept.Reset, intercept.Cut:
			if p.end == intercept.Pass {
				p.end, p.when, p.bytes = f.Do, f.When, max(f.Bytes, 0)
			}
		}
	}
	for i, fates := range p.fates {
		if fates != nil && len(fates) < x.items {
			p.fates[i] = append(fates, make([]protocols.Fate, x.items-len(fates))...)
		}
	}
	if p.end == intercept.Cut {
		p.when = intercept.After
	}
}

// report tells the Handler how each item of x ended, now.
func (r *teller) report(x *exchange, now time.Duration) {
	took := now - x.began
	for i := range x.items {
		it := x.item(i)
		ev := r.edge
		ev.Seq, ev.At, ev.Took = it.seq, it.at, took
		ev.Op, ev.Key, ev.Text, ev.Err = it.op, it.key, it.text, x.err
		if d := it.decision; d != nil {
			ev.Decision = *d
			if !x.late {
				ev.Decision.DelayAfter = 0
			}
			ev.Rules = make([]string, len(d.Rules))
			for i, a := range d.Rules {
				ev.Rules[i] = a.Name
			}
		}
		ev.Outcome = x.outcome(i, it.decision)
		if ev.Outcome == intercept.Replaced {
			ev.Err = code(ev.Decision.Fault.Reply)
		}
		r.link.Handler.Done(ev)
	}
}

// outcome is what the client saw of the i-th item, on which d was decided.
func (x *exchange) outcome(i int, d *intercept.Decision) intercept.Outcome {
	switch {
	case x.broken:
		return intercept.Broken
	case d == nil || d.Fault.Do == intercept.Pass:
		return intercept.Answered
	}
	when := d.Fault.When
	switch d.Fault.Do {
	case intercept.Twice:
		when = intercept.Before
	case intercept.Cut:
		when = intercept.After
	}
	if x.idle[when] || x.pushed && x.idle[intercept.Before] || x.cameToNothing(i, d) {
		return intercept.Untouched
	}
	switch d.Fault.Do {
	case intercept.Answer:
		if d.Fault.Reply != nil && d.Fault.Reply.Reset {
			return intercept.WasReset
		}
		return intercept.Replaced
	case intercept.Lose, intercept.Close:
		return intercept.Dropped
	case intercept.Twice:
		return intercept.Doubled
	case intercept.Reset:
		return intercept.WasReset
	case intercept.Cut:
		return intercept.WasCut
	}
	return intercept.Untouched // not a fault of the wire
}

// cameToNothing reports whether the codec has found nothing to act on for the
// i-th item, though it has for others.
func (x *exchange) cameToNothing(i int, d *intercept.Decision) bool {
	if x.plan == nil || x.items == 1 || d.Fate().Act == protocols.Pass {
		return false
	}
	when := d.Fault.When
	if d.Fault.Do == intercept.Twice || x.pushed {
		when = intercept.Before
	}
	fates := x.plan.fates[when]
	return i < len(fates) && fates[i].Act == protocols.Pass
}

// code is the error code that a client reads out of a reply.
func code(reply *protocols.Reply) string {
	switch {
	case reply == nil:
		return ""
	case reply.Code == "" && reply.Error && reply.Status != 0:
		return strconv.Itoa(reply.Status)
	}
	return reply.Code
}

// note puts a message of the relay's own into the log.
func (r *teller) note(text string) {
	ev := r.edge
	ev.Kind, ev.Note = intercept.Note, text
	r.link.Handler.Done(ev)
}

// maxSpare bounds the exchanges that a connection keeps for reuse, and the
// items that one of them has room for.
const maxSpare = 16

// exchanges are for reuse by any connection.
var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// newExchange returns an exchange that f begins.
func (r *teller) newExchange(f *protocols.Frame, began time.Duration) *exchange {
	var x *exchange
	if n := len(r.spare); n > 0 {
		x = r.spare[n-1]
		r.spare = r.spare[:n-1]
	} else {
		x = exchanges.Get().(*exchange)
	}
	x.id, x.stream, x.oneway, x.began = f.ID, f.Stream, f.Oneway, began
	return x
}

// free keeps x for reuse if nothing refers to it any more.
func (r *teller) free(x *exchange) {
	if !x.listed && !x.pending {
		clear(x.rest)
		if cap(x.rest) > maxSpare {
			x.rest = nil
		}
		*x = exchange{rest: x.rest[:0]}
		if len(r.spare) < maxSpare {
			r.spare = append(r.spare, x)
		} else {
			exchanges.Put(x)
		}
	}
}
