package proxy

import (
	"fmt"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// route decodes what has been read and composes what goes out. It reports
// whether it stopped before all of it was decoded, because something must
// happen first. atEOF: the source has ended. The mutex is held.
func (l *lane) route(atEOF bool) (more bool) {
	r := l.r
	window := max(r.link.Protocol.Window, protocols.DefaultWindow)
	now := r.now()
	for l.lo < l.hi && !l.over && !l.parked {
		if r.opaque {
			l.mid = false
			l.takeQueue()
			l.pass(l.hi - l.lo)
			l.lo = l.hi
			break
		}
		f, n, err := r.codec.Decode(l.dir, l.buf[l.lo:l.hi])
		switch {
		case err != nil:
			r.giveUp(fmt.Sprintf("%s: %v; the rest of this connection is relayed as it comes, no fault applies to it", r.link.Protocol.Name, err))
			continue
		case n == 0 && f.ID != 0: // implied by what comes next
		case n == 0 && l.hi-l.lo >= window:
			r.giveUp(fmt.Sprintf("%s: no end of message within %d bytes; the rest of this connection is relayed as it comes, no fault applies to it", r.link.Protocol.Name, window))
			continue
		case n == 0 && atEOF:
			l.pass(l.hi - l.lo)
			l.lo = l.hi
			return false
		case n == 0:
			return false
		}
		if !l.mid && len(l.queue)+len(l.tail) > 0 {
			l.takeQueue()
		}
		l.frame(&f, n, now)
		l.lo += n
		if f.StartTLS || f.Tunnel {
			l.switchOver(&f)
			if l.upgrades {
				return false
			}
		}
		if l.gate != nil || l.parked {
			return l.lo < l.hi
		}
	}
	return false
}

// frame decides what becomes of frame f, the next n bytes.
func (l *lane) frame(f *protocols.Frame, n int, now time.Duration) {
	r := l.r
	if len(f.Back) > 0 {
		l.opposite().inject(f.Back)
	}
	switch {
	case f.ID == 0 && len(f.Items) == 0 && l.endless != nil:
		if l.cut(l.endless, f, l.effective(f, n)); l.endless.plan.cut {
			l.answered(l.endless)
		}
	case f.ID == 0 && len(f.Items) == 0:
		l.forward(f, n)
	case l.dir == protocols.ToServer && f.ID != 0:
		l.request(f, n, now)
	case len(f.Items) > 0:
		l.push(f, n, now)
	default:
		for _, x := range r.loose {
			if x.id == f.ID {
				l.carry(x, f, n)
				return
			}
		}
		l.answer(f, n)
	}
}

// forward passes a frame on, as it came or as the codec rewrote it.
func (l *lane) forward(f *protocols.Frame, n int) {
	if l.lastOut(f, n) {
		return
	}
	if h := l.heldUp(f.Stream); h != nil {
		h.add(l.effective(f, n), f.More)
		return
	}
	if f.Raw != nil {
		l.put(f.Raw)
	} else {
		l.pass(n)
	}
	l.mid = f.More
}

// request handles a frame of a request.
func (l *lane) request(f *protocols.Frame, n int, now time.Duration) {
	r := l.r
	x := r.inFlight.find(f.ID)
	if x == nil {
		x = r.newExchange(f, now)
		r.inFlight.add(x, r.free)
	}
	if len(f.Items) > 0 {
		r.decide(x, f.Items)
		if x.plan != nil {
			l.begin(x, f, n)
			return
		}
	}
	l.carry(x, f, n)
	if f.End && f.Oneway {
		l.withdraw(x, f)
	}
}

// withdraw ends an exchange of which the client wants no answer any more.
func (l *lane) withdraw(x *exchange, f *protocols.Frame) {
	client := l.opposite()
	if x.told || x.oneway {
		return
	}
	if x.err == "" {
		x.err = f.Err
	}
	switch h := x.holding(client.dir); {
	case h != nil:
		h.last = true
	case x.heard:
		client.answered(x)
		client.kick()
	default:
		x.oneway = true
		l.lastSent(x)
	}
}

// push handles the first frame of a message that the server pushes, and of a
// request without ID, which nothing answers.
func (l *lane) push(f *protocols.Frame, n int, now time.Duration) {
	r := l.r
	x := r.newExchange(f, now)
	x.oneway, x.pushed = true, l.dir == protocols.ToClient
	x.listed = true
	r.loose = append(r.loose, x)
	r.decide(x, f.Items)
	if x.plan != nil {
		l.begin(x, f, n)
		return
	}
	l.carry(x, f, n)
}

// carry handles a frame of a request, or of a pushed message, for which all
// decisions have been made.
func (l *lane) carry(x *exchange, f *protocols.Frame, n int) {
	if x.plan != nil {
		l.carryPlanned(x, f, n)
		return
	}
	l.forward(f, n)
	if f.End || f.ID == 0 {
		l.lastSent(x)
	}
}

// lastSent notes that the originator's last frame has been passed on, withheld
// or put on hold.
func (l *lane) lastSent(x *exchange) {
	x.sent = true
	if h := x.holding(l.dir); h != nil {
		h.last = true
		return
	}
	l.originated(x)
}

// originated follows lastSent when nothing of the message is on hold.
func (l *lane) originated(x *exchange) {
	if p := x.plan; p != nil && x.oneway && !x.told {
		l.endOneway(x, p)
	}
	if x.oneway && !x.told {
		l.complete(x)
	}
	l.r.settle()
}

// answer handles a frame of the server's answer.
func (l *lane) answer(f *protocols.Frame, n int) {
	r := l.r
	x := r.inFlight.find(f.ID)
	if x == nil {
		l.forward(f, n)
		return
	}
	for i := 0; !r.link.Protocol.Multiplexed && r.inFlight.at(i) != x; i++ {
		l.skip(r.inFlight.at(i))
	}
	if x.err == "" {
		x.err = f.Err
	}
	if x.plan != nil {
		l.answerPlanned(x, f, n)
	} else {
		l.forward(f, n)
	}
	x.heard = true
	x.sent = x.sent || f.End && f.Oneway
	if !f.End || l.cutLater(x, f) {
		return
	}
	if h := x.holding(l.dir); h != nil {
		h.last = true
		return
	}
	l.answered(x)
}

// skip ends an exchange that the server passed over: an answer to a later one
// has come, on a connection where answers come in order.
func (l *lane) skip(x *exchange) {
	switch {
	case x.told:
		x.awaits = false
	case x.oneway:
	case x.plan != nil && x.plan.ready:
		l.r.tell(x)
		l.takeQueue()
	default:
		x.idle[intercept.After] = true
		l.complete(x)
	}
}

// answered notes that the client has heard all of the answer.
func (l *lane) answered(x *exchange) {
	x.awaits = false
	if !x.told {
		if p := x.plan; p != nil {
			l.endAnswer(x, p)
		}
		l.complete(x)
	}
	l.r.settle()
}

// complete hands x over to be reported when the lane has written what is to be
// written.
func (l *lane) complete(x *exchange) {
	x.told = true
	x.pending = true
	l.done = append(l.done, x)
	for i, y := range l.r.loose {
		if y == x {
			last := len(l.r.loose) - 1
			l.r.loose[i], l.r.loose[last] = l.r.loose[last], nil
			l.r.loose = l.r.loose[:last]
			x.listed = false
			break
		}
	}
}

// settle lets go of the exchanges that are over and hands the client each
// injected answer whose turn has come.
func (r *relay) settle() {
	q := &r.inFlight
	for q.n > 0 && q.at(0).gone() {
		r.free(q.pop())
	}
	if r.link.Protocol.Multiplexed {
		return
	}
	for i := range q.n {
		x := q.at(i)
		if x.told || x.oneway {
			continue
		}
		if x.plan == nil || !x.plan.ready {
			return
		}
		r.tell(x)
	}
}

// giveUp goes on without the codec, for the reason that the user is told.
// Nothing of what is on hold may be overtaken, so it goes out now.
func (r *relay) giveUp(reason string) {
	if reason != "" {
		r.note(reason)
	}
	r.opaque = true
	for q := &r.inFlight; q.n > 0; {
		x := q.pop()
		r.letGo(x)
		r.free(x)
	}
	for len(r.loose) > 0 {
		r.letGo(r.loose[0])
	}
	for i := range r.lanes {
		r.lanes[i].mid = false
		r.lanes[i].src.SetReadDeadline(longAgo) // pass on what awaits decoding
	}
	r.changed.Broadcast()
}
