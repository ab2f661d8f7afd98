package postgres

import (
	"slices"

	"faultbox/protocols"
)

// Apply implements protocols.Codec.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	if d == protocols.ToClient {
		return c.late(f, raw, fate)
	}
	e := c.pending.find(f.ID)
	if e == nil {
		return raw, nil // the server skips it
	}
	switch {
	case fate.Act == protocols.Answer && fate.Reply != nil && fate.Reply.Error:
		return c.refuse(e, raw, fate.Reply), nil
	case fate.Act == protocols.Twice:
		return c.twice(e, raw), nil
	}
	return raw, nil
}

// late replaces an answer by an error.
func (c *codec) late(f protocols.Frame, raw []byte, fate protocols.Fate) (forward, back []byte) {
	if fate.Act != protocols.Answer || fate.Reply == nil || !fate.Reply.Error || f.Err == failedTransaction || raw[0] == 'Z' {
		return raw, nil
	}
	c.mute, c.closing = true, fate.Reply.Close
	c.rest[protocols.ToClient].hide = true
	c.discard = c.answering.kind == 'E' && !c.syncComes()
	return errorMessage(fate.Reply), nil
}

// refuse returns what makes the server fail in place of e.
func (c *codec) refuse(e *entry, raw []byte, r *protocols.Reply) []byte {
	if c.status == 'E' && c.firstInLine(e) && !e.stmt.ends() && !e.stmt.returns() {
		return raw // the server refuses it itself
	}
	e.act, e.reply = replaced, r
	ends := e.stmt.ends()
	switch {
	case e.kind != 'E' && ends:
		return query(rollback + "; " + refused)
	case e.kind != 'E':
		return query(refused)
	case ends:
		c.pending.insert(e.id, entry{kind: 'P', act: silent}, entry{kind: 'B', act: silent}, entry{kind: 'E', act: silent, stmt: unknown}, entry{kind: 'C', act: silent})
		return append(rollbackExtended(), execute(noSuchPortal)...)
	}
	return execute(noSuchPortal)
}

// syncComes reports whether the client has sent a Sync that is not answered yet.
func (c *codec) syncComes() bool {
	for _, e := range c.pending.entries() {
		if e.kind == 'S' && !e.late {
			return true
		}
	}
	return false
}

// firstInLine reports whether the server has nothing else to finish before e.
func (c *codec) firstInLine(e *entry) bool {
	list := c.pending.entries()
	for i := range list {
		if list[i].id == e.id {
			return true
		}
		if list[i].readies() {
			return false
		}
	}
	return false
}

// twice returns what makes the server do e twice, raw if that can't be.
func (c *codec) twice(e *entry, raw []byte) []byte {
	if e.stmt.takesData() {
		return raw
	}
	first := *e
	if e.kind != 'E' {
		first.act = hidden
		c.pending.insert(e.id, first)
		return slices.Concat(raw, raw)
	}
	if len(e.portal.bind) == 0 {
		return raw
	}
	first.act = silent
	again := e.portal.bind
	add := []entry{first, {kind: 'B', act: silent}}
	if e.portal.name != "" {
		again = slices.Concat(closePortal(e.portal.name), again)
		add = []entry{first, {kind: 'C', act: silent}, {kind: 'B', act: silent}}
	}
	c.pending.insert(e.id, add...)
	return slices.Concat(raw, again, raw)
}
