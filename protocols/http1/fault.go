package http1

import (
	"bytes"

	"faultbox/protocols"
)

// Apply implements protocols.Codec. A request has one item, and so one fate.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if len(fates) == 0 {
		return raw, nil
	}
	fate := fates[0]
	switch {
	case d == protocols.ToServer && c.asked.id != f.ID, d == protocols.ToClient && c.answered.id != f.ID:
	case fate.Act == protocols.Answer && fate.Reply == nil:
	case d == protocols.ToServer && fate.Act == protocols.Answer:
		return nil, c.answerHere(&fates[0])
	case d == protocols.ToServer && fate.Act == protocols.Twice:
		return c.twice(raw), nil
	case d == protocols.ToClient && fate.Act == protocols.Answer:
		return c.replace(&f, &fates[0]), nil
	}
	return raw, nil
}

// Gather implements protocols.Gatherer: a client that waits for 100 is told to
// go on. The server's own, for the second copy, comes later and means nothing.
func (c *codec) Gather(f protocols.Frame) []byte {
	if f.ID == c.asked.id && c.asked.waits && c.asked.minor > 0 {
		return []byte("HTTP/1.1 100 Continue\r\n\r\n")
	}
	return nil
}

// answerHere answers the newest request, which the server never sees. A client
// that waits for 100 may now send its body or not; so that nobody has to guess,
// the connection ends.
func (c *codec) answerHere(fate *protocols.Fate) []byte {
	if p := c.pending.back(); p != nil && p.id == c.asked.id {
		c.pending.dropBack()
	}
	e := &c.asked
	if !e.persists || e.waits && c.in.open {
		closeBehind(fate)
	}
	c.ended = fate.Reply.Close
	return appendAnswer(nil, fate.Reply, e)
}

// replace makes what the client hears instead of the answer that begins with f.
func (c *codec) replace(f *protocols.Frame, fate *protocols.Fate) []byte {
	if c.out.last || f.Tunnel || c.h2c {
		closeBehind(fate)
	}
	if c.out.open && c.out.body.toEOF {
		c.out.drop = true
	}
	return appendAnswer(nil, fate.Reply, &c.answered)
}

// closeBehind has the connection closed behind the reply.
func closeBehind(fate *protocols.Fate) {
	r := *fate.Reply
	r.Close = true
	fate.Reply = &r
}

// twice sends the newest request two times. The client hears the second answer:
// when it comes, both requests have been served. The first copy has to leave
// the connection open for the second one.
func (c *codec) twice(raw []byte) []byte {
	e := &c.asked
	p := c.pending.back()
	if p == nil || p.id != e.id || e.method == "CONNECT" || upgrades(raw) {
		return raw
	}
	p.id, p.persists = 0, true
	c.pending.push(*e)
	first := raw
	if !e.persists {
		first = keepOpen(raw, e.minor)
	}
	return append(append(make([]byte, 0, len(first)+len(raw)), first...), raw...)
}

// upgrades reports whether a request asks for another protocol.
func upgrades(raw []byte) bool {
	for rest := raw; ; {
		var line []byte
		if line, rest = nextLine(rest); len(line) == 0 {
			return false
		}
		if name, _ := cutField(line); len(name) > 0 && is(name, "upgrade") {
			return true
		}
	}
}

// keepOpen returns request raw without its Connection header and with one that
// keeps a connection of HTTP/1.0 open.
func keepOpen(raw []byte, minor int) []byte {
	end := headEnd(raw)
	out := make([]byte, 0, len(raw)+32)
	start, rest := nextLine(raw[:end])
	out = append(append(out, start...), "\r\n"...)
	for {
		var line []byte
		if line, rest = nextLine(rest); len(line) == 0 {
			break
		}
		if name, _ := cutField(line); len(name) > 0 && is(name, "connection") {
			continue
		}
		out = append(append(out, line...), "\r\n"...)
	}
	if minor == 0 {
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	out = append(out, "\r\n"...)
	return append(out, bytes.Clone(raw[end:])...)
}
