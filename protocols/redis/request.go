package redis

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"faultbox/protocols"
)

// request is the command that is arriving.
type request struct {
	open  bool // its "*" line has been seen
	more  bool // a part of it has been passed on
	pos   int  // bytes of buf that have been scanned
	skip  int  // bytes of an argument that are yet to come
	left  int  // arguments that are yet to come
	total int  // arguments in all
	spans []span
	text  []byte // the arguments of an inline command, without their quotes
}

// decodeRequest reads one command: see "Sending commands to a Redis server".
// What the server would refuse as malformed is an error: it answers and closes.
func (c *codec) decodeRequest(buf []byte) (protocols.Frame, int, error) {
	r := &c.request
	if !r.open {
		if buf[0] != '*' {
			return c.decodeInline(buf)
		}
		n, next, err := length(buf, 0)
		if next == 0 || err != nil {
			return protocols.Frame{}, 0, err
		}
		if n <= 0 { // an empty command is not answered
			return protocols.Frame{}, next, nil
		}
		if cap(r.spans) > 1024 {
			r.spans = nil
		}
		r.open, r.pos, r.left, r.total, r.spans = true, next, n, n, r.spans[:0]
	}
	if err := r.scan(buf); err != nil {
		return protocols.Frame{}, 0, err
	}
	done := r.left == 0 && r.skip == 0
	n := r.pos
	if n == 0 || !done && !r.more && len(buf) < window {
		return protocols.Frame{}, 0, nil
	}
	f := protocols.Frame{ID: c.asked.id, End: done, More: !done, Oneway: c.askedOneway}
	if !r.more {
		if !done && n < len(buf) {
			n = r.part(buf)
		}
		c.begin(&f, args{buf, r.spans}, r.total)
	}
	r.pos, r.more, r.open = 0, !done, !done
	return f, n, nil
}

// scan takes up the arguments that buf holds whole; of a command that is being
// passed on in parts it takes up all there is.
func (r *request) scan(buf []byte) error {
	if r.skip > 0 {
		r.pos = min(r.skip, len(buf))
		r.skip -= r.pos
	}
	for r.left > 0 && r.skip == 0 && r.pos < len(buf) {
		if buf[r.pos] != '$' {
			return fmt.Errorf("read a command: argument begins with %q, not with its length", buf[r.pos])
		}
		n, next, err := length(buf, r.pos)
		switch {
		case err != nil:
			return err
		case next == 0:
			return nil
		case n < 0:
			return fmt.Errorf("read a command: argument of length %d", n)
		}
		end := next + n + 2
		if end > len(buf) {
			if r.more {
				r.part(buf)
			}
			return nil
		}
		if !r.more {
			r.spans = append(r.spans, span{next, end - 2})
		}
		r.pos = end
		r.left--
	}
	return nil
}

// part takes up the beginning of an argument that has not arrived whole, and
// returns up to where buf can be passed on.
func (r *request) part(buf []byte) int {
	if n, next, _ := length(buf, r.pos); next > 0 {
		r.skip = next + n + 2 - len(buf)
		r.pos = len(buf)
		r.left--
	}
	return r.pos
}

// length reads the number of a "*" or "$" line at pos, and where the next line
// begins: 0 for more bytes.
func length(buf []byte, pos int) (n, next int, err error) {
	for i := pos + 1; i < len(buf); i++ {
		switch b := buf[i]; {
		case '0' <= b && b <= '9' && i-pos < 14:
			n = 10*n + int(b-'0')
		case b == '-' && i == pos+1 && len(buf) > i+1: // *-1, an empty command
			n, next, err = length(buf, i)
			return -n, next, err
		case b == '-' && i == pos+1:
			return 0, 0, nil
		case b == '\r' && i > pos+1:
			if i+1 == len(buf) {
				return 0, 0, nil
			}
			return n, i + 2, nil
		default:
			return 0, 0, fmt.Errorf("read a command: %q is no length", buf[pos:i+1])
		}
	}
	return 0, 0, nil
}

// decodeInline reads a command written as words on a line.
func (c *codec) decodeInline(buf []byte) (protocols.Frame, int, error) {
	i := bytes.IndexByte(buf, '\n')
	if i < 0 {
		if len(buf) >= window {
			return protocols.Frame{}, 0, errors.New("read an inline command: it is too long")
		}
		return protocols.Frame{}, 0, nil
	}
	a := c.request.split(buf[:i])
	if a.len() == 0 { // a blank line is not answered
		return protocols.Frame{}, i + 1, nil
	}
	f := protocols.Frame{End: true}
	c.begin(&f, a, a.len())
	return f, i + 1, nil
}

