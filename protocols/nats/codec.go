package nats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"faultbox/protocols"
)

const (
	maxLine     = 1 << 20                 // bytes of a control line; INFO names every server of a cluster
	piece       = protocols.DefaultWindow // a message of more bytes is passed on in pieces
	maxRequests = 4096                    // that are watched for an answer at once
	maxNames    = 1024                    // subjects that are remembered
)

// codec follows one connection.
type codec struct {
	last uint64  // the newest ID
	side [2]side // by direction
	subs subscriptions

	verbose, headers, noResponders bool // as the client has asked for
	spoke                          bool // the client has said something

	requests map[string]request // by reply subject
	acks     []ack              // +OK to come in verbose mode, oldest first
	acked    ack                // the newest one that came
	names    map[string]string  // subjects, so that each is allocated once
}

// side is one direction.
type side struct {
	frame protocols.Frame // what the pieces of a message have in common
	rest  int             // bytes of it that are to come
	item  [1]protocols.Item
	attrs [1]protocols.Attr
}

// request awaits an answer.
type request struct {
	id      uint64
	twice   bool // it was sent two times
	swallow bool // the first answer has come, the second one is for nobody
}

// ack is an +OK that is to come.
type ack struct {
	id      uint64 // of the exchange that it answers; 0: none
	subject string
	drop    bool   // for nobody
	raw     []byte // what the client hears instead
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	s := &c.side[d]
	if s.rest > 0 {
		return s.next(buf)
	}
	end := bytes.IndexByte(buf, '\n')
	switch {
	case d == protocols.ToServer && !c.spoke && len(buf) > 0 && buf[0] == 22:
		return protocols.Frame{}, 0, errors.New("the client speaks TLS although the server does not require it")
	case end < 0 && len(buf) >= maxLine:
		return protocols.Frame{}, 0, fmt.Errorf("a control line of more than %d bytes", maxLine)
	case end < 0:
		return protocols.Frame{}, 0, nil
	}
	var l line
	if err := l.parse(bytes.TrimSuffix(buf[:end], []byte("\r")), spoken[d]); err != nil {
		return protocols.Frame{}, 0, err
	}
	n := end + 1
	switch l.op {
	case pub, hpub, msg, hmsg:
		total := n + l.size + 2
		if total > len(buf) && len(buf) < piece {
			return protocols.Frame{}, 0, nil
		}
		c.spoke = c.spoke || d == protocols.ToServer
		f := c.message(d, &l, buf[n:])
		n = min(total, len(buf))
		if s.rest = total - n; s.rest > 0 {
			s.frame = protocols.Frame{ID: f.ID, End: f.End, Oneway: f.Oneway, Raw: f.Raw}
			f.End, f.More = false, true
		}
		return f, n, nil
	}
	c.spoke = c.spoke || d == protocols.ToServer
	return c.control(&l), n, nil
}

// next passes on a further piece of a message.
func (s *side) next(buf []byte) (protocols.Frame, int, error) {
	n := min(len(buf), s.rest)
	if n == 0 {
		return protocols.Frame{}, 0, nil
	}
	f := s.frame
	if s.rest -= n; s.rest > 0 {
		f.End, f.More = false, true
	}
	return f, n, nil
}

// control takes up a line without payload.
func (c *codec) control(l *line) protocols.Frame {
	switch l.op {
	case info:
		var v struct {
			TLS bool `json:"tls_required"`
		}
		json.Unmarshal(l.text, &v)
		return protocols.Frame{StartTLS: v.TLS && !c.spoke}
	case connect:
		v := struct {
			Verbose      bool `json:"verbose"`
			Headers      bool `json:"headers"`
			NoResponders bool `json:"no_responders"`
		}{c.verbose, c.headers, c.noResponders}
		if json.Unmarshal(l.text, &v) == nil {
			c.verbose, c.headers, c.noResponders = v.Verbose, v.Headers, v.NoResponders
		}
		c.expectOK(ack{})
	case sub:
		s := &subscription{subject: string(l.words[0]), sid: string(l.words[l.n-1])}
		if l.n == 3 {
			s.queue = string(l.words[1])
		}
		c.subs.add(s)
		c.expectOK(ack{})
	case unsub:
		c.subs.end(l.words[0], max(0, number(l.words[1])))
		c.expectOK(ack{})
	case ok:
		return c.takeOK("")
	case fail:
		text := strings.Trim(string(l.text), " \t'")
		if low := strings.ToLower(text); !strings.HasPrefix(low, "permissions violation") && low != "invalid subject" && low != "maximum subscriptions exceeded" {
			return protocols.Frame{Err: text} // besides +OK, or the last word
		}
		return c.takeOK(text)
	}
	return protocols.Frame{}
}

