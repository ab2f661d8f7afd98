package mysql

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"faultbox/protocols"
)

// Apply implements protocols.Codec.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if c.packing != nil {
		return c.packing.apply(c, d, f, raw, fates)
	}
	return c.apply(d, f, raw, fates)
}

func (c *codec) apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	refused := fate.Act == protocols.Answer && fate.Reply != nil && fate.Reply.Error
	if d == protocols.ToClient {
		if !refused || c.answered.id != f.ID {
			return raw, nil
		}
		return c.late(f, raw, fate.Reply)
	}
	e := c.pending.newest(f.ID)
	switch {
	case e == nil || f.Tunnel:
	case refused:
		return c.refuse(e, raw, fate.Reply)
	case fate.Act == protocols.Twice:
		return c.twice(e, raw), nil
	}
	return raw, nil
}

// refuse answers the newest command with an error.
func (c *codec) refuse(e *entry, raw []byte, r *protocols.Reply) (forward, back []byte) {
	if e.kind == comStmtExecute && e.prep != unknown {
		if types := e.types; types != nil {
			e.prep.types = types
		} else if _, types := c.boundTypes(raw, e.prep.params); types != nil {
			e.prep.types = bytes.Clone(types)
		}
	}
	if silent(r) {
		c.pending.dropNewest()
		return nil, nothing
	}
	var instead [][]byte
	if e.prep != nil && e.prep.long && e.kind == comStmtExecute {
		e.prep.long = false
		instead = append(instead, packet(0, string([]byte{byte(comStmtReset)}), string(binary.LittleEndian.AppendUint32(nil, stmtID(raw[4:])))))
	}
	if rollsBack(r) || e.stmt.ends() && !r.Close {
		instead = append(instead, c.query("ROLLBACK"))
	}
	large := c.parts[protocols.ToServer].continued // its end, and so the place of the answer, is not known
	if large && instead == nil {
		instead = append(instead, packet(0, string([]byte{byte(comPing)})))
	}
	if instead == nil {
		back = errorPacket(e.seq, r)
		c.pending.dropNewest()
		return nil, back
	}
	*e = entry{id: e.id, kind: e.kind, seq: e.seq, packed: e.packed, stage: single, act: replaced, reply: r}
	for range instead[1:] {
		c.pending.before(entry{stage: single, act: hidden})
	}
	forward = bytes.Join(instead, nil)
	if large {
		c.postponed = forward
		return nothing, nil
	}
	return forward, nil
}

// twice returns what makes the server do the newest command twice, raw if
// that can't be.
func (c *codec) twice(e *entry, raw []byte) []byte {
	if e.kind == comChangeUser || e.stmt.takesData() || e.prep != nil && e.prep.long || c.parts[protocols.ToServer].continued {
		return raw
	}
	first := *e
	first.id, first.act = 0, hidden
	c.pending.before(first)
	return bytes.Join([][]byte{raw, raw}, nil)
}

// late replaces the answer that begins with f.
func (c *codec) late(f protocols.Frame, raw []byte, r *protocols.Reply) (forward, back []byte) {
	e := &c.answered
	switch {
	case silent(r):
		return nothing, nil
	case !rollsBack(r) || e.stmt.ends():
		return errorPacket(raw[3], r), nil
	}
	e.seq, e.reply = raw[3], r
	if f.End {
		if !c.openTransaction() {
			return errorPacket(e.seq, r), nil
		}
		e.id = 0 // the relay has seen its end
		return nothing, c.rollback(e)
	}
	if front := c.pending.front(); front != nil && front.id == f.ID {
		front.seq, front.reply, front.act = e.seq, r, undone
		return nothing, nil
	}
	return errorPacket(raw[3], r), nil
}

// openTransaction reports whether the server is in a transaction, with nothing
// else to do than what it has just answered.
func (c *codec) openTransaction() bool {
	waiting := c.pending.len()
	if e := c.pending.front(); e != nil && e.act == undone {
		waiting--
	}
	return c.status&inTransaction != 0 && waiting == 0
}

// rollback returns the command that rolls back, whose answer becomes e's error.
func (c *codec) rollback(e *entry) []byte {
	c.pending.push(entry{id: e.id, seq: e.seq, packed: e.packed, stage: single, act: replaced, reply: e.reply})
	return c.query("ROLLBACK")
}

// query makes a COM_QUERY.
func (c *codec) query(text string) []byte {
	if c.has(clientQueryAttributes) {
		return packet(0, "\x03\x00\x01", text)
	}
	return packet(0, "\x03", text)
}

// rollsBack reports whether the server rolls the transaction back with this error.
func rollsBack(r *protocols.Reply) bool {
	switch n, _ := strconv.Atoi(r.Code); n {
	case 1180, 1206, 1213, 1402, 1613, 1614, 3101:
		return !r.Close
	}
	return false
}

// silent reports whether the client makes up the error when the connection ends.
func silent(r *protocols.Reply) bool { return r.Code == "2006" || r.Code == "2013" }
