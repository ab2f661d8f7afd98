package amqp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"faultbox/protocols"
)

const (
	maxFrame = 256 << 10               // of a method or header; RabbitMQ allows 128 KB for any
	piece    = protocols.DefaultWindow // a body frame of more bytes is passed on in pieces
	maxNames = 1024                    // names that are remembered
	overhead = 8                       // bytes of a frame around its payload
)

// codec follows one connection.
type codec struct {
	last     uint64 // the newest ID
	side     [2]side
	channels map[uint16]*channel
	vhost    string
	names    map[string]string // so that each is allocated once

	// What the frame of the server at hand implies.
	known   bool // it has been looked at
	implied []implied
	covered []publish // by a confirm
	told    uint64    // client's tag up to which of them the client has been told
	reply   call      // the call that was answered last
}

// side is one direction.
type side struct {
	begun bool            // the protocol header is not to come any more
	open  int             // contents whose beginning has gone out
	frame protocols.Frame // what the pieces of a body frame have in common
	rest  int             // bytes of it that are to come
	item  [1]protocols.Item
	attrs [3]protocols.Attr
}

// implied is an exchange that ends without a frame of its own.
type implied struct {
	id  uint64
	err string
}

// none is what goes out for a frame that is for nobody.
var none = []byte{}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	s := &c.side[d]
	switch {
	case s.rest > 0:
		return s.next(buf)
	case !s.begun:
		if n, err := s.begin(d, buf); n > 0 || err != nil || !s.begun {
			return protocols.Frame{}, n, err
		}
	}
	if len(buf) < overhead-1 {
		return protocols.Frame{}, 0, nil
	}
	kind, num := buf[0], binary.BigEndian.Uint16(buf[1:])
	size := int64(binary.BigEndian.Uint32(buf[3:]))
	total := size + overhead
	whole := int64(len(buf)) >= total
	switch {
	case kind == 0 || kind > frameHeartbeat:
		return protocols.Frame{}, 0, fmt.Errorf("a frame of unknown type %d", kind)
	case !whole && kind != frameBody && total > maxFrame:
		return protocols.Frame{}, 0, fmt.Errorf("a frame of type %d with %d bytes", kind, size)
	case !whole && (kind != frameBody || len(buf) < piece):
		return protocols.Frame{}, 0, nil
	case whole && buf[total-1] != frameEnd:
		return protocols.Frame{}, 0, errors.New("a frame without end")
	}
	if f, has := c.imply(d, num, kind, buf[:min(int64(len(buf)), total)]); has {
		return f, 0, nil
	}
	f := c.frame(d, num, kind, uint64(size), buf[overhead-1:min(int64(len(buf)), total-1)])
	if num != 0 {
		f.Stream = uint64(num)
	}
	f.More = s.open > 0
	if whole {
		return f, int(total), nil
	}
	s.rest = int(total) - len(buf)
	s.frame = f
	f.End, f.More = false, true
	return f, len(buf), nil
}

// begin looks for the protocol header. n is its length if it is there.
func (s *side) begin(d protocols.Dir, buf []byte) (n int, err error) {
	const header = "AMQP\x00\x00\x09\x01"
	switch part := buf[:min(len(buf), len(header))]; {
	case len(part) > 0 && part[0] == 22:
		return 0, errors.New("the client speaks TLS: say tls=True at the interface")
	case len(part) > 0 && part[0] != 'A':
		s.begun = true
		return 0, nil
	case len(part) < len(header):
		return 0, nil
	case d == protocols.ToServer && !bytes.Equal(part, []byte(header)):
		return 0, fmt.Errorf("speaks %q and not AMQP 0-9-1", part)
	}
	s.begun = true
	return len(header), nil
}

// next passes on a further piece of a body frame.
func (s *side) next(buf []byte) (protocols.Frame, int, error) {
	n := min(len(buf), s.rest)
	if n == 0 {
		return protocols.Frame{}, 0, nil
	}
	f := s.frame
	f.Items = nil
	if s.rest -= n; s.rest > 0 {
		f.End, f.More = false, true
	}
	return f, n, nil
}

