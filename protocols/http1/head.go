package http1

import (
	"bytes"
	"fmt"
)

// window is how long a head, a line of a chunk, or the trailers may be.
const window = 64 << 10

// head is what the codec needs to know of the head of a message.
type head struct {
	start []byte // request line or status line, without its end
	minor int    // HTTP/1.minor
	body  body   // as the head's own fields announce it
	close bool   // Connection: close
	keep  bool   // Connection: keep-alive
	waits bool   // Expect: 100-continue
	h2c   bool   // Upgrade: h2c
}

// headEnd returns the length of the head at the front of b with the blank line
// that ends it, 0 if it has not arrived whole. Lines may end in LF alone.
func headEnd(b []byte) int {
	for i := 0; ; {
		j := bytes.IndexByte(b[i:], '\n')
		if j < 0 {
			return 0
		}
		if j == 0 || j == 1 && b[i] == '\r' {
			if i > 0 {
				return i + j + 1
			}
		}
		i += j + 1
	}
}

// nextLine cuts the first line off b, which holds whole lines.
func nextLine(b []byte) (line, rest []byte) {
	i := bytes.IndexByte(b, '\n')
	return bytes.TrimSuffix(b[:i], []byte("\r")), b[i+1:]
}

// parse reads the head b.
func (h *head) parse(b []byte) error {
	*h = head{}
	h.start, b = nextLine(b)
	var name, value []byte
	for {
		line, rest := nextLine(b)
		if len(line) == 0 {
			return h.body.check()
		}
		b = rest
		if line[0] == ' ' || line[0] == '\t' { // folded: goes on with the field before
			if framing(name) {
				return fmt.Errorf("read a head: the field %s goes on over several lines", name)
			}
			continue
		}
		name, value = cutField(line)
		if trimmed := bytes.TrimRight(name, " \t"); len(trimmed) < len(name) && framing(trimmed) {
			return fmt.Errorf("read a head: blank behind the name of the field %s", trimmed)
		}
		if err := h.field(name, value); err != nil {
			return err
		}
	}
}

// cutField returns name and value of a header line; both are nil if it is none.
func cutField(line []byte) (name, value []byte) {
	i := bytes.IndexByte(line, ':')
	if i < 0 {
		return nil, nil
	}
	return line[:i], bytes.Trim(line[i+1:], " \t")
}

func framing(name []byte) bool { return is(name, "content-length") || is(name, "transfer-encoding") }

// is reports whether name is lower, in any case.
func is(name []byte, lower string) bool {
	return len(name) == len(lower) && name[0]|0x20 == lower[0] && bytes.EqualFold(name, []byte(lower))
}

func (h *head) field(name, value []byte) error {
	switch {
	case is(name, "content-length"):
		return h.body.announceLength(value)
	case is(name, "transfer-encoding"):
		return h.body.announceEncoding(value)
	case is(name, "connection"):
		for tok := range bytes.SplitSeq(value, []byte(",")) {
			tok = bytes.Trim(tok, " \t")
			h.close = h.close || is(tok, "close")
			h.keep = h.keep || is(tok, "keep-alive")
		}
	case is(name, "upgrade"):
		h.h2c = is(value, "h2c")
	case is(name, "expect"):
		h.waits = is(value, "100-continue")
	}
	return nil
}

// version reads "HTTP/1.x".
func (h *head) version(b []byte) error {
	switch {
	case len(b) == 8 && string(b[:7]) == "HTTP/1." && b[7] >= '0' && b[7] <= '9':
		h.minor = int(b[7] - '0')
		return nil
	case string(b) == "HTTP/2.0":
		return errHTTP2
	}
	return fmt.Errorf("read a head: %q is no version of HTTP/1", b[:min(len(b), 32)])
}

// persists reports whether the sender lets the connection go on (RFC 9112,
// section 9.3).
func (h *head) persists() bool {
	return !h.close && (h.minor >= 1 || h.keep)
}
