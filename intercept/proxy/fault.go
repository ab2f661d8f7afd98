package proxy

import (
	"bytes"
	"slices"

	"faultbox/intercept"
	"faultbox/protocols"
)

// maxGather is how much of a request is gathered for Twice.
const maxGather = 16 << 20

// effective is what goes out for frame f if nothing is done to it.
func (l *lane) effective(f *protocols.Frame, n int) []byte {
	if f.Raw != nil {
		return f.Raw
	}
	return l.buf[l.lo : l.lo+n]
}

// begin handles the frame of a request, or of a pushed message, on which rules
// fired.
func (l *lane) begin(x *exchange, f *protocols.Frame, n int) {
	p := x.plan
	before := p.delay[intercept.Before]
	if x.pushed || p.withholds() { // there will be no answer to delay
		before += p.delay[intercept.After]
		x.late = true
	}
	l.delay(x, before)
	switch {
	case p.end != intercept.Pass && p.when == intercept.Before:
		x.mute[l.dir], x.silent[l.dir] = true, true
		if w, ok := l.r.codec.(protocols.Withdrawer); ok {
			w.Withdraw(*f)
		}
		l.becomeReady(x)
	case p.twice && p.all == nil && l.r.streams == nil:
		p.first = *f
		p.first.Items, p.first.Raw, p.first.Back = slices.Clone(f.Items), nil, nil
		if g, ok := l.r.codec.(protocols.Gatherer); ok && !f.End {
			l.opposite().inject(g.Gather(*f))
		}
	case p.fates[intercept.Before] != nil && !x.mute[l.dir]:
		p.twice = p.twice && l.r.streams == nil
		l.apply(x, f, l.buf[l.lo:l.lo+n], l.effective(f, n))
		l.finishFrame(x, f)
		return
	}
	if !x.pushed && (p.end == intercept.Close || p.end == intercept.Reset) {
		x.mute[protocols.ToClient], x.silent[protocols.ToClient] = true, true
	}
	l.carryPlanned(x, f, n)
}

// withholds reports whether the server sees nothing of the exchange.
func (p *plan) withholds() bool {
	if p.end != intercept.Pass && p.when == intercept.Before {
		return true
	}
	return p.fates[intercept.Before] != nil && !slices.ContainsFunc(p.fates[intercept.Before], func(f protocols.Fate) bool {
		return f.Act != protocols.Answer && f.Act != protocols.Lose
	})
}

// carryPlanned is carry for an exchange with a plan.
func (l *lane) carryPlanned(x *exchange, f *protocols.Frame, n int) {
	p := x.plan
	b := l.effective(f, n)
	switch {
	case x.mute[l.dir]:
		if len(f.Raw) > 0 && (!x.silent[l.dir] || l.r.streams != nil) {
			l.send(x, f.Raw, f.More)
		}
	case p.twice:
		l.gather(x, f, b)
	case x.pushed && p.end == intercept.Cut:
		l.cut(x, f, b)
	default:
		l.send(x, b, f.More)
	}
	l.finishFrame(x, f)
}

func (l *lane) finishFrame(x *exchange, f *protocols.Frame) {
	if f.End || f.ID == 0 {
		l.lastSent(x)
	}
}

// gather collects the frames of a message that is to be done twice.
func (l *lane) gather(x *exchange, f *protocols.Frame, b []byte) {
	p := x.plan
	p.all = append(p.all, b...)
	switch {
	case f.End || f.ID == 0:
		p.twice = false
		l.apply(x, &p.first, p.all, p.all)
		p.first, p.all = protocols.Frame{}, nil
	case len(p.all) > maxGather:
		l.r.note("a message of more than 16 MB is not duplicated")
		p.twice, x.idle[intercept.Before] = false, true
		l.send(x, p.all, f.More)
		p.all = nil
	}
}

// apply lets the codec act on a request, or on a pushed message. raw is its
// bytes as they came, plain what would go out.
func (l *lane) apply(x *exchange, f *protocols.Frame, raw, plain []byte) {
	p := x.plan
	forward, back := l.r.codec.Apply(l.dir, *f, raw, p.fates[intercept.Before])
	if same(forward, raw) && back == nil {
		x.idle[intercept.Before] = true
		l.send(x, plain, f.More)
		return
	}
	x.mute[l.dir] = true
	p.endBehind(p.fates[intercept.Before])
	if forward != nil {
		l.send(x, forward, false)
	}
	p.back = bytes.Clone(back)
	switch {
	case x.pushed, back != nil:
		x.awaits = forward != nil && !x.oneway
		x.mute[protocols.ToClient] = x.mute[protocols.ToClient] || !x.pushed
		l.becomeReady(x)
		x.sent = x.sent || l.r.streams != nil && forward == nil // the codec swallows the rest
	case forward == nil: // lost: nobody is told anything
		x.oneway = true
	}
}

// endBehind plans the end of the connection behind a reply that asks for it.
func (p *plan) endBehind(fates []protocols.Fate) {
	for _, f := range fates {
		switch {
		case f.Reply == nil || p.end != intercept.Pass:
		case f.Reply.Reset:
			p.end, p.when = intercept.Reset, intercept.After
		case f.Reply.Close:
			p.end, p.when = intercept.Close, intercept.After
		}
	}
}

// becomeReady makes the plan's back, or end, ready once its delay is over.
func (l *lane) becomeReady(x *exchange) {
	if h := x.holding(l.dir); h != nil {
		h.ready = true
	} else {
		l.r.publish(x)
	}
	if e := x.plan.end; e != intercept.Pass && x.plan.when == intercept.Before {
		l.parked = true
	}
}

