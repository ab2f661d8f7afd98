package http2

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// open handles what comes before the first frame, and checks that one. It
// returns false to go on with a frame.
func (c *codec) open(d protocols.Dir, buf []byte) (done bool, f protocols.Frame, n int, err error) {
	x := &c.sides[d]
	switch {
	case len(buf) == 0:
		return true, f, 0, nil
	case x.phase == closed:
		f.Raw = []byte{}
		return true, f, len(buf), nil
	case x.phase == upgrade && d == protocols.ToServer && x.left > 0:
		n = min(x.left, len(buf))
		x.left -= n
		f.ID, f.More = 1, x.left > 0
		f.End = !f.More
		return true, f, n, nil
	case x.phase == upgrade && d == protocols.ToClient:
		f, n, err = c.switched(buf)
		return true, f, n, err
	case x.phase != settings && d == protocols.ToServer:
		f, n, err = c.first(buf)
		return true, f, n, err
	case len(buf) < headerLen && bytes.HasPrefix([]byte("HTTP/1.1"), buf):
		return true, f, 0, nil
	case bytes.HasPrefix(buf, []byte("HTTP/1.")):
		return true, f, 0, errors.New("the server speaks HTTP/1.1: declare the interface as http")
	case len(buf) < headerLen:
		return true, f, 0, nil
	}
	if h := parseHeader(buf); h.kind != frameSettings || h.num != 0 || h.length%6 != 0 || h.has(flagAck) {
		return true, f, 0, errors.New("read the first frame: it is not SETTINGS, so this is not HTTP/2")
	}
	x.phase = frames
	return false, f, 0, nil
}

// first handles the beginning of what the client sends.
func (c *codec) first(buf []byte) (f protocols.Frame, n int, err error) {
	x := &c.sides[protocols.ToServer]
	if k := min(len(buf), len(preface)); string(buf[:k]) == preface[:k] {
		if k == len(preface) {
			x.phase = settings
			return f, k, nil
		}
		return f, 0, nil
	}
	if buf[0] == 0x16 {
		return f, 0, errors.New("the client speaks TLS: declare the interface with tls=True")
	}
	for i, b := range buf[:min(len(buf), 20)] {
		if b == ' ' && i > 0 {
			break
		}
		if !protocols.HTTPTokenChar(rune(b)) {
			return f, 0, errors.New("the client speaks neither HTTP/2 nor HTTP/1.1")
		}
	}
	n = bytes.Index(buf, []byte("\r\n\r\n")) + 4
	if n < 4 {
		if len(buf) >= protocols.DefaultWindow {
			return f, 0, errors.New("the client speaks neither HTTP/2 nor HTTP/1.1")
		}
		return f, 0, nil
	}
	if x.phase == upgrade {
		return f, 0, errors.New("the client goes on in HTTP/1.1: declare the interface as http")
	}
	fields, length, err := readUpgrade(string(buf[:n]))
	if err != nil {
		return f, 0, err
	}
	s, err := c.begin(1)
	if err != nil {
		return f, 0, err
	}
	s.http1 = true
	f.ID, f.Items = s.id, c.reader.read(fields)
	s.head, s.kind = f.Items[0].Op == "HEAD", get(fields, "content-type")
	c.dialect.name(&f.Items[0])
	s.over[protocols.ToServer] = true
	x.current, x.left, x.phase = s, length, upgrade
	f.End, f.More = length == 0, length > 0
	c.sides[protocols.ToClient].phase = upgrade
	return f, n, nil
}

// readUpgrade reads the head of a request that asks for h2c, as HTTP/2 would
// write it, and the length of its body.
func readUpgrade(head string) (fields []Field, length int, err error) {
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	target, version, _ := strings.Cut(rest, " ")
	if version != "HTTP/1.1" && version != "HTTP/1.0" {
		return nil, 0, errors.New("the client speaks neither HTTP/2 nor HTTP/1.1")
	}
	fields = []Field{{Name: ":method", Value: method}, {Name: ":path", Value: target}}
	upgrades := false
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch name {
		case "upgrade":
			upgrades = slices.ContainsFunc(strings.Split(value, ","), func(s string) bool { return strings.TrimSpace(s) == "h2c" })
		case "connection", "http2-settings", "keep-alive":
		case "host":
			fields = append(fields, Field{Name: ":authority", Value: value})
		case "transfer-encoding":
			return nil, 0, errors.New("follow an upgrade to HTTP/2: the request that asks for it has a chunked body")
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil || length < 0 {
				return nil, 0, fmt.Errorf("follow an upgrade to HTTP/2: %q is no length of a body", value)
			}
			fields = append(fields, Field{Name: name, Value: value})
		default:
			fields = append(fields, Field{Name: name, Value: value})
		}
	}
	if !upgrades {
		return nil, 0, errors.New("the client speaks HTTP/1.1: declare the interface as http")
	}
	return fields, length, nil
}

// switched handles the server's answer to a request to upgrade.
func (c *codec) switched(buf []byte) (f protocols.Frame, n int, err error) {
	n = bytes.Index(buf, []byte("\r\n\r\n")) + 4
	if n < 4 {
		if len(buf) >= protocols.DefaultWindow {
			return f, 0, errors.New("read the answer to an upgrade: its head is too long")
		}
		return f, 0, nil
	}
	switch {
	case bytes.HasPrefix(buf, []byte("HTTP/1.1 101")):
		c.sides[protocols.ToClient].phase = settings
		if s := c.streams[1]; s != nil {
			s.http1 = false
		}
	case !bytes.HasPrefix(buf, []byte("HTTP/1.1 1")):
		return f, 0, errors.New("the server does not upgrade to HTTP/2 and answers in HTTP/1.1: declare the interface as http")
	}
	return f, n, nil
}

// answerUpgrade answers a request to upgrade in HTTP/1.1. The connection ends
// behind it; if the reply is a reset of the stream, that is all.
func (c *codec) answerUpgrade(fate *protocols.Fate) []byte {
	r := *fate.Reply
	r.Close = true
	fate.Reply = &r
	c.sides[protocols.ToServer].phase = closed
	if _, ok := ErrorCode(r.Code); ok {
		return []byte{}
	}
	s := c.sides[protocols.ToServer].current
	fields, body := c.dialect.Answer(&r, s.kind, false)
	status, _ := strconv.Atoi(fields[0].Value)
	b := fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n", status, protocols.HTTPReason(status))
	for _, f := range fields[1:] {
		b = fmt.Appendf(b, "%s: %s\r\n", f.Name, f.Value)
	}
	b = append(b, "Connection: close\r\n\r\n"...)
	if s.head {
		return b
	}
	return append(b, body...)
}
