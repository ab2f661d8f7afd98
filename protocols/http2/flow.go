package http2

// flow is the account of what the receiver of one direction takes in
// (RFC 9113, section 5.2). The sender believes in a window of window + debt
// bytes for the connection: debt is what frames of the codec's own making have
// used up, less what of the sender's has not gone out yet.
type flow struct {
	window  int64
	debt    int64
	initial int64 // window of a new stream
	queue   []byte
	parcels map[uint32]*parcel // by the receiver's number of the stream
}

// parcel is data of our own that its stream's window has no room for.
type parcel struct {
	window int64
	body   []byte
	last   bool   // END_STREAM comes with the end of body
	behind []byte // whole frames that go out behind body
	waits  bool   // what comes before it is on hold
}

func (w *flow) init() { w.window, w.initial = firstWindow, firstWindow }

// sent notes n bytes of the sender's that go out.
func (w *flow) sent(n int) { w.window -= int64(n) }

// full reports whether n bytes of the sender's have to wait.
func (w *flow) full(n int) bool { return len(w.queue) > 0 || int64(n) > w.window }

// postpone queues whole frames of the sender's that carry n bytes of data, and
// appends to dst what may go out.
func (w *flow) postpone(dst, frames []byte, n int) []byte {
	w.debt -= int64(n)
	return w.own(dst, frames)
}

// own queues whole frames of the codec's own making, and appends to dst what
// may go out.
func (w *flow) own(dst, frames []byte) []byte {
	w.queue = append(w.queue, frames...)
	return w.flush(dst)
}

// flush appends to dst what of the queue may go out.
func (w *flow) flush(dst []byte) []byte {
	n := 0
	for n < len(w.queue) {
		h := parseHeader(w.queue[n:])
		if h.kind == frameData {
			if int64(h.length) > w.window {
				break
			}
			w.window -= int64(h.length)
			w.debt += int64(h.length)
		}
		n += headerLen + h.length
	}
	dst = append(dst, w.queue[:n]...)
	w.queue = w.queue[:copy(w.queue, w.queue[n:])]
	return dst
}

// refill adds a credit of the receiver's for the connection. It returns what
// of it the sender may be told, and appends to dst what may go out.
func (w *flow) refill(dst []byte, n uint32) (told uint32, out []byte) {
	w.window += int64(n)
	pay := max(0, min(w.debt, int64(n)))
	w.debt -= pay
	return n - uint32(pay), w.flush(dst)
}

// resize notes a new initial window; those of open streams change with it.
func (w *flow) resize(dst []byte, initial int64) []byte {
	change := initial - w.initial
	w.initial = initial
	for num, p := range w.parcels {
		p.window += change
		dst = w.pack(dst, num, p)
	}
	return dst
}

// put makes p what is sent next on a stream.
func (w *flow) put(num uint32, p *parcel) {
	if w.parcels == nil {
		w.parcels = make(map[uint32]*parcel)
	}
	w.parcels[num] = p
}

// pack queues what the stream's window has room for.
func (w *flow) pack(dst []byte, num uint32, p *parcel) []byte {
	if p.waits {
		return dst
	}
	var frames []byte
	for len(p.body) > 0 && p.window > 0 {
		n := int(min(int64(len(p.body)), p.window, maxFrame))
		frames = appendData(frames, num, p.body[:n], p.last && n == len(p.body))
		p.body = p.body[n:]
		p.window -= int64(n)
	}
	if len(p.body) == 0 {
		frames = append(frames, p.behind...)
		delete(w.parcels, num)
	}
	return w.own(dst, frames)
}
