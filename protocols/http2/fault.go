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
		head, p := c.answer(s, fate.Reply, false)
		return c.follow(head, s, p), nil
	case fate.Act == protocols.Twice && d == protocols.ToServer:
		c.touch()
		c.beginToDiffer(c.highest + 2)
		s.copy = &copied{fields: slices.Clone(c.sides[d].blocks.fields), left: -1}
		s.explicit[d] = true
		return bytes.Clone(now), nil
	case fate.Act == protocols.Lose && d == protocols.ToClient:
		c.drop(s)
		return nil, nil
	}
	return raw, nil
}

// answerHere answers a request that the server never sees. The answer goes out
// by Release. What the client has yet to send it may send: a RST_STREAM behind
// the answer, as servers send it, makes some clients forget the answer.
func (c *codec) answerHere(s *stream, r *protocols.Reply) []byte {
	c.touch()
	if c.differ {
		c.withdraw(s)
	}
	var p *parcel
	if s.reply, p = c.answer(s, r, false); p != nil {
		c.sides[protocols.ToClient].flow.put(s.num, p)
	}
	s.over = [2]bool{true, true}
	c.remove(s)
	c.wait(protocols.ToClient, s)
	return []byte{}
}

// wait notes that s, or our own answer to it, waits to be released.
func (c *codec) wait(d protocols.Dir, s *stream) {
	if c.waiting[d] == nil {
		c.waiting[d] = make(map[uint64]*stream)
	}
	c.waiting[d][s.id] = s
	s.held[d] = true
	if p := c.sides[d].flow.parcels[s.num]; p != nil && d == protocols.ToClient {
		p.waits = true
	}
}

// drop withholds the answer to s from now on.
func (c *codec) drop(s *stream) {
	c.touch()
	s.dropped[protocols.ToClient] = true
}

// answer returns what the client hears of a reply: the frames of its head, and
// what follows as the windows have room for it, nil for nothing. began: it has
// the head of the server's answer.
func (c *codec) answer(s *stream, r *protocols.Reply, began bool) (head []byte, p *parcel) {
	if code, ok := ErrorCode(r.Code); ok {
		return appendReset(nil, s.num, code), nil
	}
	fields, body := c.dialect.Answer(r, s.kind, began)
	if s.head {
		body = nil
	}
	head = c.encoder.append(nil, s.num, 0, fields, len(body) == 0, true)
	if len(body) == 0 {
		return head, nil
	}
	return head, &parcel{window: c.sides[protocols.ToClient].flow.initial + s.granted, body: body, last: true}
}

// follow appends what may go out now of the body of an answer.
func (c *codec) follow(dst []byte, s *stream, p *parcel) []byte {
	w := &c.sides[protocols.ToClient].flow
	if p == nil {
		return dst
	}
	w.put(s.num, p)
	return w.pack(dst, s.num, p)
}

// Hold implements protocols.StreamCodec.
func (c *codec) Hold(d protocols.Dir, id uint64, b []byte) []byte {
	x := &c.sides[d]
	s := x.current
	if s == nil || s.id != id || s.http1 || s.original != nil {
		return b
	}
	c.touch()
	c.wait(d, s)
	switch {
	case d == protocols.ToServer:
		c.withdraw(s)
	case s.dropped[d]: // an answer of our own waits
		return b
	}
	if x.block && len(b) >= headerLen && len(b) >= headerLen+parseHeader(b).length { // not cut
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
		return held
	}
	w := &c.sides[d].flow
	held = append(held, s.reply...)
	if p := w.parcels[s.num]; p != nil && p.waits {
		p.waits = false
		held = w.pack(held, s.num, p)
	}
	return c.inTime(held)
}
