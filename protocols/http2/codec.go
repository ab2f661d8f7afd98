package http2

import (
	"encoding/binary"
	"errors"
	"fmt"

	"faultbox/protocols"
)

// codec follows one connection. It is a protocols.StreamCodec.
type codec struct {
	dialect *Dialect
	last    uint64 // the newest ID
	sides   [2]side
	numbers
	touched bool // a fault has struck: see the package comment
	reader  itemReader
	encoder blockEncoder
	refused map[uint32]bool // streams that the server may not push
	spare   []*stream
	early   []byte                // for the client, goes out behind the server's first frame
	waiting [2]map[uint64]*stream // by direction and exchange: on hold
}

// side is one direction.
type side struct {
	phase   phase
	blocks  blockDecoder
	flow    flow    // of the data in this direction
	current *stream // of the frame decoded last
	block   bool    // which was a header block
	end     bool    // with END_STREAM
	part    part
	left    int // bytes of the body of a request to upgrade

	raw, back []byte // for Frame.Raw and Frame.Back
}

// phase is what is expected next.
type phase uint8

const (
	opening  phase = iota // the preface, or a request in HTTP/1.1; the server's SETTINGS
	upgrade               // the body of a request to upgrade; the answer to it
	settings              // the first SETTINGS
	frames
	closed // a fault has ended the connection: nothing more goes on
)

// New returns the codec of a new connection.
func New(d *Dialect) protocols.StreamCodec {
	c := &codec{dialect: d}
	c.streams = make(map[uint32]*stream)
	for i := range c.sides {
		c.sides[i].blocks.init()
		c.sides[i].flow.init()
	}
	return c
}

// touch notes that from here on the peers see different frames.
func (c *codec) touch() { c.touched = true }

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	f, n, err = c.decode(d, buf)
	if f.Back != nil && d == protocols.ToServer {
		f.Back = c.inTime(f.Back)
	}
	return f, n, err
}

// inTime is b, of our own making for the client, if that may go out now: not
// before the server's SETTINGS.
func (c *codec) inTime(b []byte) []byte {
	if c.sides[protocols.ToClient].phase == frames {
		return b
	}
	c.early = append(c.early, b...)
	return nil
}

func (c *codec) decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	s := &c.sides[d]
	if s.part.left > 0 && len(buf) > 0 {
		s.raw, s.back = s.raw[:0], s.back[:0]
		return c.goOn(d, buf)
	}
	if s.phase < frames || s.phase == closed {
		if done, f, n, err := c.open(d, buf); done {
			return f, n, err
		}
	}
	if len(buf) < headerLen {
		return f, 0, nil
	}
	h := parseHeader(buf)
	s.raw, s.back = s.raw[:0], s.back[:0]
	s.current, s.block, s.end = nil, false, false
	switch h.kind {
	case frameData:
		return c.data(d, h, buf)
	case frameContinuation:
		return f, 0, errors.New("read a header block: it has no beginning")
	case frameHeaders, framePush:
		if n, err = blockEnd(buf); n > 0 && err == nil {
			f, err = c.headers(d, h, buf[:n])
		}
		return f, n, err
	case frameReset, frameSettings, frameGoAway, frameWindow:
		if n = headerLen + h.length; n > window {
			return f, 0, fmt.Errorf("read a frame: one of type %d is longer than %d bytes", h.kind, window)
		}
		if n > len(buf) {
			return f, 0, nil
		}
		f, err = c.control(d, h, buf[:n])
		return f, n, err
	}
	n = c.other(&f, d, h, buf)
	return f, n, nil
}

// control handles a frame of the connection, or about a stream.
func (c *codec) control(d protocols.Dir, h header, b []byte) (f protocols.Frame, err error) {
	short := map[byte]int{frameReset: 4, frameWindow: 4, frameGoAway: 8}[h.kind]
	if h.length < short {
		return f, fmt.Errorf("read a frame: one of type %d has only %d bytes", h.kind, h.length)
	}
	switch h.kind {
	case frameReset:
		c.reset(&f, d, h, b)
	case frameSettings:
		c.settings(&f, d, h, b[headerLen:])
		if d == protocols.ToClient && len(c.early) > 0 {
			x := &c.sides[d]
			x.raw = append(append(x.raw, b...), c.early...)
			f.Raw, c.early = x.raw, nil
		}
	case frameWindow:
		c.credit(&f, d, h, b)
	case frameGoAway:
		if d == protocols.ToClient && c.differ {
			c.sides[d].raw = c.goAway(c.sides[d].raw, b)
			f.Raw = c.sides[d].raw
		}
	}
	return f, nil
}

// settings notes the window of new streams.
func (c *codec) settings(f *protocols.Frame, d protocols.Dir, h header, b []byte) {
	if h.has(flagAck) {
		return
	}
	for ; len(b) >= 6; b = b[6:] {
		if binary.BigEndian.Uint16(b) == initialSizes {
			s := &c.sides[d]
			s.back = c.sides[d.Opposite()].flow.resize(s.back, int64(binary.BigEndian.Uint32(b[2:])))
		}
	}
	f.Back = c.given(d)
}

