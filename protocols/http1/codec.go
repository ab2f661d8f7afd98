package http1

import (
	"bytes"
	"errors"
	"fmt"

	"faultbox/protocols"
)

var errHTTP2 = errors.New("the client speaks HTTP/2: declare the interface as http2")

// codec follows one connection.
type codec struct {
	last    uint64  // the newest ID
	pending queue   // requests that are not answered
	in, out message // what is being passed on, by direction
	reader  itemReader

	asked    exchange // the newest request
	answered exchange // the one whose answer came last
	ended    bool     // a fault has told the client that the connection ends
	h2c      bool     // the connection has switched to HTTP/2
}

// exchange is what the codec has to know of a request until it is answered.
type exchange struct {
	id       uint64 // 0: the first of two copies, whose answer nobody is to hear
	method   string
	minor    int  // HTTP/1.minor
	persists bool // the client wants to use the connection again
	waits    bool // the client may wait for 100 before it sends the body
}

// queue holds exchanges, oldest first.
type queue struct {
	list []exchange
	head int
}

func (q *queue) push(e exchange) {
	if q.head > 64 && 2*q.head > len(q.list) {
		q.list = q.list[:copy(q.list, q.list[q.head:])]
		q.head = 0
	}
	q.list = append(q.list, e)
}

func (q *queue) front() (e exchange, found bool) {
	if q.head == len(q.list) {
		return e, false
	}
	return q.list[q.head], true
}

// back returns the newest exchange, nil if there is none.
func (q *queue) back() *exchange {
	if q.head == len(q.list) {
		return nil
	}
	return &q.list[len(q.list)-1]
}

func (q *queue) pop() {
	q.head++
	if q.head == len(q.list) {
		q.list, q.head = q.list[:0], 0
	}
}

func (q *queue) dropBack() { q.list = q.list[:len(q.list)-1] }

// message is one whose body is being passed on.
type message struct {
	open bool // there is more of it
	id   uint64
	body body
	drop bool // its receiver hears another one instead
	last bool // its sender closes the connection behind it
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	m := &c.in
	if d == protocols.ToClient {
		m = &c.out
	}
	switch {
	case len(buf) == 0:
		return protocols.Frame{}, 0, nil
	case c.h2c:
		return protocols.Frame{}, 0, errHTTP2
	case m.open:
		return m.decode(buf)
	case d == protocols.ToServer && c.ended:
		return protocols.Frame{Raw: []byte{}}, len(buf), nil
	case d == protocols.ToServer:
		return c.decodeRequest(buf)
	}
	return c.decodeAnswer(buf)
}

// decode passes on what has come of the body.
func (m *message) decode(buf []byte) (f protocols.Frame, n int, err error) {
	n, err = m.body.take(buf)
	if n == 0 || err != nil {
		return f, 0, err
	}
	m.open = !m.body.done()
	f = protocols.Frame{ID: m.id, End: !m.open && m.id != 0, More: m.open}
	if m.drop {
		f.Raw = []byte{}
	}
	return f, n, nil
}

// begin passes on the head, of length n, and what has come of the body. A body
// that ends with the connection belongs to no exchange: nobody tells the codec
// of its end.
func (m *message) begin(f *protocols.Frame, buf []byte, n int) (length int) {
	if !m.body.done() && n < len(buf) {
		k, _ := m.body.take(buf[n:]) // an error comes again, on the next call
		n += k
	}
	m.id, m.open = f.ID, !m.body.done()
	f.End, f.More = f.ID != 0 && (!m.open || m.body.toEOF), m.open
	if m.body.toEOF {
		m.id = 0
	}
	return n
}

func (c *codec) decodeRequest(buf []byte) (f protocols.Frame, n int, err error) {
	for n < len(buf) && (buf[n] == '\r' || buf[n] == '\n') { // before a request line
		n++
	}
	if n > 0 {
		return f, n, nil
	}
	if err := plausibleRequest(buf); err != nil {
		return f, 0, err
	}
	n = headEnd(buf)
	if n == 0 {
		return f, 0, tooLong(buf)
	}
	var h head
	if err := h.parse(buf[:n]); err != nil {
		return f, 0, err
	}
	r, err := parseRequestLine(h.start)
	if err != nil {
		return f, 0, err
	}
	if err := h.version(r.version); err != nil {
		return f, 0, err
	}
	switch {
	case h.body.encoded && !h.body.chunked:
		return f, 0, errors.New("read a request: its Transfer-Encoding does not end in chunked")
	case h.body.encoded && h.minor == 0:
		return f, 0, errors.New("read a request: Transfer-Encoding in HTTP/1.0")
	}
	c.last++
	f.ID, f.Items = c.last, c.reader.read(buf[:n], r)
	c.asked = exchange{id: c.last, method: f.Items[0].Op, minor: h.minor, persists: h.persists(), waits: h.waits}
	c.pending.push(c.asked)
	c.in = message{body: h.body}
	n = c.in.begin(&f, buf, n)
	return f, n, nil
}

func (c *codec) decodeAnswer(buf []byte) (f protocols.Frame, n int, err error) {
	if prefix := buf[:min(len(buf), 7)]; !bytes.HasPrefix([]byte("HTTP/1."), prefix) {
		return f, 0, errors.New("read an answer: it does not begin with HTTP/1")
	}
	n = headEnd(buf)
	if n == 0 {
		return f, 0, tooLong(buf)
	}
	var h head
	if err := h.parse(buf[:n]); err != nil {
		return f, 0, err
	}
	version, rest, _ := bytes.Cut(h.start, []byte(" "))
	if err := h.version(version); err != nil {
		return f, 0, err
	}
	if len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' || rest[0] < '1' || rest[0] > '9' {
		return f, 0, fmt.Errorf("read an answer: %q is no status", rest[:min(len(rest), 32)])
	}
	return c.answer(&h, rest[:3], buf, n)
}

// answer finds the request that an answer with that head, of length n, is for.
func (c *codec) answer(h *head, status, buf []byte, n int) (f protocols.Frame, length int, err error) {
	e, found := c.pending.front() // not found: such as 408 to an idle connection
	if found && e.id == 0 {
		f.Raw = []byte{}
	}
	if status[0] == '1' && string(status) != "101" {
		return f, n, nil
	}
	if found {
		c.pending.pop()
	}
	c.answered = e
	f.ID = e.id
	if status[0] >= '4' {
		f.Err = string(status)
	}
	c.out = message{body: h.body, drop: f.Raw != nil, last: !h.persists() || !e.persists}
	b := &c.out.body
	switch {
	case string(status) == "101", e.method == "CONNECT" && status[0] == '2':
		c.h2c = h.h2c
		f.End, f.Tunnel = f.ID != 0, !h.h2c
		b.none()
		return f, n, nil
	case e.method == "HEAD", string(status) == "204", string(status) == "304":
		b.none()
	case b.encoded && !b.chunked, !b.encoded && !b.hasLength:
		b.none()
		b.toEOF = true
		c.out.last = true
	}
	n = c.out.begin(&f, buf, n)
	return f, n, nil
}

// tooLong reports that buf, the beginning of a head, can't be waited for.
func tooLong(buf []byte) error {
	if len(buf) >= window {
		return fmt.Errorf("read a head: it is longer than %d bytes", window)
	}
	return nil
}
