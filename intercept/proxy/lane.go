package proxy

import (
	"io"
	"net"
	"runtime"
	"syscall"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

const (
	maxQueue = 1 << 20  // bytes queued for a peer, or held for an exchange, before a lane stops reading
	maxDone  = 4096     // exchanges that await to be reported before the other lane stops reading
	overhead = 1 << 10  // what an injected answer takes besides its bytes
	maxReuse = 64 << 10 // larger output buffers are not kept
)

// ending is what happens to a lane's receiver once it has been told everything.
type ending uint8

const (
	goesOn    ending = iota
	passFIN          // the sender has ended its side
	hangUp           // a fault: FIN to the client, the server's connection is closed
	hangUpRST        // a fault: RST to the client
)

// lane is one direction of a connection.
type lane struct {
	r        *relay
	dir      protocols.Dir
	src, dst net.Conn

	// Owned by the lane's goroutine.
	box    *[]byte // the pooled buffer behind buf; nil while there is none
	buf    []byte  // [lo:hi] has been read and not yet decoded
	lo, hi int
	direct syscall.RawConn    // for reads that wait without a buffer; nil: none
	try    func(uintptr) bool // tryRead
	n      int                // its result
	err    error
	number int32 // by which the loop knows the lane
	left   bool  // has left the loop, having read err
	routed bool  // … and what it read before has been routed

	// Guarded by relay.mu. busy makes one goroutine the owner of what is
	// marked with *, also while it lets go of the mutex to write.
	busy     bool
	out      []byte      // *
	run      []byte      // * a part of buf, goes out after out
	runEnd   int         // * where it ends in buf
	mid      bool        // the last thing in out is a message's beginning: only its rest may follow
	queue    []byte      // whole messages to go out at the next boundary
	tail     []byte      // goes out after queue; the beginning of a message
	done     []*exchange // to be reported once what is in out and queue is written
	spare    []*exchange
	holds    int              // holds whose time has not come
	gate     *hold            // the lane reads on when this one is over, or small
	held     map[uint64]*hold // by stream: the last one, while it is not over
	behind   []byte           // goes out when held is empty
	parked   bool             // reads no further: a fault is about to end the connection
	over     bool             // nothing more from src is passed on
	ended    bool             // src has sent its last byte
	dead     bool             // dst can't be written to
	endless  *exchange        // an answer to be cut that ends where the connection does
	upgrades bool             // has met the frame behind which TLS begins
	resting  bool             // waits for the opposite lane to set up TLS
	last     ending
	shut     bool // dst has been told the last thing
}

func (l *lane) init(r *relay, d protocols.Dir, src, dst net.Conn) {
	l.r, l.dir = r, d
	l.connect(src, dst)
}

// connect sets the two ends of the lane.
func (l *lane) connect(src, dst net.Conn) {
	l.src, l.dst, l.direct, l.try = src, dst, nil, nil
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" {
		return
	}
	if sc, ok := src.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			l.direct, l.try = raw, l.tryRead
		}
	}
}

func (l *lane) opposite() *lane { return &l.r.lanes[l.dir.Opposite()] }

// pump moves bytes until the source or the connection ends.
func (l *lane) pump() {
	if !l.left || l.step(l.err) {
		for l.step(l.fill()) {
		}
	}
	if l.dir == protocols.ToServer {
		l.drainClient()
	}
	l.releaseBuffer()
}

// fill reads once, waiting as long as it takes.
func (l *lane) fill() error {
	if l.direct == nil {
		l.room()
		n, err := l.src.Read(l.buf[l.hi:])
		l.hi += n
		return err
	}
	l.n, l.err = 0, nil
	if err := l.direct.Read(l.try); err != nil {
		return err
	}
	l.hi += l.n
	if l.n == 0 && l.err == nil {
		return io.EOF
	}
	return l.err
}

// room makes sure that there is a buffer with room to read into.
func (l *lane) room() {
	switch {
	case l.box == nil:
		l.box = getBuffer(minBuffer)
		l.buf, l.lo, l.hi = *l.box, 0, 0
	case l.lo == l.hi:
		l.lo, l.hi = 0, 0
	case l.hi < len(l.buf):
	case l.lo > 0 && l.hi-l.lo <= len(l.buf)/2:
		l.hi = copy(l.buf, l.buf[l.lo:l.hi])
		l.lo = 0
	default:
		old := l.box
		l.box = getBuffer(2 * len(l.buf))
		l.hi = copy(*l.box, l.buf[l.lo:l.hi])
		l.buf, l.lo = *l.box, 0
		putBuffer(old)
	}
}

func (l *lane) releaseBuffer() {
	if l.box != nil {
		putBuffer(l.box)
		l.box, l.buf, l.lo, l.hi = nil, nil, 0, 0
	}
}

// step passes on what has been read, and reports whether to read on. err is
// how the read ended.
func (l *lane) step(err error) bool {
	r := l.r
	if err != nil && isTimeout(err) { // somebody wants the lane to look up
		err = nil
		l.src.SetReadDeadline(noDeadline)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		l.rest()
		for l.busy && !r.stopped {
			r.changed.Wait()
		}
		if r.stopped {
			return false
		}
		l.busy = true
		more := l.routed || l.route(err != nil)
		l.routed = false
		l.drain()
		if l.dead {
			l.ended = true
			return false
		}
		if l.upgrades {
			l.upgrade()
		}
		for !r.stopped && l.mustWait() {
			r.changed.Wait()
		}
		if r.stopped || l.over {
			return false
		}
		if !more {
			break
		}
	}
	if err != nil {
		l.sourceEnded(err)
	}
	return err == nil
}

