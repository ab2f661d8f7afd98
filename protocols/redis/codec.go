package redis

import "faultbox/protocols"

// codec follows one connection.
type codec struct {
	last    uint64 // the newest ID
	pending queue
	request request
	answer  answer

	// The session as the client has asked for it, with the newest command and
	// without it.
	session, before session
	txns            []*transaction // those whose EXEC, DISCARD or RESET is not answered; oldest first
	switches        int            // HELLO and RESET that are not answered

	asked       exchange // the newest command
	askedOneway bool     // it is not answered
	askedSkip   bool     // … because of CLIENT REPLY SKIP

	// The session as the server has confirmed it.
	proto      int // RESP version
	channels   int // subscriptions
	patterns   int
	shards     int
	monitoring bool
	unheard    bool              // confirmations may come that no exchange waits for
	rewrites   map[uint64][]byte // answers to be replaced, by ID

	strange map[string]*command // commands that are not in the table, by name
	known   [8]spelling         // commands that came lately
	item    [1]protocols.Item
	keys    []string
}

// session is what later commands depend on.
type session struct {
	multi  bool
	off    bool // CLIENT REPLY OFF
	skip   bool // CLIENT REPLY SKIP: no answer to the next command
	wanted int  // RESP version once all outstanding HELLOs are answered
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if len(buf) == 0 {
		return protocols.Frame{}, 0, nil
	}
	if d == protocols.ToServer {
		return c.decodeRequest(buf)
	}
	return c.decodeAnswer(buf)
}

// Apply implements protocols.Codec. A command has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	switch {
	case d == protocols.ToServer && fate.Act == protocols.Answer && fate.Reply != nil:
		return c.replyTo(f, raw, fate.Reply)
	case d == protocols.ToServer && fate.Act == protocols.Twice:
		return c.twice(f, raw)
	case d == protocols.ToServer:
		return raw, nil
	case len(f.Items) > 0:
		return applyPush(f, raw, fate, c.proto), nil
	case fate.Act == protocols.Answer && fate.Reply != nil:
		return c.replace(f, raw, fate.Reply), nil
	case fate.Act == protocols.Lose:
		return nil, nil
	}
	return raw, nil
}

// replyTo answers the newest command in the server's place.
func (c *codec) replyTo(f protocols.Frame, raw []byte, r *protocols.Reply) (forward, back []byte) {
	e := &c.asked
	if e.id != f.ID {
		return raw, nil
	}
	switch {
	case e.slot >= 0:
		return c.replyQueued(e, r), nil
	case c.askedOneway && c.askedSkip && e.kind != clientReply:
		return rejected, nil // takes up the SKIP
	case c.askedOneway && e.kind != clientReply:
		return nil, nil
	case e.kind == exec && e.ends:
		c.rewrite(e, appendReply(nil, r, e, c.version()))
		return discarded, nil
	}
	c.undo()
	return nil, appendReply(nil, r, e, c.version())
}

// undo takes back the newest command: the server never hears it.
func (c *codec) undo() {
	if e := c.pending.back(); e != nil && e.id == c.asked.id {
		c.pending.dropBack()
	}
	switch e := &c.asked; {
	case e.kind == hello || e.kind == reset:
		c.switches--
	case e.kind == multi && c.session.multi && !c.before.multi && !c.session.off:
		c.txns = c.txns[:len(c.txns)-1]
	}
	c.session = c.before
}

// twice has the newest command done two times. The client hears the first
// answer; the second one is swallowed.
func (c *codec) twice(f protocols.Frame, raw []byte) (forward, back []byte) {
	e := c.asked
	switch {
	case e.id != f.ID, e.kind == monitor, e.kind == sync, e.kind == quit, e.kind == clientReply:
		return raw, nil
	case e.slot >= 0:
		c.repeatQueued(&e)
	}
	if !c.askedOneway || c.askedSkip {
		e.id, e.ends = 0, false
		c.pending.push(&e)
		if e.kind == hello || e.kind == reset {
			c.switches++
		}
	}
	return append(append(make([]byte, 0, 2*len(raw)), raw...), raw...), nil
}

// replace makes what the client hears instead of the server's answer f.
func (c *codec) replace(f protocols.Frame, raw []byte, r *protocols.Reply) []byte {
	e := &c.answer.of
	if e.id != f.ID {
		return raw
	}
	if e.slot >= 0 && len(c.txns) > 0 {
		// The answer itself comes with EXEC; this one says that it will.
		c.txns[0].edit(e.slot, appendReply(nil, r, e, c.proto))
		return append([]byte(nil), raw...)
	}
	c.answer.edits = nil
	return appendReply(nil, r, e, c.proto)
}

// rewrite has the client hear b instead of the server's answer to e.
func (c *codec) rewrite(e *exchange, b []byte) {
	if p := c.pending.back(); p != nil && p.id == e.id {
		p.rewritten = true
		if c.rewrites == nil {
			c.rewrites = make(map[uint64][]byte)
		}
		c.rewrites[e.id] = b
	}
}

// version returns the RESP version in which the newest command is answered.
func (c *codec) version() int {
	if c.switches > 0 {
		return c.session.wanted
	}
	return c.proto
}
