package proxy

import (
	"time"

	"faultbox/protocols"
)

// hold keeps the frames that one side sends in an exchange until a delay is
// over. It is guarded by relay.mu.
type hold struct {
	lane   *lane
	x      *exchange
	timer  *time.Timer
	behind *hold // of the same stream, goes out first
	next   *hold // whose behind this is
	due    bool  // its own time has come
	buf    []byte
	whole  int  // how much of buf is whole messages; what follows is a part of one
	ready  bool // when it is over, the plan's back or end is ready
	tunnel bool // when it is over, the connection is a tunnel
	known  bool // the codec has been told (StreamCodec)
	last   bool // when it is over, this side has sent its last frame
	over   bool
}

// holding returns what delays x in direction d, or nil.
func (x *exchange) holding(d protocols.Dir) *hold {
	if x.plan == nil || x.plan.hold[d] == nil || x.plan.hold[d].over {
		return nil
	}
	return x.plan.hold[d]
}

// delay puts what this lane passes on of x on hold.
func (l *lane) delay(x *exchange, d time.Duration) {
	if d <= 0 || x.plan.hold[l.dir] != nil {
		return
	}
	h := &hold{lane: l, x: x}
	x.plan.hold[l.dir] = h
	x.plan.holds++
	l.holds++
	if !l.r.link.Protocol.Multiplexed {
		l.gate = h
	}
	if x.stream != 0 {
		if h.behind = l.held[x.stream]; h.behind != nil {
			h.behind.next = h
		}
		if l.held == nil {
			l.held = make(map[uint64]*hold)
		}
		l.held[x.stream] = h
	}
	h.timer = time.AfterFunc(d, h.release)
}

// release ends a hold when its time has come.
func (h *hold) release() {
	r := h.lane.r
	r.mu.Lock()
	defer r.mu.Unlock()
	h.due = true
	if !r.stopped && h.behind == nil {
		h.end()
	}
}

// heldUp returns the hold that what comes next in a stream has to wait for,
// nil if there is none.
func (l *lane) heldUp(stream uint64) *hold {
	if stream == 0 || len(l.held) == 0 {
		return nil
	}
	return l.held[stream]
}

// lastOut puts a frame that ends the connection's work behind all that is on
// hold, and with it what follows. It reports whether anything is.
func (l *lane) lastOut(f *protocols.Frame, n int) bool {
	if len(l.held) == 0 || f.Stream != protocols.AllStreams && len(l.behind) == 0 {
		return false
	}
	l.behind = append(l.behind, l.effective(f, n)...)
	return true
}

// add puts b behind what is on hold.
func (h *hold) add(b []byte, more bool) {
	if h.buf = append(h.buf, b...); !more {
		h.whole = len(h.buf)
	}
	if len(h.buf) > maxQueue {
		h.lane.gate = h
	}
}

// end passes on what was on hold. The mutex is held.
func (h *hold) end() {
	if h.over {
		return
	}
	h.timer.Stop()
	l, x := h.lane, h.x
	if h.behind != nil {
		h.behind.end()
		if h.over {
			return
		}
	}
	h.over = true
	if l.held[x.stream] == h {
		delete(l.held, x.stream)
	}
	l.holds--
	x.plan.holds--
	held := len(h.buf)
	if h.known {
		h.buf = l.r.streams.Release(l.dir, x.id, h.buf)
	}
	if h.whole == held { // all of it, and what the codec may have added
		h.whole = len(h.buf)
	}
	l.queue = append(l.queue, h.buf[:h.whole]...)
	l.tail = append(l.tail, h.buf[h.whole:]...)
	h.buf = nil
	if len(l.held) == 0 {
		l.queue, l.behind = append(l.queue, l.behind...), nil
	}
	if h.ready {
		l.r.publish(x)
	}
	if h.last {
		if l.dir == protocols.ToServer || x.pushed {
			l.originated(x)
		} else {
			l.answered(x)
		}
	}
	if h.tunnel {
		l.r.giveUp("")
	}
	if next := h.next; next != nil {
		next.behind = nil
		if next.due {
			next.end()
		}
	}
	l.kick()
	l.r.changed.Broadcast()
}

// send passes on b, a piece of x, now or when its delay is over.
func (l *lane) send(x *exchange, b []byte, more bool) {
	h := x.holding(l.dir)
	if h == nil {
		h = l.heldUp(x.stream)
	}
	if h == nil {
		l.put(b)
		l.mid = more
		return
	}
	if l.r.streams != nil && !h.known {
		h.known = true
		b = l.r.streams.Hold(l.dir, x.id, b)
	}
	h.add(b, more)
}
