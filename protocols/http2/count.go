package http2

import (
	"encoding/binary"

	"faultbox/protocols"
)

// counter counts the messages in the data of an answer, each of which has a
// byte of flags and four bytes of length in front of it (gRPC over HTTP/2,
// Length-Prefixed-Message).
type counter struct {
	reply *protocols.Reply // takes over when left is 0
	left  int
	head  [5]byte
	have  int // bytes of head
	body  int // bytes of the message to come
}

// take returns how many bytes of b belong to the messages that pass.
func (m *counter) take(b []byte) (n int) {
	for n < len(b) && m.left > 0 {
		k := 0
		if m.have < len(m.head) {
			k = copy(m.head[m.have:], b[n:])
			if m.have += k; m.have == len(m.head) {
				m.body = int(binary.BigEndian.Uint32(m.head[1:]))
			}
		} else {
			k = min(m.body, len(b)-n)
			m.body -= k
		}
		if n += k; m.have == len(m.head) && m.body == 0 {
			m.have = 0
			m.left--
		}
	}
	return n
}

// count passes on content, the data of a whole frame, up to the end of the last
// message that passes. It reports whether the reply has taken over.
func (c *codec) count(f *protocols.Frame, s *stream, content []byte) (over bool) {
	x := &c.sides[protocols.ToClient]
	p := &x.part
	n := s.counts.take(content)
	over = s.counts.left == 0
	owed := p.length - n
	if end := p.end && !over; n > 0 || end {
		frame := appendData(nil, s.num, content[:n], end)
		if c.touched && x.flow.full(n) {
			x.raw = x.flow.postpone(x.raw[:0], frame, n)
		} else {
			x.flow.sent(n)
			x.raw = append(x.raw[:0], frame...)
		}
	}
	f.Raw = notNil(x.raw)
	x.back = appendCredit(x.back, 0, owed)
	if over {
		c.takeOver(f, s)
		return true
	}
	if !p.end {
		x.back = appendCredit(x.back, s.server, owed) // padding
	}
	f.Back = c.given(protocols.ToClient)
	return false
}

// takeOver ends a stream in the middle of its answer: for the client with the
// reply, for the server with a reset.
func (c *codec) takeOver(f *protocols.Frame, s *stream) {
	c.touch()
	x := &c.sides[protocols.ToClient]
	head, rest := c.answer(s, s.counts.reply, true)
	x.raw = c.follow(x.flow.own(x.raw, head), s, rest)
	x.back = appendReset(x.back, s.server, codeCancel)
	f.Raw, f.Back = x.raw, x.back
	f.ID, f.End, f.Oneway = s.id, true, true
	s.over = [2]bool{true, true}
	c.remove(s)
}
