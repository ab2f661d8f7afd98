package proxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

const (
	maxDatagram = 64 << 10
	maxWaiting  = 1024    // exchanges of a flow that await an answer; older ones are given up
	maxDelayed  = 4 << 20 // bytes of a flow that a delay may keep
)

// Client is the far end of a flow: who it is for.
type Client interface {
	// Send sends a datagram that comes from the server.
	Send(b []byte) error
	// Refuse tells the client what a host tells that has nobody on the port: a
	// connected socket reads ECONNREFUSED.
	Refuse()
}

// Flow relays the datagrams between one client and one server. Each is
// forwarded, or withheld, whole and at once; none waits for another, except
// behind one with the same delay. Link.Dial is not used.
type Flow struct {
	client Client
	server net.Conn
	work   sync.WaitGroup

	mu      sync.Mutex
	teller  // guarded by mu
	codec   protocols.Codec
	waiting ring          // requests to be answered
	used    time.Duration // now of the last datagram
	later   delayed       // what goes out when a delay is over
	noted   bool          // the user was told that the codec can't follow, or that too much is delayed
	leaving bool          // is to be closed when nothing is delayed any more
	closed  bool
}

// NewFlow returns a flow that begins. It owns server.
func NewFlow(client Client, server net.Conn, l Link) *Flow {
	f := &Flow{client: client, server: server, teller: newTeller(l), codec: l.Protocol.New()}
	f.later.flow = f
	f.work.Go(f.listen)
	return f
}

// Close ends the flow and waits for what goes on in it.
func (f *Flow) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		f.server.Close()
		for _, s := range f.later.drop() {
			if s.last {
				f.cutOff(s.x)
			}
		}
		for f.waiting.n > 0 {
			if x := f.waiting.pop(); !x.told {
				f.cutOff(x)
			}
		}
	}
	f.mu.Unlock()
	f.work.Wait()
}

// CloseWhenSent ends the flow when what is delayed has been sent. It does not
// wait for that.
func (f *Flow) CloseWhenSent() {
	f.mu.Lock()
	f.leaving = true
	waits := len(f.later.heap) > 0
	f.mu.Unlock()
	if !waits {
		f.Close()
	}
}

// cutOff reports an exchange that ended with its flow.
func (f *Flow) cutOff(x *exchange) {
	x.told, x.broken = true, true
	f.report(x, f.now())
}

// Idle is for how long no datagram has come; 0 while one is delayed.
func (f *Flow) Idle() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.later.heap) > 0 {
		return 0
	}
	return f.now() - f.used
}

// listen relays what the server sends.
func (f *Flow) listen() {
	in := newInbox(f.server)
	for {
		b, err := in.read()
		switch {
		case err == nil:
			f.heard(b)
		case errors.Is(err, syscall.ECONNREFUSED):
			f.client.Refuse()
		case errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF), f.isClosed():
			return
		default: // a host or network that can't be reached: unconnected clients are not told either
			time.Sleep(time.Millisecond)
		}
		in.release()
	}
}

func (f *Flow) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// Take relays a datagram of the client. It does not keep b, and reports false if
// the flow has ended.
func (f *Flow) Take(b []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.take(protocols.ToServer, b)
	return true
}

// heard relays a datagram of the server.
func (f *Flow) heard(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.take(protocols.ToClient, b)
	}
}

func (f *Flow) take(d protocols.Dir, b []byte) {
	now := f.now()
	f.used = now
	fr, _, err := f.codec.Decode(d, b)
	if err != nil {
		f.noteOnce(f.link.Protocol.Name + ": " + err.Error() + "; such datagrams are relayed as they come, no fault applies to them")
		f.write(d, b)
		return
	}
	if fr.Raw != nil {
		b = fr.Raw
	}
	if d == protocols.ToClient && fr.ID != 0 {
		if x := f.waiting.find(fr.ID); x != nil && !x.told && !x.heard {
			f.answer(x, &fr, b)
			f.settle()
			return
		}
	}
	if len(fr.Items) == 0 {
		f.write(d, b)
		return
	}
	f.message(d, &fr, b, now)
}

// message decides on a datagram and does what was decided, as far as it
// concerns the datagram and not its answer.
func (f *Flow) message(d protocols.Dir, fr *protocols.Frame, b []byte, now time.Duration) {
	x := f.newExchange(fr, now)
	x.oneway, x.pushed = fr.Oneway || fr.ID == 0 || d == protocols.ToClient, d == protocols.ToClient
	f.decide(x, fr.Items)
	if x.plan == nil {
		f.write(d, b)
		if x.oneway {
			f.end(x)
		} else {
			f.await(x)
		}
		return
	}
	s := sending{x: x, dir: d, forward: b, times: 1, last: x.oneway}
	delay := x.plan.delay[intercept.Before]
	if x.oneway || x.plan.withholds() {
		delay += x.plan.delay[intercept.After]
		x.late = true
	}
	if x.oneway {
		f.strikeOneway(&s, fr)
	} else {
		f.strikeRequest(&s, fr)
	}
	if !s.last {
		f.await(x)
	}
	f.send(s, delay)
}

