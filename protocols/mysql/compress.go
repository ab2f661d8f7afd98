package mysql

import (
	"bytes"
	"compress/zlib"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"faultbox/protocols"
)

// packing is the layer of compressed packets below the packets of a connection
// (manual: "Compression"). It unpacks what comes, and passes on each frame in
// stored packets of its own.
type packing struct {
	zstd  *zstd.Decoder // nil: zlib
	zlib  io.ReadCloser
	src   bytes.Reader
	sides [2]packed
	// next is the number of the next compressed packet in each direction. Both
	// sides of a conversation count on from the other's last packet: asked
	// follows the client's.
	next  [2]byte
	asked byte
}

// packed is one direction.
type packed struct {
	gathered []byte // a packet that has not come whole
	taken    int    // bytes of buf that belong to the packet that is unpacked
	plain    []byte // unpacked, not decoded
	frame    []byte // what the last frame holds
	before   byte   // packing.next before that frame was packed
	id       uint64 // its exchange, if the packet in it goes on
	more     bool
	muted    uint64 // the exchange for whose further frames Apply has put something else
}

const packedHeader = 7 // length, number, length when unpacked (0: stored)

// newPacking returns the layer that the capabilities ask for, nil if none.
func newPacking(flags uint32) *packing {
	switch {
	case flags&clientCompress != 0:
		return &packing{}
	case flags&clientZstd != 0:
		decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxPayload+1))
		if err == nil {
			return &packing{zstd: decoder}
		}
	}
	return nil
}

// decode is Codec.Decode. A compressed packet may hold many frames: the first
// ones take a byte of it each, the last one the rest.
func (p *packing) decode(c *codec, d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	s := &p.sides[d]
	if s.taken == 0 {
		whole, err := p.gather(d, buf)
		switch {
		case err != nil:
			return f, 0, err
		case whole == 0 && len(buf) < window:
			return f, 0, nil
		case whole == 0:
			s.gathered = append(s.gathered, buf...)
			return s.silence(), len(buf), nil
		}
		s.taken = whole
	}
	n = min(s.taken, len(buf))
	f, m, err := p.inner(c, d)
	if err != nil {
		return f, 0, err
	}
	if m == 0 {
		s.taken = 0
		return s.silence(), n, nil
	}
	switch {
	case len(s.plain) == 0:
	case s.taken > 1:
		n = 1
	default:
		p.merge(c, d, &f)
	}
	s.taken -= n
	s.id, s.more = f.ID, f.More
	return f, n, nil
}

// silence is a frame with nothing in it.
func (s *packed) silence() protocols.Frame {
	f := protocols.Frame{Raw: nothing, More: s.more}
	if s.more {
		f.ID = s.id
	}
	return f
}

// gather unpacks the compressed packet that ends in buf, and returns how much
// of buf belongs to it; 0 if it does not end there.
func (p *packing) gather(d protocols.Dir, buf []byte) (whole int, err error) {
	s := &p.sides[d]
	had := len(s.gathered)
	b := buf
	if had > 0 {
		need := packedHeader + payloadLength(s.gathered) - had
		if len(buf) < need {
			return 0, nil
		}
		b = append(s.gathered, buf[:need]...)
	}
	if len(b) < packedHeader || len(b) < packedHeader+payloadLength(b) {
		return 0, nil
	}
	b = b[:packedHeader+payloadLength(b)]
	whole = len(b) - had
	s.gathered = nil
	s.plain, err = p.unpack(s.plain, b)
	if d == protocols.ToServer {
		p.asked = b[3] + 1
	} else {
		p.next[protocols.ToServer] = b[3] + 1
	}
	return whole, err
}

