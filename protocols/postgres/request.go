package postgres

import (
	"bytes"

	"faultbox/protocols"
)

// request follows a message of the client: total bytes, of which b has come.
func (c *codec) request(b []byte, total int) (f protocols.Frame) {
	tag, body := b[0], b[5:]
	if c.discard = c.discard && tag != 'S' && tag != 'X'; c.discard {
		return protocols.Frame{Raw: nothing}
	}
	if c.skipping && tag != 'S' {
		return f // the server discards it, or (X) ends
	}
	switch tag {
	case 'Q':
		text, _ := cstring(body)
		return c.exchange(entry{kind: 'Q', stmt: c.names.statement(text)})
	case 'F':
		return c.exchange(entry{kind: 'F', stmt: functionCall})
	case 'P':
		name, body := cstring(body)
		text, _ := cstring(body)
		c.names.parse(name, text)
		c.pending.push(entry{kind: 'P'})
	case 'B':
		name, body := cstring(body)
		stmt, _ := cstring(body)
		message := b
		if len(b) < total {
			message = nil
		}
		c.names.bind(name, stmt, message)
		c.pending.push(entry{kind: 'B'})
	case 'E':
		name, _ := cstring(body)
		p := c.names.portal(name)
		return c.exchange(entry{kind: 'E', stmt: p.stmt, portal: p})
	case 'D':
		c.pending.push(entry{kind: 'D'})
	case 'C':
		if len(body) > 0 {
			name, _ := cstring(body[1:])
			if body[0] == 'S' {
				c.names.closeStatement(name)
			} else {
				c.names.closePortal(name)
			}
		}
		c.pending.push(entry{kind: 'C'})
	case 'S':
		c.skipping = false
		e := entry{kind: 'S', id: c.nextID(), late: c.copyIn}
		c.pending.push(e)
		return protocols.Frame{ID: e.id, End: true}
	case 'c', 'f':
		c.copyIn = false
		c.pending.push(entry{kind: 'c'})
	}
	return f
}

var functionCall = &statement{op: "FUNCTION"}

// exchange begins an exchange of one message.
func (c *codec) exchange(e entry) protocols.Frame {
	e.id = c.nextID()
	c.pending.push(e)
	c.items[0] = protocols.Item{Op: e.stmt.op, Key: e.stmt.key, Text: e.stmt.text}
	return protocols.Frame{ID: e.id, End: true, Items: c.items[:]}
}

// cstring splits b behind its first zero byte; without one all of b is the
// string.
func cstring(b []byte) (s, rest []byte) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}