// mustWait reports whether the lane may not take in more just now.
func (l *lane) mustWait() bool {
	if h := l.gate; h != nil {
		if !h.over && (!l.r.link.Protocol.Multiplexed || len(h.buf) > maxQueue) {
			return true
		}
		l.gate = nil
	}
	other := l.opposite()
	return l.parked && !other.ended ||
		!other.dead && (len(other.queue) > maxQueue || len(other.done) > maxDone) ||
		!other.ended && l.dir == protocols.ToServer && l.r.owed > maxQueue
}

// sourceEnded passes on the end of the source: FIN as FIN, RST as RST.
func (l *lane) sourceEnded(err error) {
	l.ended = true
	other := l.opposite()
	if err != io.EOF || other.dead {
		l.r.abort()
		return
	}
	if x := l.endless; x != nil && !x.told { // the cut was not reached
		x.idle[intercept.After] = true
		l.complete(x)
	}
	if l.last == goesOn {
		l.last = passFIN
	}
	l.kick()
	l.r.changed.Broadcast()
}

// put appends b to what goes out.
func (l *lane) put(b []byte) {
	l.out = append(append(l.out, l.run...), b...)
	l.run = nil
}

// pass appends the next n bytes, as they came, to what goes out.
func (l *lane) pass(n int) {
	switch {
	case len(l.run) == 0:
		l.run = l.buf[l.lo : l.lo+n]
	case l.runEnd == l.lo:
		l.run = l.run[:len(l.run)+n]
	default:
		l.out = append(l.out, l.run...)
		l.run = l.buf[l.lo : l.lo+n]
	}
	l.runEnd = l.lo + n
}

// inject queues whole messages, which go out at the next boundary.
func (l *lane) inject(b []byte) {
	if len(b) > 0 {
		l.queue = append(l.queue, b...)
		l.kick()
	}
}

// kick sees to it that what is queued goes out.
func (l *lane) kick() {
	if l.busy || l.r.stopped || l.r.upgrading {
		return
	}
	l.busy = true
	l.r.work.Add(1)
	go func() {
		defer l.r.work.Done()
		l.r.mu.Lock()
		defer l.r.mu.Unlock()
		l.drain()
	}()
}

// takeQueue moves what is queued to what goes out, if that is at a boundary.
func (l *lane) takeQueue() {
	if l.mid || len(l.queue)+len(l.tail) == 0 {
		return
	}
	l.put(l.queue)
	l.put(l.tail)
	l.mid = len(l.tail) > 0
	l.queue, l.tail = reuse(l.queue), nil
	l.r.changed.Broadcast()
}

// drain writes until there is nothing left to write, then gives up busy. The
// mutex is held, but not while bytes are written.
func (l *lane) drain() {
	r := l.r
	for {
		l.takeQueue()
		if len(l.out)+len(l.run)+len(l.done) == 0 {
			break
		}
		done := l.done
		l.done, l.spare = l.spare, nil
		skip := l.dead
		r.mu.Unlock()
		err := error(nil)
		if !skip {
			err = l.write(l.out, l.run)
		}
		if len(done) > 0 {
			now := r.now()
			for _, x := range done {
				x.broken = x.broken || skip || err != nil
				r.report(x, now)
			}
		}
		r.mu.Lock()
		l.out, l.run = reuse(l.out), nil
		for i, x := range done {
			x.pending = false
			r.free(x)
			done[i] = nil
		}
		l.spare = done[:0]
		if err != nil && !l.dead {
			l.receiverGone()
		}
	}
	if l.last != goesOn && !l.shut && (l.last != passFIN || l.holds == 0) && !r.stopped {
		l.finish()
	}
	l.busy = false
	r.changed.Broadcast()
}

func (l *lane) write(out, run []byte) error {
	if len(out) > 0 {
		if len(run) > 0 && len(run) <= maxReuse {
			out, run = append(out, run...), nil
		}
		if _, err := l.dst.Write(out); err != nil {
			return err
		}
	}
	if len(run) > 0 {
		_, err := l.dst.Write(run)
		return err
	}
	return nil
}

// reuse empties b, and lets go of it when it is large.
func reuse(b []byte) []byte {
	if cap(b) > maxReuse {
		return nil
	}
	return b[:0]
}

// receiverGone notes that dst takes no more. What it sent before it went is
// still passed on by the opposite lane, which then sees its end.
func (l *lane) receiverGone() {
	l.dead = true
	if l.opposite().ended {
		l.r.abort()
	}
}

// finish tells the receiver the last thing.
func (l *lane) finish() {
	l.shut = true
	r := l.r
	switch l.last {
	case passFIN:
		if err := closeWrite(l.dst); err != nil && l.opposite().ended {
			r.abort()
		}
	case hangUp:
		closeWrite(l.dst)
		r.linger = true
		r.stop()
	case hangUpRST:
		reset(l.dst)
		r.stop()
	}
}

// drainClient takes in what the client still sends after a fault has sent it a
// FIN, so that no reset overtakes what it has not read yet.
func (l *lane) drainClient() {
	l.r.mu.Lock()
	lingers := l.r.linger
	l.r.mu.Unlock()
	if !lingers {
		return
	}
	l.src.SetReadDeadline(time.Now().Add(linger))
	for l.fill() == nil {
		l.lo, l.hi = 0, 0
	}
	bare(l.src).Close()
}