// unpack appends what a compressed packet holds to dst.
func (p *packing) unpack(dst, b []byte) ([]byte, error) {
	size, b := payloadLength(b[4:]), b[packedHeader:]
	if size == 0 {
		return append(dst, b...), nil
	}
	if p.zstd != nil {
		out, err := p.zstd.DecodeAll(b, nil)
		if err == nil && len(out) != size {
			err = errors.New("it holds less or more than it says")
		}
		if err != nil {
			return dst, fmt.Errorf("unpack a compressed packet: %w", err)
		}
		return append(dst, out...), nil
	}
	p.src.Reset(b)
	err := error(nil)
	if p.zlib == nil {
		p.zlib, err = zlib.NewReader(&p.src)
	} else {
		err = p.zlib.(zlib.Resetter).Reset(&p.src, nil)
	}
	at := len(dst)
	if err == nil {
		dst = append(dst, make([]byte, size)...)
		_, err = io.ReadFull(p.zlib, dst[at:])
	}
	if err != nil {
		return dst[:at], fmt.Errorf("unpack a compressed packet: %w", err)
	}
	return dst, nil
}

// inner decodes the next m bytes of what is unpacked, and packs the frame.
func (p *packing) inner(c *codec, d protocols.Dir) (f protocols.Frame, m int, err error) {
	s := &p.sides[d]
	data, own := c.infile || c.parts[d].left > 0, false
	f, m, err = c.decode(d, s.plain)
	if m == 0 || err != nil {
		return f, m, err
	}
	s.frame, s.plain = s.plain[:m:m], s.plain[m:]
	if f.Raw != nil {
		s.frame, data, own = f.Raw, false, true
	}
	switch e := c.pending.newest(f.ID); {
	case d == protocols.ToServer && f.ID != 0 && e != nil:
		e.packed = p.asked
	case d == protocols.ToServer:
		p.next[protocols.ToClient] = p.asked
	case c.begins:
		p.next[protocols.ToClient] = c.answered.packed
	}
	s.before = p.next[d]
	f.Raw = nothing
	if own || f.ID == 0 || f.ID != s.muted {
		f.Raw = p.pack(d, s.frame, data)
	}
	if f.Back != nil {
		f.Back = p.pack(d.Opposite(), f.Back, false)
	}
	return f, m, nil
}

// merge puts all further frames into f, where no byte is left to stand for
// them. So what comes in one packet with a thousand others may go unseen.
func (p *packing) merge(c *codec, d protocols.Dir, f *protocols.Frame) {
	for {
		g, m, err := p.inner(c, d)
		if m == 0 || err != nil {
			return
		}
		f.Items, f.Raw = nil, bytes.Join([][]byte{f.Raw, g.Raw}, nil)
		f.Back = append(f.Back, g.Back...)
		f.ID, f.End, f.More, f.Err = g.ID, g.End, g.More, g.Err
		if d == protocols.ToServer {
			f.ID, f.End = 0, false
		}
	}
}

// pack makes stored packets of packets that go in direction d. A command
// begins a packet, with the number 0.
func (p *packing) pack(d protocols.Dir, b []byte, data bool) []byte {
	out := nothing
	for len(b) > 0 {
		n := min(len(b), maxPayload)
		if d == protocols.ToServer && !data && len(b) >= 4 {
			if b[3] == 0 {
				p.next[d] = 0
			}
			n = min(n, 4+payloadLength(b))
		}
		out = append(out, byte(n), byte(n>>8), byte(n>>16), p.next[d], 0, 0, 0)
		out = append(out, b[:n]...)
		p.next[d]++
		b = b[n:]
	}
	return out
}

// apply is Codec.Apply.
func (p *packing) apply(c *codec, d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	s := &p.sides[d]
	content := s.frame
	if !f.End && len(fates) > 0 && fates[0].Act == protocols.Twice {
		content = stored(raw)
	}
	forward, back = c.apply(d, f, content, fates)
	if back == nil && len(forward) > 0 && len(forward) == len(content) && &forward[0] == &content[0] {
		return raw, nil
	}
	p.next[d], s.muted = s.before, f.ID
	if forward != nil {
		forward = p.pack(d, forward, false)
	}
	if back != nil {
		next := p.next[d.Opposite()]
		if d == protocols.ToServer {
			p.next[protocols.ToClient] = p.asked
		}
		back = p.pack(d.Opposite(), back, false)
		p.next[d.Opposite()] = next
	}
	return forward, back
}

// stored returns what stored packets hold.
func stored(b []byte) (content []byte) {
	for len(b) >= packedHeader {
		n := min(len(b), packedHeader+payloadLength(b))
		content = append(content, b[packedHeader:n]...)
		b = b[n:]
	}
	return content
}
