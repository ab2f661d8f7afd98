package redis

import (
	"bytes"

	"faultbox/protocols"
)

// answer is the value that is arriving from the server.
type answer struct {
	scanner scanner
	of      exchange        // whose answer it is, or was last
	frame   protocols.Frame // what its parts have in common
	more    bool            // a part of it has been passed on

	exec     bool // an EXEC's answer is being edited
	edits    []edit
	element  int // of it; -1: in front of the array
	elements int
	raw      []byte
}

// take goes on with one value: it returns how much of buf belongs to it and
// whether it ends there; 0 for more bytes.
func (a *answer) take(buf []byte) (n int, done bool, err error) {
	s := &a.scanner
	if a.more {
		return s.rest(buf)
	}
	done, err = s.scan(buf)
	switch {
	case err != nil:
		return 0, false, err
	case done:
		n, s.pos = s.pos, 0
		return n, true, nil
	case len(buf) < window:
		return 0, false, nil
	}
	n, err = s.part(buf)
	return n, false, err
}

// decodeAnswer reads one value and finds whose answer it is.
func (c *codec) decodeAnswer(buf []byte) (protocols.Frame, int, error) {
	a := &c.answer
	if a.exec {
		return c.decodeExec(buf)
	}
	if !a.more && buf[0] == '*' && a.scanner.pos == 0 && c.editsExec(buf) {
		return c.decodeExec(buf)
	}
	n, done, err := a.take(buf)
	if n == 0 || err != nil {
		return protocols.Frame{}, 0, err
	}
	if a.more {
		f := a.frame
		f.End, f.More = done && f.End, !done
		if f.Raw != nil {
			f.Raw = f.Raw[:0]
		}
		a.more = !done
		return f, n, nil
	}
	f := c.attribute(buf[:n])
	a.more = !done
	if !done {
		a.frame = protocols.Frame{ID: f.ID, End: f.End, Oneway: f.Oneway, Raw: f.Raw}
		f.End, f.More = false, true
	}
	return f, n, nil
}

// editsExec begins to edit an answer if it is that of an EXEC whose
// transaction has edits. The answer of one that was aborted has no elements.
func (c *codec) editsExec(buf []byte) bool {
	e := c.pending.front()
	if e == nil || e.kind != exec || !e.ends || len(c.txns) == 0 || len(c.txns[0].edits) == 0 || len(buf) < 2 || buf[1] == '-' {
		return false
	}
	a := &c.answer
	a.exec, a.edits, a.element, a.of = true, c.txns[0].edits, -1, *e
	c.txns = c.txns[1:]
	c.pending.pop()
	return true
}

// attribute says whose answer b is, the whole of a value or its first window.
// Its End is set as if the value were whole.
func (c *codec) attribute(b []byte) protocols.Frame {
	e := c.pending.front()
	switch t := b[0]; {
	case t == '>', t == '*' && c.proto == 2 && (e == nil || c.unheard || e.kind >= subscribe && e.kind <= sunsubscribe || c.subscribed()):
		if p := parsePush(b); p.kind != "" && !p.confirms() {
			return c.push(p)
		} else if p.kind != "" {
			return c.confirm(p, e)
		} else if t == '>' {
			return c.push(p)
		}
	case t == '+' && c.monitoring && monitorLine(b):
		return c.push(push{kind: "monitor"})
	case t == '_', t == '%', t == '~', t == '#', t == ',':
		c.proto = 3 // whatever made it so: HELLO inside MULTI, say
	}
	if e == nil { // such as the refusal of a connection
		return protocols.Frame{Err: errorCode(b)}
	}
	c.answer.of = *e
	c.pending.pop()
	e = &c.answer.of
	f := protocols.Frame{ID: e.id, End: true}
	if b[0] == '-' || b[0] == '!' {
		f.Err = errorCode(b)
	}
	if e.kind != plain {
		c.confirmed(e, b[0])
	}
	if e.id == 0 {
		f.Raw = []byte{}
	} else if e.rewritten {
		f.Raw = c.rewrites[e.id]
		f.Err = errorCode(f.Raw)
		delete(c.rewrites, e.id)
	}
	return f
}

// confirmed lets an answer of type t to e change the session.
func (c *codec) confirmed(e *exchange, t byte) {
	failed := t == '-' || t == '!'
	switch e.kind {
	case hello:
		c.switches--
		if !failed {
			c.proto = int(e.n)
		}
	case reset:
		c.switches--
		if !failed {
			c.proto, c.channels, c.patterns, c.shards, c.monitoring = 2, 0, 0, 0, false
		}
	case monitor:
		c.monitoring = !failed
	}
	if e.ends && len(c.txns) > 0 {
		c.txns[0] = nil
		c.txns = c.txns[1:]
	}
}

// errorCode returns the code of an error, "" for any other value.
func errorCode(b []byte) string {
	if len(b) > 0 && b[0] == '!' { // !<length>\r\n<error>\r\n
		b = b[bytes.IndexByte(b, '\n'):]
	} else if len(b) == 0 || b[0] != '-' {
		return ""
	}
	word := b[1:]
	for i, c := range word {
		if c == ' ' || c == '\r' || c == '\n' {
			word = word[:i]
			break
		}
	}
	if string(word) == "ERR" {
		return "ERR"
	}
	if code := string(word); isCode(code) {
		return code
	}
	return "ERR"
}