// publish makes the plan's back, or end, take effect when its turn comes.
func (r *relay) publish(x *exchange) {
	p := x.plan
	p.ready = true
	r.owed += len(p.back) + overhead
	if x.pushed || x.oneway || r.link.Protocol.Multiplexed {
		r.tell(x)
		return
	}
	r.settle()
}

// tell gives the client what a fault has it hear instead of an answer; or the
// server, what it hears about a message that it pushed.
func (r *relay) tell(x *exchange) {
	p := x.plan
	p.ready = false
	r.owed -= len(p.back) + overhead
	if x.pushed && (p.end == intercept.Pass || p.when == intercept.After) {
		r.lanes[protocols.ToServer].inject(p.back)
		p.back = nil
		return // reported when its last frame has come
	}
	client := &r.lanes[protocols.ToClient]
	if r.streams != nil {
		p.back = r.streams.Release(client.dir, x.id, p.back)
	}
	client.complete(x)
	client.queue = append(client.queue, p.back...)
	p.back = nil
	if p.end != intercept.Pass {
		client.hang(p.end)
		return
	}
	client.kick()
}

// hang ends the connection, as a fault wants it, when what goes before has
// been written.
func (l *lane) hang(end intercept.Do) {
	l.over, l.last = true, hangUp
	if end == intercept.Reset {
		l.last = hangUpRST
	}
	l.opposite().parked = true
	l.kick()
}

// answerPlanned handles a frame of the answer to an exchange with a plan.
func (l *lane) answerPlanned(x *exchange, f *protocols.Frame, n int) {
	p := x.plan
	b := l.effective(f, n)
	if f.Missed {
		x.idle = [2]bool{true, true}
	}
	if !x.heard && l.r.streams != nil && x.mute[l.dir] {
		l.r.codec.Apply(l.dir, *f, l.buf[l.lo:l.lo+n], []protocols.Fate{{Act: protocols.Lose}})
	}
	if !x.heard && !x.told && !x.late {
		x.late = true
		l.delay(x, p.delay[intercept.After])
		if fates := p.fates[intercept.After]; fates != nil && !x.mute[l.dir] {
			raw := l.buf[l.lo : l.lo+n]
			forward, back := l.r.codec.Apply(l.dir, *f, raw, fates)
			if !same(forward, raw) || back != nil {
				x.mute[l.dir], x.replaced = true, true
				p.endBehind(fates)
				l.send(x, forward, false)
				l.opposite().inject(back)
				return
			}
			x.idle[intercept.After] = true
		}
	}
	switch {
	case x.mute[l.dir]:
		if len(f.Raw) > 0 && (!x.silent[l.dir] || l.r.streams != nil) {
			l.send(x, f.Raw, f.More)
		}
	case p.end == intercept.Cut:
		l.cut(x, f, b)
	default:
		l.send(x, b, f.More)
	}
}

// cut passes on b up to the number of bytes after which the answer is cut.
func (l *lane) cut(x *exchange, f *protocols.Frame, b []byte) {
	p := x.plan
	if p.passed+len(b) <= p.bytes {
		p.passed += len(b)
		l.send(x, b, f.More)
		return
	}
	l.send(x, b[:p.bytes-p.passed], true)
	p.endless = p.endless || f.End && f.More
	p.cut = true
	x.mute[l.dir], x.silent[l.dir] = true, true
	f.End = true // nothing more of it goes out
}

// cutLater reports whether an answer that is to be cut goes on after its last
// frame, up to the end of the connection, and has not reached the cut.
func (l *lane) cutLater(x *exchange, f *protocols.Frame) bool {
	p := x.plan
	if p == nil || p.end != intercept.Cut || p.cut || !f.More {
		return false
	}
	p.endless = true
	l.endless = x
	return true
}

// endAnswer ends the connection after the answer, where the plan says so.
func (l *lane) endAnswer(x *exchange, p *plan) {
	switch {
	case p.end == intercept.Pass:
	case p.cut && p.endless:
		l.hang(intercept.Reset) // the client would take a FIN for the end
	case p.end != intercept.Cut, p.cut:
		l.hang(p.end)
	default:
		x.idle[intercept.After] = true // it was shorter than the cut
	}
}

// endOneway is endAnswer for a message that is not answered.
func (l *lane) endOneway(x *exchange, p *plan) {
	if !x.pushed && p.fates[intercept.After] != nil {
		x.idle[intercept.After] = true
	}
	switch {
	case p.end == intercept.Pass || p.when == intercept.Before:
	case x.pushed:
		l.endAnswer(x, p)
	case p.end == intercept.Cut:
		x.idle[intercept.After] = true
	default:
		l.complete(x)
		l.r.lanes[protocols.ToClient].hang(p.end)
	}
}

// letGo ends all that is pending for x because the codec is given up.
func (r *relay) letGo(x *exchange) {
	if x.plan != nil {
		for _, h := range x.plan.hold {
			if h != nil {
				h.end()
			}
		}
		if p := x.plan; len(p.all) > 0 {
			r.lanes[protocols.ToServer].inject(p.all)
			p.all = nil
		}
	}
	if x.plan != nil && x.plan.ready && !x.told {
		r.tell(x)
	}
	if !x.told {
		x.idle = [2]bool{true, true}
		r.lanes[protocols.ToClient].complete(x)
		r.lanes[protocols.ToClient].kick()
	}
}

// same reports whether a and b are the same bytes at the same place.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