// expectOK notes that the newest command is answered in verbose mode.
func (c *codec) expectOK(a ack) {
	if c.verbose {
		c.acks = append(c.acks, a)
	}
}

// takeOK is the frame of +OK, or of the error that is said in its place.
func (c *codec) takeOK(err string) protocols.Frame {
	f := protocols.Frame{Err: err}
	if len(c.acks) == 0 {
		return f
	}
	c.acked = c.acks[0]
	c.acks[0] = ack{}
	c.acks = c.acks[1:]
	f.ID, f.End, f.Raw = c.acked.id, c.acked.id != 0, c.acked.raw
	if c.acked.drop {
		f.Raw = []byte{}
	}
	return f
}

// message is the frame of a message as if it were whole. data is what has come
// of its headers and payload.
func (c *codec) message(d protocols.Dir, l *line, data []byte) protocols.Frame {
	if d == protocols.ToServer {
		return c.published(l)
	}
	on := c.subs.deliver(l.sid)
	if r, waited := c.requests[string(l.subject)]; waited {
		return c.answered(l, r, data)
	}
	c.last++
	f := protocols.Frame{ID: c.last, End: true, Oneway: true, Items: c.item(d, l)}
	if on != nil && on.queue != "" {
		s := &c.side[d]
		s.attrs[0] = protocols.Attr{Name: "queue", Value: on.queue}
		s.item[0].Attrs = s.attrs[:]
	}
	return f
}

func (c *codec) item(d protocols.Dir, l *line) []protocols.Item {
	s := &c.side[d]
	s.item[0] = protocols.Item{Op: names[l.op], Key: c.name(l.subject)}
	return s.item[:]
}

// name returns b as a string.
func (c *codec) name(b []byte) string {
	if s, known := c.names[string(b)]; known {
		return s
	}
	if c.names == nil {
		c.names = make(map[string]string)
	} else if len(c.names) >= maxNames {
		clear(c.names)
	}
	s := string(b)
	c.names[s] = s
	return s
}

// published is the frame of PUB or HPUB.
func (c *codec) published(l *line) protocols.Frame {
	c.last++
	f := protocols.Frame{ID: c.last, End: true, Items: c.item(protocols.ToServer, l)}
	watched := c.watch(l, f.ID)
	f.Oneway = !watched && !c.verbose
	if c.verbose {
		a := ack{subject: f.Items[0].Key}
		if !watched {
			a.id = f.ID
		}
		c.expectOK(a)
	}
	return f
}

// watch reports whether an answer to the message is awaited from now on.
func (c *codec) watch(l *line, id uint64) bool {
	if l.reply == nil || len(c.requests) >= maxRequests || bytes.HasPrefix(l.subject, []byte("$JS.API.CONSUMER.MSG.NEXT.")) {
		return false
	}
	if _, taken := c.requests[string(l.reply)]; taken || c.subs.taking(l.reply) == nil {
		return false
	}
	if c.requests == nil {
		c.requests = make(map[string]request)
	}
	c.requests[string(l.reply)] = request{id: id}
	return true
}

// answered is the frame of an answer to r.
func (c *codec) answered(l *line, r request, data []byte) protocols.Frame {
	if r.swallow {
		delete(c.requests, string(l.subject))
		return protocols.Frame{Raw: []byte{}}
	}
	if r.twice {
		c.requests[string(l.subject)] = request{swallow: true}
	} else {
		delete(c.requests, string(l.subject))
	}
	return protocols.Frame{ID: r.id, End: true, Err: errorOf(l, data)}
}

// errorOf returns the status of a message without payload, or the code of an
// error of the JetStream API; "" for any other answer.
func errorOf(l *line, data []byte) string {
	if l.op == hmsg {
		if status, found := bytes.CutPrefix(data, []byte("NATS/1.0 ")); found && l.head == l.size && len(status) >= 3 && status[0] >= '4' && status[0] <= '5' {
			return string(status[:3])
		}
		return ""
	}
	const field = `"err_code":`
	if i := bytes.Index(data[:min(len(data), l.size)], []byte(field)); i > 0 && data[0] == '{' {
		digits := data[i+len(field):]
		n := 0
		for n < len(digits) && n < 5 && digits[n] >= '0' && digits[n] <= '9' {
			n++
		}
		return string(digits[:n])
	}
	return ""
}