// split cuts a line at its blanks, minding quotes and escapes as the server
// does. Of a line with unbalanced quotes, which the server rejects, it returns
// the words before them.
func (r *request) split(line []byte) args {
	r.spans, r.text = r.spans[:0], r.text[:0]
	for i := 0; ; {
		for i < len(line) && blank(line[i]) {
			i++
		}
		if i == len(line) {
			break
		}
		from, quote := len(r.text), byte(0)
		for ; i < len(line) && (quote != 0 || !blank(line[i])); i++ {
			switch b := line[i]; {
			case b == quote:
				quote = 0
			case quote == 0 && (b == '"' || b == '\''):
				quote = b
			case quote == '\'' && b == '\\' && i+1 < len(line) && line[i+1] == '\'':
				i++
				r.text = append(r.text, '\'')
			case quote == '"' && b == '\\' && i+1 < len(line):
				i += unescape(line[i+1:], &r.text)
			default:
				r.text = append(r.text, b)
			}
		}
		if quote != 0 && len(r.spans) > 0 {
			break
		}
		r.spans = append(r.spans, span{from, len(r.text)})
	}
	return args{r.text, r.spans}
}

func blank(b byte) bool {
	return b == ' ' || '\t' <= b && b <= '\r' || b == 0
}

// unescape appends what the escape sequence at the beginning of b (its
// backslash left out) stands for, and returns its length.
func unescape(b []byte, dst *[]byte) int {
	if b[0] == 'x' && len(b) >= 3 {
		hi, ok1 := hex(b[1])
		lo, ok2 := hex(b[2])
		if ok1 && ok2 {
			*dst = append(*dst, hi<<4|lo)
			return 3
		}
	}
	e := b[0]
	if i := bytes.IndexByte([]byte("nrtba"), e); i >= 0 {
		e = "\n\r\t\b\a"[i]
	}
	*dst = append(*dst, e)
	return 1
}

func hex(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		return b | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// begin enters a new command into the session and describes it in f. total is
// how many arguments it has, of which a are those that have been seen.
func (c *codec) begin(f *protocols.Frame, a args, total int) {
	c.last++
	f.ID = c.last
	cmd := &unseen
	if a.len() > 0 {
		cmd = c.lookup(a)
		c.keys = cmd.keys.of(a, total, c.keys[:0])
		it := &c.item[0]
		*it = protocols.Item{Op: cmd.name}
		if len(c.keys) > 0 {
			it.Key = c.keys[0]
		}
		if len(c.keys) > 1 {
			it.Keys = c.keys
		}
		f.Items = c.item[:]
	}
	c.before = c.session
	c.asked = exchange{id: c.last, cmd: cmd, kind: cmd.kind, args: int32(min(total, math.MaxInt32)), slot: -1}
	c.askedSkip = c.session.skip
	c.askedOneway = c.session.off || c.session.skip
	c.session.skip = false
	if cmd.kind != plain || c.session.multi {
		c.enter(&c.asked, a)
	}
	f.Oneway, f.Tunnel = c.askedOneway, c.asked.kind == sync
	if !c.askedOneway {
		c.pending.push(&c.asked)
	}
}

// unseen stands for a command whose name is too long to wait for.
var unseen = command{}

// enter lets e change the session.
func (c *codec) enter(e *exchange, a args) {
	s := &c.session
	switch e.kind {
	case multi:
		if !s.multi && !s.off {
			c.txns = append(c.txns, new(transaction))
		}
		s.multi = true
		return
	case exec, discard:
		e.ends = s.multi
		s.multi = false
		return
	case watch, quit:
		return
	case reset:
		e.ends = s.multi
		*s = session{wanted: 2}
		c.askedOneway = false
		c.switches++
		return
	}
	if e.kind >= subscribe && e.kind <= sunsubscribe && (s.multi || c.askedOneway) {
		c.unheard = true
	}
	if s.multi {
		e.kind, e.slot = plain, 0
		if t := c.newestTxn(); t != nil {
			e.slot = int32(t.queued)
			t.queued++
		}
		return
	}
	switch e.kind {
	case hello:
		e.n = int32(c.version())
		if a.len() > 1 {
			if v, ok := parseInt(a.at(1)); ok && (v == 2 || v == 3) {
				e.n = int32(v)
			}
		}
		s.wanted = int(e.n)
		c.switches++
	case clientReply:
		c.enterReplyMode(a)
	case subscribe, psubscribe, ssubscribe, unsubscribe, punsubscribe, sunsubscribe:
		e.n = e.args - 1
		if e.n == 0 {
			e.n = -1
		}
	}
}

func (c *codec) enterReplyMode(a args) {
	s := &c.session
	switch {
	case a.index("ON", 2) == 2:
		s.off, s.skip, c.askedOneway = false, false, false
	case a.index("OFF", 2) == 2:
		s.off, c.askedOneway = true, true
	case a.index("SKIP", 2) == 2 && !s.off:
		s.skip, c.askedOneway = true, true
	}
}