// strikeRequest does the faults of a request that act before the server has it.
func (f *Flow) strikeRequest(s *sending, fr *protocols.Frame) {
	p := s.x.plan
	switch fates := p.fates[intercept.Before]; {
	case p.end != intercept.Pass && p.when == intercept.Before:
		f.codec.Apply(s.dir, *fr, s.forward, []protocols.Fate{{Act: protocols.Lose}})
		s.times, s.refuse, s.last = 0, p.end == intercept.Reset, true
	case p.twice:
		s.times = 2
	case fates != nil:
		f.apply(s, fr, fates, intercept.Before)
		s.last = s.times == 0 || s.back != nil
	}
}

// strikeOneway does all faults of a datagram that nothing answers.
func (f *Flow) strikeOneway(s *sending, fr *protocols.Frame) {
	x, p := s.x, s.x.plan
	switch fates := p.fates[intercept.Before]; {
	case p.end == intercept.Reset:
		s.refuse = true
		if p.when == intercept.Before {
			s.times = 0
		}
	case p.end == intercept.Close && p.when == intercept.Before:
		s.times = 0
	case p.end == intercept.Cut:
		s.cut(x, p.bytes)
	case p.twice:
		s.times = 2
	case fates != nil:
		f.apply(s, fr, fates, intercept.Before)
	default: // there is no answer to act on
		x.idle[intercept.After] = true
	}
}

// answer handles the answer to x.
func (f *Flow) answer(x *exchange, fr *protocols.Frame, b []byte) {
	x.err, x.heard = fr.Err, true
	p := x.plan
	if p == nil {
		f.write(protocols.ToClient, b)
		f.end(x)
		return
	}
	s := sending{x: x, dir: protocols.ToClient, forward: b, times: 1, last: true}
	switch fates := p.fates[intercept.After]; {
	case p.end == intercept.Reset:
		s.times, s.refuse = 0, true
	case p.end == intercept.Close:
		s.times = 0
	case p.end == intercept.Cut:
		s.cut(x, p.bytes)
	case fates != nil:
		f.apply(&s, fr, fates, intercept.After)
	}
	if x.late { // as a part of what went before
		f.release(s)
		return
	}
	x.late = true
	f.send(s, p.delay[intercept.After])
}

// apply lets the codec replace a datagram.
func (f *Flow) apply(s *sending, fr *protocols.Frame, fates []protocols.Fate, when intercept.When) {
	forward, back := f.codec.Apply(s.dir, *fr, s.forward, fates)
	if back == nil && same(forward, s.forward) && forward != nil {
		s.x.idle[when] = true
		return
	}
	s.forward, s.back = forward, back
	if forward == nil {
		s.times = 0
	}
}

// await keeps x until its answer comes.
func (f *Flow) await(x *exchange) {
	if f.waiting.n >= maxWaiting {
		if old := f.waiting.pop(); !old.told {
			f.cutOff(old)
		}
		f.settle()
	}
	x.sent = true
	f.waiting.add(x, f.free)
}

// end reports x.
func (f *Flow) end(x *exchange) {
	x.told, x.sent = true, true
	f.report(x, f.now())
	f.free(x)
}

// settle lets go of the exchanges that are over.
func (f *Flow) settle() {
	for f.waiting.n > 0 && f.waiting.at(0).gone() {
		f.free(f.waiting.pop())
	}
}

func (f *Flow) noteOnce(text string) {
	if !f.noted {
		f.noted = true
		f.note(text)
	}
}

// write puts a datagram on the wire. Of one that can't be sent nobody hears, as
// of one that is lost; that the server refused an earlier one is told, and is
// no reason not to send this one.
func (f *Flow) write(d protocols.Dir, b []byte) {
	if d == protocols.ToClient {
		f.client.Send(b)
		return
	}
	for range 2 {
		if _, err := f.server.Write(b); !errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		f.client.Refuse()
	}
}

// sending is what goes out for one datagram.
type sending struct {
	x       *exchange
	dir     protocols.Dir
	forward []byte // goes on in its direction, as many times
	times   int
	back    []byte // goes back to who sent it; nil: nothing
	refuse  bool   // the client is told that nobody listens
	last    bool   // x ends with it
}

// cut leaves n bytes of a datagram.
func (s *sending) cut(x *exchange, n int) {
	if n >= len(s.forward) {
		x.idle[intercept.After] = true
		return
	}
	s.forward = s.forward[:n]
}

// send sends s now, or when the delay is over.
func (f *Flow) send(s sending, delay time.Duration) {
	if delay <= 0 {
		f.release(s)
		return
	}
	if f.later.size+len(s.forward)+len(s.back) > maxDelayed {
		f.noteOnce("more than 4 MB are delayed; what comes on top is lost, as by a full queue")
		s.forward, s.times, s.back, s.refuse = nil, 0, nil, false
	}
	s.forward, s.back = bytes.Clone(s.forward), bytes.Clone(s.back)
	if !s.last {
		s.x.plan.holds++
	}
	f.later.add(s, f.now()+delay)
}

// release puts s on the wire.
func (f *Flow) release(s sending) {
	for range s.times {
		f.write(s.dir, s.forward)
	}
	if s.back != nil {
		f.write(s.dir.Opposite(), s.back)
	}
	if s.refuse {
		f.client.Refuse()
	}
	if s.last {
		f.end(s.x)
	}
}
