package postgres

import (
	"faultbox/protocols"
)

// nothing is forwarded instead of a frame that is hidden.
var nothing = []byte{}

// answer follows a message of the server: total bytes, of which b has come.
func (c *codec) answer(b []byte, total int) (f protocols.Frame) {
	var e *entry
	done := false // the message is the last for e, ReadyForQuery aside
	switch b[0] {
	case 'N':
		if act := c.busy(); act == hidden || act == silent || act == replaced && errorCode(b) == noTransaction {
			f.Raw = nothing
		}
		return f
	case '1':
		e, done = c.pending.front("P"), true
	case '2':
		e, done = c.pending.front("B"), true
	case '3':
		e, done = c.pending.front("C"), true
	case 'n':
		e, done = c.pending.front("D"), true
	case 't':
		e = c.pending.front("D")
	case 'T':
		e = c.pending.front("DQ")
		done = e != nil && e.kind == 'D'
	case 'D', 'H', 'd', 'c':
		e = c.pending.front(rows)
	case 'C', 'I', 's':
		e = c.pending.front(rows)
		done = e != nil && e.kind == 'E'
	case 'V':
		e = c.pending.front("F")
	case 'G':
		return c.copyInResponse()
	case 'W':
		f.Tunnel = true
		return f
	case 'E':
		return c.errorResponse(b)
	case 'Z':
		return c.readyForQuery(b)
	default: // authentication, parameters, notifications, and what is new
		return f
	}
	if e == nil {
		return f
	}
	f.ID, f.End = e.id, done && e.id != 0
	c.answering = *e
	if e.act != shown {
		f.Raw, f.End = nothing, false
	}
	if c.mute {
		f.Raw = nothing
	}
	if done {
		c.pending.pop(1)
	}
	return f
}

// busy returns what is done to the answer that the server is working on.
func (c *codec) busy() act {
	list := c.pending.entries()
	for i := range list {
		if !list[i].marker() {
			return list[i].act
		}
	}
	return shown
}

// copyInResponse belongs to no exchange: the answer to COPY is what follows
// the data.
func (c *codec) copyInResponse() (f protocols.Frame) {
	e := c.pending.front(rows)
	if e == nil {
		return f
	}
	if e.act != shown || c.mute { // nobody is going to send data
		return protocols.Frame{Raw: nothing, Back: copyFail()}
	}
	c.copyIn = true
	list := c.pending.entries()
	for i := 1; i < len(list); i++ {
		switch list[i].kind {
		case 'S':
			list[i].late = true
			continue
		case 'c':
			c.copyIn = false
		}
		break
	}
	return f
}

// errorResponse ends what it answers, and in the extended protocol makes the
// server skip to Sync.
func (c *codec) errorResponse(b []byte) (f protocols.Frame) {
	f.Err = errorCode(b)
	c.copyIn = false
	list := c.pending.entries()
	i := 0
	for i < len(list) && list[i].marker() {
		i++
	}
	if i == len(list) {
		if c.mute {
			f.Raw = nothing
		}
		return f
	}
	e := list[i]
	c.pending.pop(i)
	f.ID = e.id
	switch e.act {
	case hidden:
		f.Raw, f.Err = nothing, ""
	case replaced:
		c.replace(&f, &e)
	}
	if c.mute {
		f.Raw = nothing
	}
	c.answering = e
	if e.readies() {
		return f
	}
	f.End = f.ID != 0
	c.pending.pop(1)
	c.skip(&f)
	return f
}

// replace puts the error that was asked for in the place of the server's.
func (c *codec) replace(f *protocols.Frame, e *entry) {
	if e.reply == nil {
		f.Raw, f.Err = nothing, ""
		return
	}
	if f.Err == failedTransaction && !(e.stmt.ends() || e.stmt.returns()) {
		return
	}
	f.Raw, f.Err = errorMessage(e.reply), e.reply.Code
	f.End = e.reply.Close // there will be no ReadyForQuery
}

// skip drops what the server skips after an error. An error of a message that
// only prepares an Execute is the answer to that Execute, unless a fault was
// decided for it: that one had nothing to act on.
func (c *codec) skip(f *protocols.Frame) {
	list := c.pending.entries()
	c.skipping = true
	n := 0
	for ; n < len(list); n++ {
		e := &list[n]
		if e.kind == 'S' && !e.late {
			c.skipping = false
			break
		}
		if f.ID == 0 && e.kind == 'E' && e.act == shown {
			f.ID, f.End = e.id, true
			c.answering = *e
		}
	}
	c.pending.pop(n)
}

// readyForQuery ends a Query, a FunctionCall or what came before a Sync.
func (c *codec) readyForQuery(b []byte) (f protocols.Frame) {
	if len(b) > 5 {
		c.status = b[5]
	}
	c.copyIn, c.skipping = false, false
	front := c.pending.front(ready)
	if front == nil {
		return f
	}
	e := *front
	c.pending.pop(1)
	f.ID, f.End = e.id, true
	if e.act == hidden {
		f.Raw, f.End = nothing, false
		return f
	}
	if e.act == replaced && e.reply == nil {
		f.Raw = b // the rest of the answer may be withheld
	}
	if !c.mute {
		return f
	}
	if c.closing {
		f.Raw = nothing
		return f
	}
	c.mute = false
	if c.status == 'T' && len(c.pending.entries()) == 0 {
		text := refused
		if c.answering.stmt != nil && c.answering.stmt.begins() {
			text = rollback
		}
		c.pending.push(entry{kind: 'Q', id: e.id, act: replaced, stmt: unknown})
		return protocols.Frame{Raw: nothing, Back: query(text)}
	}
	f.Raw = b
	return f
}
