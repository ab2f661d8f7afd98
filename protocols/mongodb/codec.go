package mongodb

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"

	"faultbox/protocols"
)

// codec follows one connection.
type codec struct {
	inflater
	last     uint64             // the newest ID
	pending  map[int32]exchange // requests whose answers are outstanding, by requestID
	answered exchange           // the one whose answer came last
	ours     int32              // the newest requestID of ours; they are negative
	rest     [2]rest
	message  message
	plain    []byte // what a compressed message holds

	item  [1]protocols.Item
	attrs [3]protocols.Attr
	names map[string]string // commands, collections and databases seen
}

// rest is what is still to come of a message, by direction.
type rest struct {
	n     int
	frame protocols.Frame // what its parts have in common
}

// Decode implements protocols.Codec.
func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if len(buf) == 0 {
		return protocols.Frame{}, 0, nil
	}
	if c.rest[d].n > 0 {
		f, n := c.part(d, c.rest[d].frame, c.rest[d].n, len(buf))
		return f, n, nil
	}
	if len(buf) < headerLen {
		return protocols.Frame{}, 0, nil
	}
	h := readHeader(buf)
	if h.length < headerLen || h.length > maxMessage {
		return protocols.Frame{}, 0, fmt.Errorf("a message of %d bytes: this is not the MongoDB wire protocol", h.length)
	}
	if len(buf) < min(int(h.length), whole) {
		return protocols.Frame{}, 0, nil
	}
	raw := buf[:min(len(buf), int(h.length))]
	var f protocols.Frame
	var wait bool
	if d == protocols.ToServer {
		f, wait = c.request(h, raw)
	} else {
		f, wait = c.answer(h, raw)
	}
	if wait && len(raw) < int(h.length) {
		return protocols.Frame{}, 0, nil
	}
	f, n := c.part(d, f, int(h.length), len(raw))
	return f, n, nil
}

// part returns the frame of the next part of a message of which size bytes are
// to come and n have.
func (c *codec) part(d protocols.Dir, f protocols.Frame, size, n int) (protocols.Frame, int) {
	n = min(n, size)
	c.rest[d] = rest{n: size - n}
	if n < size {
		next := f
		next.Items, next.Err = nil, ""
		if f.Raw != nil {
			next.Raw = []byte{}
		}
		c.rest[d].frame = next
		f.End, f.More = false, true
	}
	return f, n
}

// request returns the frame of a whole request, of which raw has come. wait:
// more of it is needed.
func (c *codec) request(h header, raw []byte) (f protocols.Frame, wait bool) {
	m := &c.message
	if h.op == opCompressed && len(raw) < int(h.length) {
		return f, true
	}
	if h.op != opMsg && h.op != opQuery && h.op != opCompressed {
		return f, false
	}
	if !c.read(m, h, raw) {
		return f, h.op == opQuery
	}
	if m.doc == nil {
		return f, true
	}
	cmd, ok := readCommand(m)
	if !ok || m.op == opReply {
		return f, false
	}
	if cmd.unordered && !m.complete && len(raw) < int(h.length) {
		return f, true // each of its documents may have to be answered for
	}
	c.last++
	f = protocols.Frame{ID: c.last, End: true, Items: c.items(&cmd)}
	if m.flags&moreToCome != 0 && m.op == opMsg {
		f.Oneway = true
		return f, false
	}
	if c.pending == nil {
		c.pending = make(map[int32]exchange)
	}
	c.pending[h.id] = newExchange(c.last, m, &cmd)
	return f, false
}

// items describes a command.
func (c *codec) items(cmd *command) []protocols.Item {
	it := protocols.Item{Op: c.intern(cmd.name), Key: c.intern(cmd.collection)}
	if !isChore(it.Op) {
		attrs := append(c.attrs[:0], protocols.Attr{Name: "operation", Value: it.Op})
		if it.Key != "" {
			attrs = append(attrs, protocols.Attr{Name: "collection", Value: it.Key})
		}
		if db := c.intern(cmd.database); db != "" {
			attrs = append(attrs, protocols.Attr{Name: "database", Value: db})
		}
		it.Attrs = attrs
	}
	c.item[0] = it
	return c.item[:]
}

// intern returns b as a string without making the same one twice.
func (c *codec) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := c.names[string(b)]; ok {
		return s
	}
	if c.names == nil || len(c.names) > 200 {
		c.names = make(map[string]string)
	}
	s := string(b)
	c.names[s] = s
	return s
}

func isChore(op string) bool { return chores[op] || chores[strings.ToLower(op)] }

// answer returns the frame of a whole answer, of which raw has come. wait:
// more of it is needed.
func (c *codec) answer(h header, raw []byte) (f protocols.Frame, wait bool) {
	x, ok := c.pending[h.to]
	if !ok || h.op != opMsg && h.op != opReply && h.op != opCompressed {
		return f, false
	}
	m := &c.message
	come := len(raw) == int(h.length)
	if h.op == opCompressed && !come && x.exhaust {
		return f, true
	}
	delete(c.pending, h.to)
	c.answered = x
	f = protocols.Frame{ID: x.id, End: true}
	read := (come || h.op == opMsg) && (h.op != opCompressed || x.exhaust || len(raw) <= whole) && c.read(m, h, raw)
	if read && m.op == opMsg && m.flags&moreToCome != 0 && x.exhaust {
		c.answered.streams = true
		if !x.chore {
			c.pending[h.id] = x // which the next answer answers
			f.End = false
		}
	}
	if read && m.doc != nil {
		f.Err = errorCode(m.doc)
	}
	switch {
	case x.id == 0:
		f = protocols.Frame{Raw: []byte{}}
	case x.rewrite != nil:
		f.Raw, f.Err = x.rewrite, x.rewritten
	}
	return f, false
}

// errorCode returns the code of an answer that tells of an error, else "".
func errorCode(doc []byte) (code string) {
	var top string
	failed := false
	elements(doc, func(_ int, key, e []byte) {
		v := bsoncore.Value{Type: bsoncore.Type(e[0]), Data: e[len(key)+2:]}
		switch string(key) {
		case "ok":
			n, ok := v.AsInt64OK()
			failed = ok && n == 0
		case "code":
			top = number(v)
		case "writeErrors":
			if code == "" && v.Type == bsoncore.TypeArray {
				elements(v.Data, func(i int, key, e []byte) {
					if i == 0 {
						code = nested(bsoncore.Value{Type: bsoncore.Type(e[0]), Data: e[len(key)+2:]})
					}
				})
			}
		case "writeConcernError":
			if code == "" {
				code = nested(v)
			}
		}
	})
	if failed {
		return top
	}
	return code
}

// nested returns the code in an error within an answer.
func nested(v bsoncore.Value) (code string) {
	if v.Type == bsoncore.TypeEmbeddedDocument {
		elements(v.Data, func(_ int, key, e []byte) {
			if string(key) == "code" {
				code = number(bsoncore.Value{Type: bsoncore.Type(e[0]), Data: e[len(key)+2:]})
			}
		})
	}
	return code
}

func number(v bsoncore.Value) string {
	if n, ok := v.AsInt64OK(); ok {
		return strconv.FormatInt(n, 10)
	}
	return ""
}

// ourID returns a requestID that no outstanding request has.
func (c *codec) ourID() int32 {
	for {
		if c.ours--; c.ours >= 0 { // after -2³¹
			c.ours = -1
		}
		if _, taken := c.pending[c.ours]; !taken {
			return c.ours
		}
	}
}

// idOf returns the requestID of a message.
func idOf(raw []byte) int32 { return int32(binary.LittleEndian.Uint32(raw[4:])) }
