package http1

import (
	"bytes"
	"errors"
	"fmt"
)

// body follows the body of one message (RFC 9112, sections 6 and 7).
type body struct {
	hasLength bool
	encoded   bool // Transfer-Encoding is there
	chunked   bool // … and ends in chunked
	toEOF     bool // ends with the connection
	left      int64
	state     chunk
}

// chunk is where a chunked body is.
type chunk uint8

const (
	size chunk = iota
	data
	dataEnd // the CRLF behind a chunk's data
	trailers
)

func (b *body) announceLength(value []byte) error {
	for v := range bytes.SplitSeq(value, []byte(",")) {
		v = bytes.Trim(v, " \t")
		var n int64
		for _, c := range v {
			if c < '0' || c > '9' {
				return fmt.Errorf("read a head: Content-Length %q is no number", value)
			}
			n = 10*n + int64(c-'0')
		}
		if len(v) == 0 || len(v) > 18 {
			return fmt.Errorf("read a head: Content-Length %q is no number", value)
		}
		if b.hasLength && n != b.left {
			return fmt.Errorf("read a head: Content-Length is both %d and %d", b.left, n)
		}
		b.hasLength, b.left = true, n
	}
	return nil
}

func (b *body) announceEncoding(value []byte) error {
	b.encoded = true
	for v := range bytes.SplitSeq(value, []byte(",")) {
		v = bytes.Trim(v, " \t")
		if len(v) == 0 {
			continue
		}
		if b.chunked {
			return fmt.Errorf("read a head: Transfer-Encoding goes on behind chunked (%q)", value)
		}
		b.chunked = is(v, "chunked")
	}
	return nil
}

// check reports framing that is ambiguous.
func (b *body) check() error {
	if b.hasLength && b.encoded {
		return errors.New("read a head: it has both Content-Length and Transfer-Encoding")
	}
	return nil
}

// none makes the body empty, whatever its head announced.
func (b *body) none() { *b = body{} }

// done reports whether the body has been passed on.
func (b *body) done() bool { return !b.toEOF && !b.chunked && b.left == 0 }

// take returns how much of buf belongs to the body; 0 for more bytes.
func (b *body) take(buf []byte) (n int, err error) {
	if b.toEOF {
		return len(buf), nil
	}
	for n < len(buf) && !b.done() {
		m, err := b.step(buf[n:])
		if err != nil && n == 0 {
			return 0, err
		}
		if m == 0 || err != nil {
			break
		}
		n += m
	}
	return n, nil
}

// step takes one line or run of data; 0 for more bytes.
func (b *body) step(buf []byte) (n int, err error) {
	if !b.chunked || b.state == data {
		n = int(min(b.left, int64(len(buf))))
		b.left -= int64(n)
		if b.left == 0 && b.chunked {
			b.state = dataEnd
		}
		return n, nil
	}
	if b.state == dataEnd && buf[0] != '\n' && !bytes.HasPrefix([]byte("\r\n"), buf[:min(2, len(buf))]) {
		return 0, errors.New("read a chunked body: a chunk goes on beyond its size")
	}
	eol := bytes.IndexByte(buf, '\n')
	if eol < 0 {
		if len(buf) >= window {
			return 0, errors.New("read a chunked body: a line of it is too long")
		}
		return 0, nil
	}
	line := bytes.TrimSuffix(buf[:eol], []byte("\r"))
	switch b.state {
	case dataEnd:
		b.state = size
	case size:
		if b.left, err = chunkSize(line); err != nil {
			return 0, err
		}
		b.state = data
		if b.left == 0 {
			b.state = trailers
		}
	case trailers:
		if len(line) == 0 {
			b.none()
		}
	}
	return eol + 1, nil
}

// chunkSize reads "hex [; extensions]".
func chunkSize(line []byte) (n int64, err error) {
	digits, _, _ := bytes.Cut(line, []byte(";"))
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 {
		return 0, fmt.Errorf("read a chunked body: %q is no size of a chunk", line[:min(len(line), 32)])
	}
	for _, c := range digits {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("read a chunked body: %q is no size of a chunk", line[:min(len(line), 32)])
		}
	}
	return n, nil
}
