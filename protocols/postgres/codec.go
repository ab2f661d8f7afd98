package postgres

import (
	"encoding/binary"
	"errors"

	"faultbox/protocols"
)

// window is how much of a long message is seen at once: of a longer statement
// the first part is matched.
const window = protocols.DefaultWindow

// maxMessage is more than the largest message of either side (1 GB).
const maxMessage = 1<<30 + 1<<20

var errLost = errors.New("this is not the PostgreSQL protocol, version 3")

// codec follows one connection.
type codec struct {
	typed       bool // the client has sent its StartupMessage
	negotiating byte // what one byte of the server answers: 'S' SSLRequest, 'G' GSSENCRequest
	rest        [2]rest

	ids      uint64
	pending  pending
	status   byte // of the last ReadyForQuery: I idle, T in a transaction, E in a failed one
	skipping bool // the server discards what comes until Sync
	copyIn   bool // the server takes CopyData, and ignores Sync

	answering entry // what the last frame of an answer answered
	mute      bool  // an answer was replaced: the client hears nothing until ReadyForQuery
	closing   bool  // and nothing then: the connection is closed
	discard   bool  // so was that of an Execute: the server hears nothing until Sync

	names names
	items [1]protocols.Item
}

// rest is what is still to come of a message.
type rest struct {
	n    int
	id   uint64
	end  bool
	hide bool
}

func newCodec() *codec {
	return &codec{names: newNames()}
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	if len(buf) == 0 {
		return f, 0, nil
	}
	if r := &c.rest[d]; r.n > 0 {
		n = min(len(buf), r.n)
		r.n -= n
		f = protocols.Frame{ID: r.id, End: r.end && r.n == 0, More: r.n > 0}
		if r.hide {
			f.Raw = []byte{}
		}
		return f, n, nil
	}
	if d == protocols.ToClient && c.negotiating != 0 {
		return c.negotiated(buf)
	}
	if d == protocols.ToServer && !c.typed {
		return c.startup(buf)
	}
	if len(buf) < 5 {
		return f, 0, nil
	}
	length := int(binary.BigEndian.Uint32(buf[1:]))
	if length < 4 || length > maxMessage {
		return f, 0, errLost
	}
	total := 1 + length
	if wanted := whole(d, buf[0]); wanted && len(buf) < min(total, window) {
		return f, 0, nil
	}
	n = min(len(buf), total)
	if bound(d, buf[:n]) {
		return f, 0, errBound
	}
	if d == protocols.ToServer {
		f = c.request(buf[:n], total)
	} else {
		f = c.answer(buf[:n], total)
	}
	if n < total {
		c.rest[d] = rest{n: total - n, id: f.ID, end: f.End, hide: f.Raw != nil}
		f.End, f.More = false, true
		return f, n, nil
	}
	return f, n + run(d, buf[0], buf[n:]), nil
}

// whole reports whether the codec looks into messages of that type, and so
// waits until all of one is there, or a window.
func whole(d protocols.Dir, tag byte) bool {
	if d == protocols.ToServer {
		switch tag {
		case 'Q', 'P', 'B', 'E', 'D', 'C', 'p':
			return true
		}
		return false
	}
	return tag == 'E' || tag == 'Z' || tag == 'N'
}

// run returns the length of the DataRow or CopyData messages at the front of
// buf, for which nothing changes after one of them.
func run(d protocols.Dir, tag byte, buf []byte) (n int) {
	if tag != 'd' && (tag != 'D' || d == protocols.ToServer) {
		return 0
	}
	for len(buf)-n >= 5 && buf[n] == tag {
		length := int(binary.BigEndian.Uint32(buf[n+1:]))
		if length < 4 || length >= len(buf)-n {
			break
		}
		n += 1 + length
	}
	return n
}

// nextID returns the ID of a new exchange.
func (c *codec) nextID() uint64 {
	c.ids++
	return c.ids
}