// given returns what goes back to the sender of direction d, nil for nothing.
func (c *codec) given(d protocols.Dir) []byte {
	if b := c.sides[d].back; len(b) > 0 {
		return b
	}
	return nil
}

// credit handles WINDOW_UPDATE.
func (c *codec) credit(f *protocols.Frame, d protocols.Dir, h header, b []byte) {
	s, w := &c.sides[d], &c.sides[d.Opposite()].flow
	n := binary.BigEndian.Uint32(b[headerLen:]) & maxNumber
	if h.num == 0 {
		told, back := w.refill(s.back, n)
		s.back = back
		f.Back = c.given(d)
		if told != n {
			s.raw = appendCredit(s.raw, 0, int(told))
			f.Raw = notNil(s.raw)
		}
		return
	}
	if p := w.parcels[h.num]; p != nil {
		p.window += int64(n)
		s.back = w.pack(s.back, h.num, p)
		f.Back, f.Raw = c.given(d), []byte{}
		return
	}
	st := c.find(d, h.num)
	if st != nil && d == protocols.ToServer {
		f.ID = st.id // it has to wait if the stream does
		st.granted += int64(n)
	}
	c.route(f, d, h, st, b)
	if st != nil && st.dropped[d.Opposite()] {
		f.Raw = []byte{} // its data is credited here
	}
}

// route sets Raw where a frame that begins with b can't go on as it came.
// It reports whether the frame goes on at all.
func (c *codec) route(f *protocols.Frame, d protocols.Dir, h header, s *stream, b []byte) bool {
	switch {
	case !c.touched && (s == nil || !s.explicit[d]):
		return true
	case h.num == 0 || h.num&1 == 0 && !c.refused[h.num]:
		return true
	case s == nil || s.dropped[d] || s.original != nil:
		f.Raw = []byte{}
		return false
	}
	if num := s.target(d); num != h.num && (d == protocols.ToClient || !s.held[d]) {
		x := &c.sides[d]
		x.raw = append(x.raw, b...)
		binary.BigEndian.PutUint32(x.raw[len(x.raw)-len(b)+5:], num)
		f.Raw = x.raw
	} else if s.explicit[d] {
		f.Raw = b
	}
	return true
}

// reset handles RST_STREAM: both sides of the stream end.
func (c *codec) reset(f *protocols.Frame, d protocols.Dir, h header, b []byte) {
	x := &c.sides[d]
	s := c.find(d, h.num)
	x.current = s
	delete(c.refused, h.num)
	c.route(f, d, h, s, b)
	delete(c.sides[d.Opposite()].flow.parcels, h.num)
	if s == nil {
		return
	}
	if s.original != nil {
		c.copyEnded(f, s)
		return
	}
	if s.copy != nil && len(s.copy.kept) > 0 {
		c.copyReset(f, d, s.copy, b)
	}
	code := binary.BigEndian.Uint32(b[headerLen:])
	f.ID, f.End, f.Oneway = s.id, true, true
	if !s.over[protocols.ToClient] {
		f.Err = errorName(code)
		f.Missed = s.counts != nil || s.copy != nil
	}
	s.over = [2]bool{true, true}
	c.remove(s)
}

// other passes on a frame of a type that says nothing to the codec.
func (c *codec) other(f *protocols.Frame, d protocols.Dir, h header, buf []byte) int {
	s := c.find(d, h.num)
	n := min(len(buf), headerLen+h.length)
	p := &c.sides[d].part
	*p = part{left: headerLen + h.length - n}
	f.More = p.left > 0
	if c.differ && (h.kind == framePriority || h.kind == framePriorityUpdate) {
		f.Raw = []byte{}
	} else {
		c.route(f, d, h, s, buf[:n])
	}
	if p.how = passes; f.Raw != nil && len(f.Raw) == 0 {
		p.how, f.More = vanishes, false
	}
	return n
}

// end notes that the sender of direction d has ended its side of s.
func (c *codec) end(d protocols.Dir, s *stream) {
	s.over[d] = true
	if s.over == [2]bool{true, true} {
		c.remove(s)
		if !c.touched && len(c.spare) < 256 {
			c.spare = append(c.spare, s)
		}
	}
}

// begin makes the stream that the client opens.
func (c *codec) begin(num uint32) (*stream, error) {
	if len(c.streams) >= maxStreams {
		return nil, errors.New("follow the streams: there are too many")
	}
	s := new(stream)
	if n := len(c.spare); n > 0 {
		s, c.spare = c.spare[n-1], c.spare[:n-1]
		*s = stream{}
	}
	c.last++
	c.highest = num
	s.id, s.num, s.server = c.last, num, num
	c.streams[num] = s
	if c.differ {
		c.assign(s)
	}
	return s, nil
}

// notNil is b, empty for nil.
func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}
