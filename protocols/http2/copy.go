package http2

import (
	"slices"
	"strconv"

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
	left             int64  // bytes of the answer to come; -1: its head does not say
	kept             []byte // the frames that end the first answer
	data             int    // bytes of data in kept
	waits            bool   // the second answer is awaited
}

func (k *copied) addData(b []byte) {
	if k.lost = k.lost || len(k.body)+len(b) > maxCopy; k.lost {
		k.body = nil
		return
	}
	k.body = append(k.body, b...)
}

func (k *copied) addTrailers(fields []Field) { k.trailers = slices.Clone(fields) }

// addHead notes the length of the answer.
func (k *copied) addHead(fields []Field) {
	if n, err := strconv.ParseInt(get(fields, "content-length"), 10, 64); err == nil {
		k.left = n
	}
}

// keeps reports whether a frame in direction d that carries n bytes, and ends s
// if end is set, is kept until the second copy of the request is answered.
func (s *stream) keeps(d protocols.Dir, n int, end bool) bool {
	k := s.copy
	if k == nil || d != protocols.ToClient || k.lost || k.waits || s.removed {
		return false
	}
	if k.left > 0 {
		k.left = max(0, k.left-int64(n))
	}
	return s.over[protocols.ToServer] && (end || n > 0 && k.left == 0 || len(k.kept) > 0)
}

// doAgain sends the second copy of s, now that the first is answered.
func (c *codec) doAgain(f *protocols.Frame, s *stream) {
	k := s.copy
	k.waits = true
	second := &stream{id: s.id, num: s.num, original: s}
	c.assign(second)
	f.Raw = []byte{}

	x := &c.sides[protocols.ToClient]
	w := &c.sides[protocols.ToServer].flow
	p := &parcel{window: w.initial, body: k.body, last: k.trailers == nil}
	x.back = c.encoder.append(x.back, second.server, 0, k.fields, p.last && len(p.body) == 0, true)
	if k.trailers != nil {
		p.behind = c.encoder.append(nil, second.server, 0, k.trailers, true, true)
	}
	if len(p.body) > 0 || p.behind != nil {
		w.put(second.server, p)
		x.back = w.pack(x.back, second.server, p)
	}
	f.Back = c.given(protocols.ToClient)
}

// copyReset handles the reset, whose frame is b, of a stream of which frames
// are kept.
func (c *codec) copyReset(f *protocols.Frame, d protocols.Dir, k *copied, b []byte) {
	x, w := &c.sides[d], &c.sides[protocols.ToClient].flow
	if f.Raw != nil {
		b = f.Raw
	}
	if d == protocols.ToClient {
		x.raw = append(w.own(nil, k.kept), b...)
	} else { // the client will not get them
		w.debt += int64(k.data)
		x.raw = appendCredit(append([]byte{}, b...), 0, k.data)
	}
	f.Raw, k.kept = x.raw, nil
}

// copyEnded ends the answer to the first copy, now that second is answered.
func (c *codec) copyEnded(f *protocols.Frame, second *stream) {
	c.remove(second)
	delete(c.sides[protocols.ToServer].flow.parcels, second.server)
	s := second.original
	x := &c.sides[protocols.ToClient]
	if f.Raw = []byte{}; s.removed {
		return
	}
	x.raw = x.flow.own(x.raw[:0], s.copy.kept)
	f.Raw = notNil(x.raw)
	f.ID, f.End = s.id, true
	c.end(protocols.ToClient, s)
}
