package dns

import (
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"faultbox/protocols"
)

// maxPending is how many queries of one client may await their answer; the
// oldest is forgotten.
const maxPending = 256

// Codec follows the queries of one client.
type Codec struct {
	last    uint64
	pending []query
	item    [1]protocols.Item
}

// query awaits its answer.
type query struct {
	exchange uint64
	id       uint16
	kind     dnsmessage.Type
	name     string
}

// Decode implements protocols.Codec. What is not a query, or an answer to one,
// has no ID.
func (c *Codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if d == protocols.ToClient {
		return c.answer(buf), len(buf), nil
	}
	var p dnsmessage.Parser
	h, err := p.Start(buf)
	if err != nil || h.Response || h.OpCode != 0 {
		return protocols.Frame{}, len(buf), nil
	}
	q, err := p.Question()
	if err != nil || !onlyAsks(&p) {
		return protocols.Frame{}, len(buf), nil
	}
	name := string(q.Name.Data[:q.Name.Length])
	if len(name) > 1 {
		name = TrimDot(name)
	}
	c.last++
	if len(c.pending) == maxPending {
		c.pending = append(c.pending[:0], c.pending[1:]...)
	}
	c.pending = append(c.pending, query{c.last, h.ID, q.Type, name})
	kind := typeName(q.Type)
	c.item[0] = protocols.Item{Op: kind, Key: name}
	return protocols.Frame{ID: c.last, End: true, Items: c.item[:]}, len(buf), nil
}

// onlyAsks reports whether nothing but additional records follows the first
// question, and all of it is well-formed.
func onlyAsks(p *dnsmessage.Parser) bool {
	return p.SkipQuestion() == dnsmessage.ErrSectionDone && p.SkipAnswer() == dnsmessage.ErrSectionDone &&
		p.SkipAuthority() == dnsmessage.ErrSectionDone && p.SkipAllAdditionals() == nil
}

// answer finds the query that buf answers: the oldest with its number and, if
// the answer repeats it, its question.
func (c *Codec) answer(buf []byte) protocols.Frame {
	var p dnsmessage.Parser
	h, err := p.Start(buf)
	if err != nil || !h.Response {
		return protocols.Frame{}
	}
	q, err := p.Question()
	for i := range c.pending {
		w := &c.pending[i]
		if w.id != h.ID || err == nil && (w.kind != q.Type || !sameName(w.name, q.Name.Data[:q.Name.Length])) {
			continue
		}
		f := protocols.Frame{ID: w.exchange, End: true, Err: codeIn(&h)}
		c.forget(w.exchange)
		return f
	}
	return protocols.Frame{}
}

// sameName compares a name without its last dot to one with it.
func sameName(name string, wire []byte) bool {
	if len(wire) > 1 {
		wire = wire[:len(wire)-1]
	}
	return len(name) == len(wire) && strings.EqualFold(name, string(wire))
}

func (c *Codec) forget(exchange uint64) {
	for i := range c.pending {
		if c.pending[i].exchange == exchange {
			c.pending = append(c.pending[:i], c.pending[i+1:]...)
			return
		}
	}
}

// typeName is the type as master files write it.
func typeName(t dnsmessage.Type) string {
	switch t {
	case dnsmessage.TypeALL:
		return "ANY"
	case 43:
		return "DS"
	case 48:
		return "DNSKEY"
	case 257:
		return "CAA"
	}
	s := t.String()
	if name, ok := strings.CutPrefix(s, "Type"); ok {
		return name
	}
	return "TYPE" + s // RFC 3597
}

// Apply implements protocols.Codec.
func (c *Codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	switch fate := fates[0]; {
	case fate.Act == protocols.Pass, fate.Act == protocols.Twice:
		return raw, nil
	case d == protocols.ToServer:
		c.forget(f.ID)
		if fate.Act == protocols.Answer {
			back = reply(raw, fate.Reply)
		}
		return nil, back
	case fate.Act == protocols.Answer:
		return reply(raw, fate.Reply), nil
	}
	return nil, nil
}
