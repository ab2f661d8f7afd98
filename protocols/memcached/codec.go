package memcached

import (
	"bytes"
	"errors"
	"slices"

	"faultbox/protocols"
)

const window = protocols.DefaultWindow

// codec follows one connection.
type codec struct {
	speaks   byte // 0: the client has not spoken; 't' text; 'b' binary
	ids      uint64
	pending  pending // commands that the server has yet to answer
	asked    entry   // the newest command
	answered entry   // what the last frame of an answer answered
	rest     [2]rest

	item  [1]protocols.Item
	words [][]byte
}

// rest is what is still to come of a data block.
type rest struct {
	n   int
	id  uint64
	end bool
	cut bool // nothing of it is passed on
}

// nothing is forwarded instead of a frame that is hidden.
var nothing = []byte{}

var errTLS = errors.New("the client speaks TLS, which the interface does not say (tls = True)")

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	if len(buf) == 0 {
		return f, 0, nil
	}
	if r := &c.rest[d]; r.n > 0 {
		n = min(len(buf), r.n)
		r.n -= n
		f = protocols.Frame{ID: r.id, End: r.end && r.n == 0, More: r.n > 0}
		if r.cut {
			f.Raw = nothing
		}
		return f, n, nil
	}
	if c.speaks == 0 && d == protocols.ToServer {
		switch buf[0] {
		case 0x80:
			c.speaks = 'b'
		case 0x16:
			return f, 0, errTLS
		default:
			c.speaks = 't'
		}
	}
	switch {
	case c.speaks == 'b' && d == protocols.ToServer:
		return c.binaryRequest(buf)
	case c.speaks == 'b':
		return c.binaryAnswer(buf)
	case d == protocols.ToServer:
		return c.textRequest(buf)
	}
	return c.textAnswer(buf)
}

// begin makes the frame of a command, which has total bytes of which n have come.
func (c *codec) begin(e entry, n, total int) protocols.Frame {
	c.ids++
	e.id = c.ids
	c.asked = e
	c.item[0] = protocols.Item{Op: e.op, Key: e.key, Keys: e.keys}
	if !e.mute {
		c.pending.push(e)
	}
	return c.split(protocols.ToServer, protocols.Frame{ID: e.id, End: true, Oneway: e.mute || e.quiet, Items: c.item[:]}, n, total)
}

// split notes what is still to come of a frame.
func (c *codec) split(d protocols.Dir, f protocols.Frame, n, total int) protocols.Frame {
	if n < total {
		c.rest[d] = rest{n: total - n, id: f.ID, end: f.End, cut: f.Raw != nil}
		f.End, f.More = false, true
	}
	return f
}

// finish makes the frame of an answer, or of a part of it, to the first
// command; done: with it the answer ends.
func (c *codec) finish(f protocols.Frame, done bool, n, total int) protocols.Frame {
	e := *c.pending.front()
	c.answered = e
	f.ID, f.End = e.id, done && e.id != 0
	switch {
	case e.hidden, e.instead != nil && !done:
		f = protocols.Frame{Raw: nothing}
	case e.instead != nil:
		f.Raw = e.instead
	}
	if done {
		c.pending.pop()
	}
	return c.split(protocols.ToClient, f, n, total)
}

// Apply implements protocols.Codec.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	replied := fate.Act == protocols.Answer && fate.Reply != nil
	if d == protocols.ToClient {
		if !replied || c.answered.id != f.ID {
			return raw, nil
		}
		return c.answered.answer(fate.Reply), nil
	}
	switch {
	case c.asked.id != f.ID || c.asked.op == "watch":
	case replied:
		return c.reply(fate.Reply)
	case fate.Act == protocols.Twice && !c.asked.single():
		return c.twice(raw), nil
	}
	return raw, nil
}

// twice has the newest command done two times. The first is made to be
// answered, so that it is known what is to be hidden.
func (c *codec) twice(raw []byte) []byte {
	first := c.asked
	if first.mute {
		return bytes.Join([][]byte{raw, raw}, nil)
	}
	loud := raw
	if first.quiet {
		loud = first.loud(raw)
	}
	first.id, first.hidden, first.quiet = 0, true, false
	c.pending.before(first)
	return bytes.Join([][]byte{loud, raw}, nil)
}

// loud returns a quiet command as one that is always answered.
func (e *entry) loud(raw []byte) []byte {
	raw = bytes.Clone(raw)
	if e.form == packet {
		e.opcode = opcodes[e.opcode].loud
		raw[1] = e.opcode
		return raw
	}
	line, data, _ := bytes.Cut(raw, []byte("\n"))
	words := slices.DeleteFunc(split(nil, line), func(w []byte) bool { return string(w) == "q" })
	return append(append(bytes.Join(words, []byte(" ")), "\r\n"...), data...)
}

// single reports whether the command can't be done twice on one connection.
func (e *entry) single() bool { return e.op == "watch" || e.op == "quit" || e.op == "shutdown" }

// reply answers the newest command in the server's place.
func (c *codec) reply(r *protocols.Reply) (forward, back []byte) {
	e := &c.asked
	if e.mute {
		return nil, nil // nobody hears
	}
	answer := e.answer(r)
	if len(answer) == 0 { // a quiet command, with nothing to tell
		c.pending.dropNewest()
		return nil, nil
	}
	if !c.pending.anyQuiet() {
		c.pending.dropNewest()
		return nil, answer
	}
	// Of the quiet ones the server alone knows when they are done.
	p := c.pending.newest()
	p.quiet, p.instead = false, answer
	if c.speaks == 'b' {
		p.form, p.opcode = packet, opNoop
		return noop(p.opaque), nil
	}
	p.form = line
	return []byte("mn\r\n"), nil
}
