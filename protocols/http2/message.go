package http2

import (
	"faultbox/protocols"
)

// headers handles a header block, whose frames are b.
func (c *codec) headers(d protocols.Dir, h header, b []byte) (f protocols.Frame, err error) {
	x := &c.sides[d]
	promised, err := x.blocks.decode(b)
	if err != nil {
		return f, err
	}
	if h.kind == framePush {
		c.push(&f, d, h, promised)
		return f, nil
	}
	s := c.find(d, h.num)
	if d == protocols.ToServer && h.num&1 == 1 && h.num > c.highest {
		if s, err = c.begin(h.num); err != nil {
			return f, err
		}
		f.Items = c.reader.read(x.blocks.fields)
		s.head, s.kind = f.Items[0].Op == "HEAD", get(x.blocks.fields, "content-type")
		c.dialect.name(&f.Items[0])
	}
	x.current, x.block, x.end = s, true, h.has(flagEndStream)
	if x.end && h.num&1 == 0 {
		delete(c.refused, h.num)
	}
	if c.route(&f, d, h, s, b) && c.touched {
		c.encode(&f, d, h, s)
	}
	if s != nil {
		c.noteBlock(&f, d, s)
	}
	return f, nil
}

// encode sets Raw to the header block decoded last, encoded anew.
func (c *codec) encode(f *protocols.Frame, d protocols.Dir, h header, s *stream) {
	x, num := &c.sides[d], h.num
	if s != nil {
		num = s.target(d)
	}
	x.raw = c.encoder.append(x.raw[:0], num, 0, x.blocks.fields, x.end, true)
	f.Raw = x.raw
	opens := f.Items != nil || d == protocols.ToClient && s != nil && !s.began
	switch {
	case s == nil || opens:
	case s.keeps(d, 0, x.end):
		s.copy.kept = append(s.copy.kept, x.raw...)
		f.Raw = []byte{}
	case !s.held[d] && len(x.flow.queue) > 0:
		f.Raw = notNil(x.flow.postpone(x.raw[len(x.raw):], x.raw, 0))
	}
}

// noteBlock says what the header block decoded last means for its stream.
func (c *codec) noteBlock(f *protocols.Frame, d protocols.Dir, s *stream) {
	x := &c.sides[d]
	fields := x.blocks.fields
	if d == protocols.ToServer {
		f.ID = s.id
		if s.copy != nil && f.Items == nil {
			s.copy.addTrailers(fields)
		}
	} else {
		status := get(fields, ":status")
		if status != "" && status[0] == '1' && !x.end {
			return
		}
		if s.original == nil {
			f.ID, f.Err = s.id, c.dialect.err(fields)
		}
		if s.began = s.began || status != ""; s.copy != nil {
			s.copy.addHead(fields)
		}
	}
	if x.end {
		c.ended(f, d, s)
	}
}

// ended handles the end of one side of a stream.
func (c *codec) ended(f *protocols.Frame, d protocols.Dir, s *stream) {
	switch {
	case s.original != nil:
		c.copyEnded(f, s)
		return
	case d == protocols.ToClient && s.copy != nil && len(s.copy.kept) > 0:
		c.doAgain(f, s)
		return
	}
	f.End = true
	f.Missed = d == protocols.ToClient && (s.counts != nil || s.copy != nil)
	c.end(d, s)
}

// push handles PUSH_PROMISE. A promise on a stream whose answer is withheld is
// refused.
func (c *codec) push(f *protocols.Frame, d protocols.Dir, h header, promised uint32) {
	x := &c.sides[d]
	s := c.find(d, h.num)
	switch {
	case !c.touched:
		c.route(f, d, h, s, nil)
	case s == nil || s.dropped[d] || s.original != nil || s.held[d]:
		if c.refused == nil {
			c.refused = make(map[uint32]bool)
		}
		c.refused[promised] = true
		x.back = appendReset(x.back, promised, codeCancel)
		f.Raw, f.Back = []byte{}, x.back
	default:
		x.raw = c.encoder.append(x.raw, s.num, promised, x.blocks.fields, false, true)
		f.Raw = x.raw
	}
}

// part is a frame that is passed on in pieces.
type part struct {
	left   int // bytes to come
	how    how
	s      *stream
	data   bool
	end    bool // with END_STREAM
	length int  // of the payload
	padded bool // its first byte, the length of the padding, is to come
	inside int  // bytes to come without the padding
	frame  []byte
}

