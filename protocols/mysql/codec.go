package mysql

import (
	"faultbox/protocols"
)

// window is how much of a long packet is seen at once: of a longer statement
// the first part is matched.
const window = protocols.DefaultWindow

// codec follows one connection.
type codec struct {
	phase   phase
	caps    capabilities
	status  uint16   // of the last OK or EOF packet
	packing *packing // nil: the connection is not compressed
	parts   [2]part

	ids       uint64
	pending   pending
	answered  entry  // what the last frame of an answer answered
	begins    bool   // that frame was the first of the answer
	infile    bool   // the client sends a file for LOAD DATA LOCAL
	postponed []byte // goes to the server at the end of a command of 16 MB that is withheld

	stmts statements
	items [1]protocols.Item
	attrs [1]protocols.Attr
}

// part is what is still to come of a packet, and of those that continue it.
type part struct {
	left      int  // bytes
	continued bool // then comes a packet that continues it
	seq       byte
	id        uint64
	end       bool
	hide      bool
}

// nothing is forwarded instead of a frame that is hidden.
var nothing = []byte{}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if c.packing != nil {
		return c.packing.decode(c, d, buf)
	}
	return c.decode(d, buf)
}

// decode reads the front of a stream of packets.
func (c *codec) decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	p := &c.parts[d]
	if p.left > 0 || p.continued {
		f, n = c.goOn(d, buf)
		return f, n, nil
	}
	if len(buf) < 4 {
		return f, 0, nil
	}
	length := payloadLength(buf)
	total := 4 + length
	if len(buf) < min(total, window) && (len(buf) < 5 || c.wanted(d, buf[4])) {
		return f, 0, nil
	}
	n = min(len(buf), total)
	*p = part{left: total - n, continued: length == maxPayload, seq: buf[3]}
	if d == protocols.ToServer {
		f, err = c.request(buf[:n], length)
	} else {
		f, err = c.answer(buf[:n], length)
	}
	if err != nil {
		return f, 0, err
	}
	if p.left > 0 || p.continued {
		p.id, p.end, p.hide = f.ID, f.End, f.Raw != nil && len(f.Raw) == 0
		f.End, f.More = false, true
		return f, n, nil
	}
	if d == protocols.ToClient && f.ID != 0 && !f.End {
		n += c.run(buf[n:])
	}
	return f, n, nil
}

// wanted reports whether the codec waits for all of a packet that begins with
// that byte, or for a window of it. Unpacked bytes are not late, just not there.
func (c *codec) wanted(d protocols.Dir, first byte) bool {
	if d == protocols.ToServer {
		return !c.infile || c.packing != nil
	}
	e := c.pending.front()
	return c.packing != nil || c.phase != commands || e == nil || e.stage != rows || first >= headerEOF
}

// goOn takes the next piece of a packet that is passed on in parts.
func (c *codec) goOn(d protocols.Dir, buf []byte) (f protocols.Frame, n int) {
	p := &c.parts[d]
	if p.left == 0 {
		if len(buf) < 4 {
			return f, 0
		}
		length := payloadLength(buf)
		p.left, p.continued, p.seq = 4+length, length == maxPayload, buf[3]
	}
	n = min(len(buf), p.left)
	p.left -= n
	over := p.left == 0 && !p.continued
	f = protocols.Frame{ID: p.id, End: p.end && over, More: !over}
	if p.hide {
		f.Raw = nothing
	}
	if over && d == protocols.ToServer && c.postponed != nil {
		f.Raw, c.postponed = c.postponed, nil
		if e := c.pending.newest(p.id); e != nil {
			e.seq = p.seq + 1
		}
	}
	return f, n
}

// run returns the length of the rows or definitions at the front of buf, of
// which each follows the other and nothing changes.
func (c *codec) run(buf []byte) (n int) {
	e := c.pending.front()
	for e != nil && len(buf)-n >= 5 {
		length := payloadLength(buf[n:])
		switch {
		case length == 0 || length == maxPayload || length+4 > len(buf)-n || buf[n+4] >= headerEOF:
			return n
		case e.stage == rows:
		case e.stage == definitions && e.left > 1:
			e.left--
		default:
			return n
		}
		n += 4 + length
	}
	return n
}
