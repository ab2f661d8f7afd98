package http2

import (
	"bytes"
	"slices"

	"faultbox/protocols"
)

// Apply implements protocols.Codec. A request has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	s := c.sides[d].current
	if len(fates) == 0 || s == nil || s.id != f.ID || f.ID == 0 {
		return raw, nil
	}
	now := raw
	if f.Raw != nil {
		now = f.Raw
	}
	fate := &fates[0]
	answers := fate.Act == protocols.Answer && fate.Reply != nil
	switch {
	case s.http1:
		if answers {
			return nil, c.answerUpgrade(fate)
		}
	case answers && c.dialect.Messages && fate.Reply.Messages > 0 && s.original == nil && s.copy == nil && !s.over[protocols.ToClient]:
		s.counts = &counter{reply: fate.Reply, left: fate.Reply.Messages}
		s.explicit[d] = true
		return bytes.Clone(now), nil
	case answers && d == protocols.ToServer:
		return nil, c.answerHere(s, fate.Reply)
	case answers:
		c.drop(s)
		return c.answer(nil, s, fate.Reply, false), nil
	case fate.Act == protocols.Twice && d == protocols.ToServer:
		c.touch()
		c.beginToDiffer(c.highest + 2)
		s.copy = &copied{fields: slices.Clone(c.sides[d].blocks.fields)}
		s.explicit[d] = true
		return bytes.Clone(now), nil
	case fate.Act == protocols.Lose && d == protocols.ToClient:
		c.drop(s)
		return nil, nil
	}
	return raw, nil
}

// answerHere answers a request that the server never sees.
func (c *codec) answerHere(s *stream, r *protocols.Reply) []byte {
	c.touch()
	if c.differ {
		c.withdraw(s)
	}
	b := c.answer(nil, s, r, false)
	s.over = [2]bool{true, true}
	c.remove(s)
	return b
}

// drop withholds the answer to s from now on.
func (c *codec) drop(s *stream) {
	c.touch()
	s.dropped[protocols.ToClient] = true
}

// answer appends what the client hears of a reply, as far as its windows have
// room for it. began: it has the head of the server's answer.
func (c *codec) answer(dst []byte, s *stream, r *protocols.Reply, began bool) []byte {
	w := &c.sides[protocols.ToClient].flow
	if code, ok := ErrorCode(r.Code); ok {
		return w.own(dst, appendReset(nil, s.num, code))
	}
	fields, body := c.dialect.Answer(r, s.kind, began)
	if s.head {
		body = nil
	}
	p := &parcel{window: w.initial + s.granted, body: body, last: true}
	// A client that has more to send is told that nobody wants it, unless the
	// server goes on to take it.
	if !s.dropped[protocols.ToClient] && !s.over[protocols.ToServer] {
		p.behind = appendReset(nil, s.num, codeNone)
	}
	dst = w.own(dst, c.encoder.append(nil, s.num, 0, fields, len(body) == 0, true))
	if len(p.body) == 0 && p.behind == nil {
		return dst
	}
	return w.deliver(dst, s.num, p)
}

// Hold implements protocols.StreamCodec.
func (c *codec) Hold(d protocols.Dir, id uint64, b []byte) []byte {
	x := &c.sides[d]
	s := x.current
	if s == nil || s.id != id || s.http1 || s.original != nil {
		return b
	}
	c.touch()
	s.held[d] = true
	if c.waiting[d] == nil {
		c.waiting[d] = make(map[uint64]*stream)
	}
	c.waiting[d][id] = s
	if d == protocols.ToServer {
		c.withdraw(s)
	}
	switch p := x.flow.parcels[s.num]; {
	case d == protocols.ToClient && s.dropped[d]: // an answer of our own waits
		if p != nil {
			p.waits = true
		}
	case x.block && len(b) >= headerLen && len(b) >= headerLen+parseHeader(b).length: // not cut
		return c.encoder.append(nil, s.num, 0, x.blocks.fields, x.end, true)
	}
	return b
}

// Release implements protocols.StreamCodec.
func (c *codec) Release(d protocols.Dir, id uint64, held []byte) []byte {
	s := c.waiting[d][id]
	if s == nil {
		return held
	}
	delete(c.waiting[d], id)
	s.held[d] = false
	if d == protocols.ToServer {
		c.assign(s)
		renumber(held, s.server)
	} else if p := c.sides[d].flow.parcels[s.num]; p != nil && p.waits {
		p.waits = false
		held = c.sides[d].flow.pack(held, s.num, p)
	}
	return held
}
