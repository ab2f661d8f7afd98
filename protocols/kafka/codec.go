package kafka

import (
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// maxMessage is more than any broker accepts or sends.
const maxMessage = 1 << 28

var errLost = errors.New("this is not the Kafka protocol")

// codec follows one connection.
type codec struct {
	ids      uint64
	pending  pending
	rest     [2]rest
	sasl     bool // SaslHandshake version 0 was asked for: bare tokens may follow
	asked    asked
	answered answered
	scan     scanner

	ends   map[place]int64   // offsets behind the last message stored
	topics map[string]string // the names of topics seen
	*shared
	items      []protocols.Item
	attrs      []protocols.Attr
	copies     []int
	keys       []byte
	deliveries []delivery

	spots          []int // see sound
	changed, again []byte
}

// rest is what is still to come of a message.
type rest struct {
	n    int
	id   uint64
	end  bool
	hide bool
}

// header is what every request begins with, behind its size.
type header struct {
	key, version int16
	correlation  int32
	length       int // of size and header; 0: its form is not known
}

// asked is the newest request. What it holds refers to the bytes of its frame.
type asked struct {
	header
	id      uint64
	raw     []byte
	req     kmsg.Request // nil: it can't be read
	parts   []part       // of Produce
	produce kmsg.ProduceRequest
	fetch   kmsg.FetchRequest
}

// answered is the newest answer. What it holds refers to the bytes of its frame.
type answered struct {
	exchange
	resp    kmsg.Response // nil: it can't be read
	produce kmsg.ProduceResponse
	fetch   kmsg.FetchResponse
}

func newCodec(s *shared) *codec {
	return &codec{shared: s, ends: map[place]int64{}, topics: map[string]string{}}
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	if r := &c.rest[d]; r.n > 0 && len(buf) > 0 {
		n = min(len(buf), r.n)
		r.n -= n
		f = protocols.Frame{ID: r.id, End: r.end && r.n == 0, More: r.n > 0}
		if r.hide {
			f.Raw = []byte{}
		}
		return f, n, nil
	}
	if len(buf) < 4 {
		return f, 0, nil
	}
	size := int(int32(binary.BigEndian.Uint32(buf)))
	if size < 0 || size > maxMessage {
		return f, 0, errLost
	}
	total := 4 + size
	if len(buf) < min(total, Window) {
		return f, 0, nil
	}
	n = min(len(buf), total)
	if d == protocols.ToServer {
		f = c.request(buf[:n], total)
	} else {
		f = c.answer(buf[:n], total)
	}
	if f.More { // the last byte comes as a frame of its own: see delivered
		n--
	} else if n < total {
		c.rest[d] = rest{n: total - n, id: f.ID, end: f.End}
		f.End, f.More = false, true
	}
	return f, n, nil
}

// request follows a request of total bytes, of which raw is the first part or
// all.
func (c *codec) request(raw []byte, total int) protocols.Frame {
	h, ok := c.readHeader(raw)
	known := h.length > 0
	if !ok && !c.sasl {
		return protocols.Frame{}
	}
	c.ids++
	x := exchange{id: c.ids, header: h, token: !known && c.sasl}
	f := protocols.Frame{ID: c.ids, End: true}
	c.asked.header, c.asked.id, c.asked.raw, c.asked.req, c.asked.parts = h, c.ids, raw, nil, nil
	if x.token {
		c.pending.push(x)
		return f
	}
	c.sasl = c.sasl || h.key == saslHandshakeKey && h.version == 0
	if req := c.kind(h.key); known && len(raw) == total {
		req.SetVersion(h.version)
		if c.read(req, raw[h.length:]) {
			c.asked.req = req
		}
	}
	c.items, c.attrs = c.items[:0], c.attrs[:0]
	switch req := c.asked.req.(type) {
	case *kmsg.ProduceRequest:
		var shifted bool
		x.parts, shifted = c.produced(req)
		f.Oneway = req.Acks == 0
		if shifted {
			f.Raw, x.merge = c.resequenced(req, x.parts)
		}
	case *kmsg.FetchRequest:
		x.replica = req.ReplicaID >= 0 || req.ReplicaState.ID >= 0
	default:
		c.item(h.key, req)
	}
	if !f.Oneway {
		c.pending.push(x)
	}
	c.asked.parts = x.parts
	if len(c.items) > 0 {
		f.Items = c.items
	}
	return f
}

// readHeader reads a request's header; ok is false if raw is too short for
// one. If what follows the correlation id can't be read, length is 0.
func (c *codec) readHeader(raw []byte) (h header, ok bool) {
	if len(raw) < 12 {
		return h, false
	}
	h.key = int16(binary.BigEndian.Uint16(raw[4:]))
	h.version = int16(binary.BigEndian.Uint16(raw[6:]))
	h.correlation = int32(binary.BigEndian.Uint32(raw[8:]))
	req := c.kind(h.key)
	if req == nil || h.version < 0 || h.version > req.MaxVersion() {
		return h, true
	}
	if h.key == controlledShutdownKey && h.version == 0 { // which had no client id
		h.length = 12
		return h, true
	}
	if len(raw) < 14 {
		return h, true
	}
	n := 14 + max(0, int(int16(binary.BigEndian.Uint16(raw[12:]))))
	if n > len(raw) {
		return h, true
	}
	if req.SetVersion(h.version); req.IsFlexible() {
		t, ok := tags(raw[n:])
		if !ok {
			return h, true
		}
		n += t
	}
	h.length = n
	return h, true
}

// tags returns the length of the tagged fields at the front of b.
func tags(b []byte) (n int, ok bool) {
	count, w := binary.Uvarint(b)
	if w <= 0 || count > uint64(len(b)) {
		return 0, false
	}
	for n = w; count > 0; count-- {
		_, w := binary.Uvarint(b[n:])
		if w <= 0 {
			return 0, false
		}
		n += w
		size, w := binary.Uvarint(b[n:])
		if w <= 0 || size > uint64(len(b)-n-w) {
			return 0, false
		}
		n += w + int(size)
	}
	return n, true
}

// kind returns a request of that API, nil if it is unknown.
func (c *codec) kind(key int16) kmsg.Request {
	switch key {
	case produceKey:
		return &c.asked.produce
	case fetchKey:
		return &c.asked.fetch
	}
	return kmsg.RequestForKey(key)
}

// name returns an owned copy of a topic's name.
func (c *codec) name(s string) string {
	if own, ok := c.topics[s]; ok {
		return own
	}
	if len(c.topics) >= 10_000 {
		clear(c.topics)
	}
	own := string([]byte(s))
	c.topics[own] = own
	return own
}
