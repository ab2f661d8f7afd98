package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"faultbox/protocols"
)

// The protocol of these tests. A request is a line "id op [key]", an op in
// upper case is not answered, and "id blob N" is followed by N bytes. An answer
// is any number of lines "id+ text" and one line "id text" ("id -code" is an
// error, "id blob N" is followed by N bytes, "id rest" by all that comes until
// the connection ends; "id tunnel" is the last thing in this protocol). A line "* subject text" is pushed.
// A line that is none of these loses the codec's place.
type lines struct {
	left  [2]int // bytes of a blob
	blob  [2]uint64
	rest  bool           // the server's last answer goes on to the end
	swall map[uint64]int // answers to swallow
	item  [1]protocols.Item
	two   [2]protocols.Item
}

var (
	ordered = &protocols.Protocol{
		Name:   "lines",
		Fields: map[string]protocols.Field{"op": protocols.OpField, "key": protocols.KeyField},
		New:    func() protocols.Codec { return new(lines) },
	}
	multiplexed = &protocols.Protocol{
		Name: "lines", Multiplexed: true, Fields: ordered.Fields, New: ordered.New,
	}
)

func (c *lines) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	if c.left[d] > 0 {
		n = min(len(buf), c.left[d])
		c.left[d] -= n
		f.ID, f.More, f.End = c.blob[d], c.left[d] > 0, c.left[d] == 0
		if d == protocols.ToClient {
			c.swallow(&f)
		}
		return f, n, nil
	}
	if c.rest && d == protocols.ToClient {
		return protocols.Frame{More: true}, len(buf), nil
	}
	n = bytes.IndexByte(buf, '\n') + 1
	if n == 0 {
		return f, 0, nil
	}
	word := func(b []byte) (w, rest []byte) {
		w, rest, _ = bytes.Cut(b, []byte(" "))
		return w, rest
	}
	id, rest := word(buf[:n-1])
	if d == protocols.ToClient && string(id) == "*" {
		subject, _ := word(rest)
		c.item[0] = protocols.Item{Op: "push", Key: string(subject)}
		return protocols.Frame{Items: c.item[:], Oneway: true, End: true}, n, nil
	}
	more := bytes.HasSuffix(id, []byte("+"))
	number, err := strconv.ParseUint(string(bytes.TrimSuffix(id, []byte("+"))), 10, 64)
	if err != nil {
		return f, 0, errors.New("not a line of this protocol")
	}
	op, key := word(rest)
	f.ID, f.End = number, !more
	if string(op) == "blob" {
		c.left[d], _ = strconv.Atoi(string(key))
		c.blob[d] = f.ID
		f.More, f.End = c.left[d] > 0, c.left[d] == 0
	}
	if d == protocols.ToClient {
		f.Tunnel = string(op) == "tunnel"
		if string(op) == "rest" {
			c.rest, f.More = true, true
		}
		if len(rest) > 0 && rest[0] == '-' {
			f.Err = string(rest[1:])
		}
		c.swallow(&f)
		return f, n, nil
	}
	f.Oneway = len(op) > 0 && op[0] < 'a'
	c.item[0] = protocols.Item{Op: string(op), Key: string(key)}
	f.Items = c.item[:]
	if string(op) == "both" { // two things at once: "both a b"
		a, b := word(key)
		c.two = [2]protocols.Item{{Op: "both", Key: string(a)}, {Op: "both", Key: string(b)}}
		f.Items = c.two[:]
	}
	return f, n, nil
}

// swallow takes out the first of two answers to a request done twice.
func (c *lines) swallow(f *protocols.Frame) {
	if c.swall[f.ID] > 0 {
		f.Raw = []byte{}
		if f.End {
			c.swall[f.ID]--
			f.End = false
		}
	}
}

func (c *lines) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	var reply *protocols.Reply
	act := protocols.Pass
	for _, fate := range fates {
		if act == protocols.Pass {
			act, reply = fate.Act, fate.Reply
		}
	}
	switch {
	case reply != nil && reply.Message == "nothing":
		return raw, nil
	case act == protocols.Answer && f.ID == 0: // a pushed message: the server is told
		return nil, []byte("0 NACK\n")
	case act == protocols.Answer:
		b := fmt.Appendf(nil, "%d %s\n", f.ID, reply.Message)
		if d == protocols.ToClient {
			return b, nil
		}
		return nil, b
	case act == protocols.Twice && d == protocols.ToServer:
		if c.swall == nil {
			c.swall = map[uint64]int{}
		}
		if !f.Oneway {
			c.swall[f.ID]++
		}
		return slices.Concat(raw, raw), nil
	case act == protocols.Twice:
		return slices.Concat(raw, raw), nil
	case act == protocols.Lose:
		return nil, nil
	}
	return raw, nil
}
