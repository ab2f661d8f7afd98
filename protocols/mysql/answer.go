package mysql

import (
	"encoding/binary"
	"strconv"

	"faultbox/protocols"
)

// answer follows a packet of the server, of whose payload of length bytes a
// window has come.
func (c *codec) answer(raw []byte, length int) (f protocols.Frame, err error) {
	b := raw[4:]
	c.begins = false
	switch c.phase {
	case greeting:
		return f, c.greeting(b)
	case handshake:
		return f, nil
	case authentication:
		c.authenticated(b)
		return f, nil
	}
	e := c.pending.front()
	if e == nil {
		return f, nil // the server says why it ends the connection
	}
	c.begins, e.begun = !e.begun, true
	c.answered = *e
	done := false
	switch {
	case len(b) == 0:
		done = e.stage == single
	case b[0] == headerError && errno(b) == progressErrno:
		if e.act != shown {
			f.Raw = nothing
		}
		return f, nil
	case b[0] == headerError:
		f.Err, done = strconv.Itoa(errno(b)), true
	case e.stage == opening && b[0] == headerInfile:
		return c.infileRequest(e, raw), nil
	case e.stage == switching && b[0] != headerOK:
		return f, nil
	default:
		done = c.advance(e, b, length)
	}
	f.ID, f.End = e.id, done
	switch {
	case e.act == hidden:
		f = protocols.Frame{Raw: nothing}
	case e.act != shown && !done:
		f.Raw = nothing
	case done && e.act == undone && c.openTransaction():
		f = protocols.Frame{ID: e.id, Raw: nothing, Back: c.rollback(e)}
	case e.act != shown:
		f.Raw, f.Err = errorPacket(e.seq, e.reply), e.reply.Code
	}
	if done {
		c.pending.pop()
	}
	return f, nil
}

// infileRequest belongs to no exchange: the answer to LOAD DATA LOCAL is what
// follows the file.
func (c *codec) infileRequest(e *entry, raw []byte) (f protocols.Frame) {
	if e.act != shown { // nobody is going to send it
		return protocols.Frame{Raw: nothing, Back: packet(raw[3] + 1)}
	}
	c.infile = true
	return f
}

// advance takes e to its next stage, and reports whether this packet of the
// server is the last for it.
func (c *codec) advance(e *entry, b []byte, length int) (done bool) {
	switch e.stage {
	case single:
		if b[0] == headerOK || b[0] == headerEOF {
			c.status = status(b)
		}
		if e.kind == comResetConnection {
			c.stmts.forget()
		}
		return true
	case switching:
		c.status = status(b)
		c.stmts.forget()
		return true
	case preparing:
		return c.prepared(e, b)
	case opening:
		return c.open(e, b)
	case definitions:
		if e.left--; e.left > 0 {
			return false
		}
		e.stage = defined
		return c.has(clientDeprecateEOF) && c.define(e, 0)
	case defined:
		if b[0] == headerEOF {
			return c.define(e, status(b))
		}
		e.stage = rows
	case rows:
		if b[0] == headerEOF && length < c.longestEOF() {
			return c.endResult(e, status(b))
		}
	}
	return false
}

// longestEOF: what begins like an EOF packet and is as long as this is a row.
func (c *codec) longestEOF() int {
	if c.has(clientDeprecateEOF) {
		return maxPayload
	}
	return 9
}

// open reads the first packet of a result: OK, or the number of columns.
func (c *codec) open(e *entry, b []byte) (done bool) {
	if b[0] == headerOK && len(b) >= 7 || b[0] == headerEOF && len(b) < 9 {
		if e.prep != nil && e.prep != unknown {
			e.prep.long = false
		}
		return c.endResult(e, status(b))
	}
	columns, rest := lenenc(b)
	e.left, e.columns, e.stage = int(min(columns, 1<<16)), 0, definitions
	if e.prep != nil && e.prep != unknown {
		e.prep.long = false
	}
	optional := c.has(clientOptionalMetadata) || c.caps.mariadb&mariadbCacheMetadata != 0
	if optional && len(rest) > 0 && rest[0] == 0 || columns == 0 {
		e.stage = defined
		if c.has(clientDeprecateEOF) {
			e.stage = rows
		}
	}
	return false
}

// endResult goes on to the next result, if one follows.
func (c *codec) endResult(e *entry, status uint16) (done bool) {
	c.status = status
	e.stage = opening
	return status&moreResults == 0
}

// prepared reads the OK packet of COM_STMT_PREPARE.
func (c *codec) prepared(e *entry, b []byte) (done bool) {
	if len(b) < 12 {
		return true
	}
	e.columns, e.left = int(binary.LittleEndian.Uint16(b[5:])), int(binary.LittleEndian.Uint16(b[7:]))
	e.prep.params = e.left
	if e.act == shown {
		c.stmts.add(binary.LittleEndian.Uint32(b[1:]), e.prep)
	}
	if c.has(clientOptionalMetadata) && len(b) > 12 && b[12] == 0 {
		return true
	}
	e.stage = definitions
	return e.left == 0 && c.define(e, 0)
}

// define follows the last of some definitions, and the EOF behind them.
func (c *codec) define(e *entry, status uint16) (done bool) {
	switch {
	case e.columns > 0:
		e.left, e.columns, e.stage = e.columns, 0, definitions
		return false
	case e.kind == comStmtPrepare:
		return true
	case status&cursorExists != 0:
		return c.endResult(e, status)
	}
	e.stage = rows
	return false
}
