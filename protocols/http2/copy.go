package http2

import (
	"slices"

	"faultbox/protocols"
)

// maxCopy is how long the body of a request may be that is sent twice.
const maxCopy = 4 << 20

// copied is a request that is sent twice: the second time when the first has
// been answered. The client gets the first answer as it comes, but its end only
// when the second answer has come too, so that it finds both done.
type copied struct {
	fields, trailers []Field
	body             []byte
	lost             bool   // body is not whole
	waits            bool   // the second answer is awaited
	kept             []byte // the frame that ends the first answer
	data             int    // bytes of data in kept
}

func (k *copied) addData(b []byte) {
	if k.lost = k.lost || len(k.body)+len(b) > maxCopy; k.lost {
		k.body = nil
		return
	}
	k.body = append(k.body, b...)
}

func (k *copied) addTrailers(fields []Field) { k.trailers = slices.Clone(fields) }

// keeps reports whether the frame in direction d that ends s, if end is set,
// is kept until the second copy of the request has been answered.
func (c *codec) keeps(d protocols.Dir, s *stream, end bool) bool {
	return end && d == protocols.ToClient && s.copy != nil && s.over[protocols.ToServer] && !s.copy.lost && !s.copy.waits && !s.removed
}

// doAgain sends the second copy of s. last is the frame that ends the answer
// to the first.
func (c *codec) doAgain(f *protocols.Frame, s *stream, last []byte) {
	k := s.copy
	k.waits, k.kept = true, slices.Clone(last)
	if h := parseHeader(last); h.kind == frameData {
		k.data = h.length
	}
	second := &stream{id: s.id, num: s.num, original: s}
	c.assign(second)
	f.Raw = []byte{}

	x := &c.sides[protocols.ToClient]
	w := &c.sides[protocols.ToServer].flow
	p := &parcel{window: w.initial, body: k.body, last: k.trailers == nil}
	x.back = w.own(x.back, c.encoder.append(nil, second.server, 0, k.fields, p.last && len(p.body) == 0, true))
	if k.trailers != nil {
		p.behind = c.encoder.append(nil, second.server, 0, k.trailers, true, true)
	}
	if len(p.body) > 0 || p.behind != nil {
		x.back = w.deliver(x.back, second.server, p)
	}
	f.Back = c.given(protocols.ToClient)
}

// copyEnded ends the answer to the first copy, now that second is answered.
func (c *codec) copyEnded(f *protocols.Frame, second *stream) {
	c.remove(second)
	delete(c.sides[protocols.ToServer].flow.parcels, second.server)
	s := second.original
	x := &c.sides[protocols.ToClient]
	if f.Raw = []byte{}; s.removed { // the client has gone
		x.flow.debt += int64(s.copy.data)
		x.back = appendCredit(x.back, 0, s.copy.data)
		f.Back = c.given(protocols.ToClient)
		return
	}
	x.raw = x.flow.own(x.raw[:0], s.copy.kept)
	f.Raw = notNil(x.raw)
	f.ID, f.End = s.id, true
	c.end(protocols.ToClient, s)
}
