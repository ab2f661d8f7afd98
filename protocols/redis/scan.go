package redis

import (
	"bytes"
	"errors"
	"fmt"
)

// window is how many bytes of one value may be waited for.
const window = 64 << 10

// maxBulk bounds an announced length, far above what any server takes.
const maxBulk = 1 << 40

// maxDepth bounds how deeply streamed aggregates may nest.
const maxDepth = 128

// scanner finds the end of one RESP value that arrives bit by bit. The zero
// scanner is at the start of a value.
type scanner struct {
	pos  int  // bytes of buf that have been scanned
	skip int  // of these, bytes of a bulk that are yet to come
	line bool // inside a line whose end is yet to come
	open bool // inside a value

	// left counts the values still to come at the innermost level; nested
	// aggregates of known length are merely added to it. streamed (-1) means
	// that the level ends with ".", and outer holds the levels around it.
	left  int
	outer []int
}

const streamed = -1

// scan goes on scanning buf, whose first pos bytes it has seen already, and
// reports whether the value ends at pos. If it does not, all bytes up to pos
// may be passed on: call shift before the next scan.
func (s *scanner) scan(buf []byte) (done bool, err error) {
	if !s.open {
		s.open, s.left, s.outer = true, 1, s.outer[:0]
	}
	for {
		for s.left == 0 {
			if len(s.outer) == 0 {
				s.open = false
				return true, nil
			}
			s.left = s.outer[len(s.outer)-1]
			s.outer = s.outer[:len(s.outer)-1]
		}
		if s.pos >= len(buf) {
			return false, nil
		}
		ok, err := s.step(buf)
		if !ok || err != nil {
			return false, err
		}
	}
}

// step scans one line, and the bulk behind it if it announces one that has
// arrived. It leaves pos in front of what has to be seen whole.
func (s *scanner) step(buf []byte) (ok bool, err error) {
	b := buf[s.pos:]
	eol := lineEnd(b)
	switch {
	case eol < 0:
		return false, nil
	case eol == 1:
		return false, errors.New("read an answer: a line is blank")
	}
	t, next := b[0], s.pos+eol+1
	switch t {
	case '+', '-', ':', '_', '#', ',', '(':
		s.took()
		s.pos = next
		return true, nil
	case '.':
		if s.left != streamed || len(s.outer) == 0 {
			return false, errors.New("read an answer: \".\" outside a streamed value")
		}
		s.left, s.pos = 0, next
		return true, nil
	}
	if eol == 3 && b[1] == '?' {
		return true, s.stream(t, next)
	}
	n, valid := parseInt(b[1 : eol-1])
	if !valid || n < -1 || n > maxBulk {
		return false, fmt.Errorf("read an answer: %q announces no length", b[:min(eol, 32)])
	}
	switch t {
	case '$', '=', '!', ';':
		if t == ';' && n == 0 && s.left == streamed {
			s.left, s.pos = 0, next
			return true, nil
		}
		if n >= 0 {
			next += n + 2
		}
		if next > len(buf) {
			return false, nil
		}
		s.took()
		s.pos = next
	case '*', '~', '>':
		s.took()
		s.enter(n)
		s.pos = next
	case '%':
		s.took()
		s.enter(2 * n)
		s.pos = next
	case '|': // precedes the value it belongs to
		s.enter(2 * n)
		s.pos = next
	default:
		return false, fmt.Errorf("read an answer: %q is no RESP type", t)
	}
	return true, nil
}

func (s *scanner) took() {
	if s.left > 0 {
		s.left--
	}
}

func (s *scanner) enter(n int) {
	switch {
	case n <= 0:
	case s.left == streamed:
		s.outer = append(s.outer, streamed)
		s.left = n
	default:
		s.left += n
	}
}

func (s *scanner) stream(t byte, next int) error {
	if len(s.outer) >= maxDepth {
		return errors.New("read an answer: streamed values nest too deeply")
	}
	if t != '|' {
		s.took()
	}
	s.outer = append(s.outer, s.left)
	s.left, s.pos = streamed, next
	return nil
}

// part is called when the value is not complete and its beginning has to be
// passed on: it takes up as much of buf as it can and returns its length.
func (s *scanner) part(buf []byte) (n int, err error) {
	b := buf[s.pos:]
	switch eol := lineEnd(b); {
	case len(b) == 0:
	case eol > 0: // a bulk that has not arrived whole
		n, _ := parseInt(b[1 : eol-1])
		s.took()
		s.skip = s.pos + eol + 1 + n + 2 - len(buf)
		s.pos = len(buf)
	case len(b) > 32 && (b[0] == '+' || b[0] == '-' || b[0] == ':' || b[0] == ',' || b[0] == '('):
		s.took()
		s.line = true
		s.pos = len(buf)
		if buf[len(buf)-1] == '\r' {
			s.pos--
		}
	case len(b) > 32:
		return 0, fmt.Errorf("read an answer: %q announces no length", b[:32])
	}
	n, s.pos = s.pos, 0
	return n, nil
}

// rest goes on with a value of which a part has been passed on. It returns how
// much of buf belongs to it, 0 for more bytes, and whether it ends there.
func (s *scanner) rest(buf []byte) (n int, done bool, err error) {
	if s.skip > 0 {
		s.pos = min(s.skip, len(buf))
		s.skip -= s.pos
		if s.skip > 0 {
			n, s.pos = s.pos, 0
			return n, false, nil
		}
	}
	if s.line {
		eol := lineEnd(buf)
		if eol < 0 {
			n = len(buf)
			if n > 0 && buf[n-1] == '\r' {
				n--
			}
			return n, false, nil
		}
		s.line, s.pos = false, eol+1
	}
	if done, err = s.scan(buf); err != nil {
		return 0, false, err
	}
	if !done {
		n, err = s.part(buf)
		return n, false, err
	}
	n, s.pos = s.pos, 0
	return n, true, nil
}

// lineEnd returns the index of the \n of the first CRLF in b, or -1.
func lineEnd(b []byte) int {
	for i := 0; ; i++ {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return -1
		}
		if i += j; i > 0 && b[i-1] == '\r' {
			return i
		}
	}
}

// parseInt reads a decimal integer, which has to be all of b.
func parseInt(b []byte) (n int, ok bool) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	if neg {
		n = -n
	}
	return n, true
}