// channel returns a channel, known from now on.
func (c *codec) channel(num uint16) *channel {
	ch := c.channels[num]
	if ch == nil {
		ch = &channel{}
		c.channels[num] = ch
	}
	return ch
}

// frame handles a frame whose payload, or the first part of it, is b.
func (c *codec) frame(d protocols.Dir, num uint16, kind byte, size uint64, b []byte) protocols.Frame {
	switch kind {
	case frameHeader, frameBody:
		return c.follow(d, c.channel(num), kind == frameBody, size, b)
	case frameMethod:
	default:
		return protocols.Frame{}
	}
	if len(b) < 4 {
		return protocols.Frame{}
	}
	m, a := method(binary.BigEndian.Uint32(b)), args(b[4:])
	ch := c.channel(num)
	switch {
	case d == protocols.ToServer && ch.deaf:
		return c.overheard(ch, num, m, a)
	case d == protocols.ToServer:
		return c.client(ch, num, m, a)
	}
	return c.server(ch, num, m, a)
}

// begins notes that a message follows.
func (c *codec) begins(d protocols.Dir, ch *channel, f protocols.Frame) *content {
	c.ends(d, ch) // one that was left unfinished
	x := &ch.content[d]
	*x = content{on: true, wire: true, frame: protocols.Frame{ID: f.ID, Oneway: f.Oneway, Raw: f.Raw}}
	c.side[d].open++
	return x
}

func (c *codec) ends(d protocols.Dir, ch *channel) {
	c.offWire(d, ch)
	ch.content[d].on = false
}

// offWire notes that nothing of the message on its way has gone out.
func (c *codec) offWire(d protocols.Dir, ch *channel) {
	if x := &ch.content[d]; x.on && x.wire {
		x.wire = false
		c.side[d].open--
	}
}

// follow is a header or body frame of a message.
func (c *codec) follow(d protocols.Dir, ch *channel, body bool, size uint64, b []byte) protocols.Frame {
	x := &ch.content[d]
	if !x.on || x.body != body {
		if ch.deaf && d == protocols.ToServer {
			return protocols.Frame{Raw: none}
		}
		return protocols.Frame{}
	}
	f := x.frame
	if body {
		x.rest -= min(x.rest, size)
	} else {
		a := args(b)
		a.take(4) // class, weight
		x.body, x.rest = true, a.long()
	}
	if x.rest == 0 {
		f.End = true
		c.ends(d, ch)
	}
	return f
}

// overheard is what the client says on a channel that a fault closes.
func (c *codec) overheard(ch *channel, num uint16, m method, a args) protocols.Frame {
	switch {
	case m == channelClose && ch.refused != nil: // both close it at the same time
		ch.refused.say = appendMethod(ch.refused.say, num, channelCloseOk)
	case m == channelClose:
		return protocols.Frame{Raw: none, Back: appendMethod(nil, num, channelCloseOk)}
	case m == channelCloseOk:
		ch.deaf = false
	case m == channelOpen:
		ch.deaf = false
		return c.client(ch, num, m, a)
	}
	return protocols.Frame{Raw: none}
}

// closing is a frame of no exchange; connection.close waits for whatever is
// delayed.
func closing(m method) (f protocols.Frame) {
	if m == connectionClose {
		f.Stream = protocols.AllStreams
	}
	return f
}

// name returns b as a string.
func (c *codec) name(b []byte) string {
	if s, known := c.names[string(b)]; known {
		return s
	}
	if c.names == nil {
		c.names = make(map[string]string)
	} else if len(c.names) >= maxNames {
		clear(c.names)
	}
	s := string(b)
	c.names[s] = s
	return s
}

// message is the item of a method that carries a message.
func (c *codec) message(d protocols.Dir, op, topic, exchange, queue string) []protocols.Item {
	s := &c.side[d]
	s.attrs = [3]protocols.Attr{{Name: "topic", Value: topic}, {Name: "exchange", Value: exchange}, {Name: "queue", Value: queue}}
	attrs := s.attrs[:]
	if queue == "" {
		attrs = attrs[:2]
	}
	s.item[0] = protocols.Item{Op: op, Key: topic, Attrs: attrs}
	return s.item[:]
}