type how uint8

const (
	passes    how = iota
	vanishes      // its sender gets the credit
	counts        // its data is collected, and gRPC messages in it are counted
	postponed     // it is collected, and queues up
	kept          // it is collected, and goes out when the second copy is answered
)

// content returns the data in the next bytes of the payload, without padding.
func (p *part) content(b []byte) []byte {
	if p.padded && len(b) > 0 {
		p.padded = false
		p.inside = max(0, p.inside-1-int(b[0]))
		b = b[1:]
	}
	if p.padded {
		return nil
	}
	n := min(len(b), p.inside)
	p.inside -= n
	return b[:n]
}

// data handles a DATA frame, as far as it has come.
func (c *codec) data(d protocols.Dir, h header, buf []byte) (f protocols.Frame, n int, err error) {
	x := &c.sides[d]
	s := c.find(d, h.num)
	x.current = s
	n = min(len(buf), headerLen+h.length)
	p := &x.part
	*p = part{
		left: headerLen + h.length - n, s: s, data: true, end: h.has(flagEndStream), length: h.length,
		padded: h.has(flagPadded), inside: h.length, frame: p.frame[:0],
	}
	switch {
	case !c.route(&f, d, h, s, buf[:n]):
		p.how = vanishes
		x.back = appendCredit(x.back, 0, h.length)
		if !p.end && (s != nil || d == protocols.ToServer) {
			x.back = appendCredit(x.back, h.num, h.length)
		}
		f.Back = c.given(d)
		if p.end && h.num&1 == 0 {
			delete(c.refused, h.num)
		}
	case d == protocols.ToClient && s != nil && s.counts != nil:
		p.how = counts
	case s != nil && s.keeps(d, h.length, p.end):
		p.how = kept
		x.flow.debt -= int64(h.length)
	case c.touched && (s == nil || !s.held[d]) && x.flow.full(h.length):
		p.how = postponed
	default:
		x.flow.sent(h.length)
	}
	c.piece(&f, d, buf[:n], buf[headerLen:n])
	return f, n, nil
}

// goOn handles the next piece of a frame.
func (c *codec) goOn(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	p := &c.sides[d].part
	n = min(len(buf), p.left)
	p.left -= n
	if p.data {
		c.piece(&f, d, buf[:n], buf[:n])
		return f, n, nil
	}
	if f.More = p.left > 0; p.how == vanishes {
		f.Raw, f.More = []byte{}, false
	}
	return f, n, nil
}

// piece handles a piece of a DATA frame: b, of which payload is the payload.
func (c *codec) piece(f *protocols.Frame, d protocols.Dir, b, payload []byte) {
	x := &c.sides[d]
	p := &x.part
	s, last := p.s, p.left == 0
	content := p.content(payload)
	if s != nil && s.copy != nil && d == protocols.ToServer && p.how != vanishes {
		s.copy.addData(content)
	}
	// Of a stream that has been reset the rest must go on, but the exchange is over.
	if s != nil && s.original == nil && (d == protocols.ToClient || !s.removed) {
		f.ID = s.id
	}
	f.More = !last
	switch p.how {
	case passes:
		if f.Raw == nil && s != nil && s.explicit[d] {
			f.Raw = b
		}
	case vanishes:
		f.Raw, f.More = []byte{}, false
	case counts:
		p.frame = append(p.frame, content...)
		f.Raw, f.More = []byte{}, false
		if last && !s.removed && c.count(f, s, p.frame) {
			return
		}
	case postponed, kept:
		if f.Raw != nil {
			b = f.Raw
		}
		p.frame = append(p.frame, b...)
		f.Raw, f.More = []byte{}, false
		switch {
		case last && p.how == postponed:
			x.raw = x.flow.postpone(x.raw[:0], p.frame, p.length)
			f.Raw = notNil(x.raw)
		case last && !s.removed:
			s.copy.kept = append(s.copy.kept, p.frame...)
			s.copy.data += p.length
		case last: // the client has gone
			x.flow.debt += int64(p.length)
			x.back = appendCredit(x.back, 0, p.length)
			f.Back = x.back
		}
	}
	if last && p.end && s != nil && !s.removed {
		c.ended(f, d, s)
	}
}
