package kafka

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// item makes the one item of a request that holds no messages. req is nil if
// it can't be read.
func (c *codec) item(key int16, req kmsg.Request) {
	it := protocols.Item{Op: apiName(key)}
	if req != nil {
		for _, g := range groupsOf(req) {
			c.attrs = append(c.attrs, protocols.Attr{Name: "group", Value: strings.Clone(g)})
		}
		if len(c.attrs) > 0 {
			it.Attrs, it.Text = c.attrs, "group "+c.attrs[0].Value
		}
	}
	c.items = append(c.items, it)
}

// Apply implements protocols.Codec.
func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	switch {
	case len(fates) == 0:
		return raw, nil
	case d == protocols.ToClient && f.ID == 0:
		if len(fates) != len(c.items) {
			return raw, nil
		}
		return c.deliver(raw, fates), nil
	case d == protocols.ToClient:
		return c.late(f, raw, fates), nil
	case f.ID != c.asked.id:
		return raw, nil
	}
	if req, ok := c.asked.req.(*kmsg.ProduceRequest); ok {
		return c.applyProduce(req, raw, fates)
	}
	switch fate := fates[0]; fate.Act {
	case protocols.Answer:
		return c.refuse(raw, fate.Reply)
	case protocols.Lose: // nothing that could be lost unnoticed
		c.pending.drop(f.ID)
		fates[0].Reply = &protocols.Reply{Close: true}
		return nil, []byte{}
	case protocols.Twice:
		return c.twice(raw), nil
	}
	return raw, nil
}

// Withdraw implements protocols.Withdrawer: the broker never sees the sequence
// numbers of a request that is not forwarded.
func (c *codec) Withdraw(f protocols.Frame) {
	if f.ID == c.asked.id {
		for i := range c.asked.parts {
			c.sequences.back(&c.asked.parts[i])
		}
	}
}

// applyProduce acts on the messages of a Produce request.
func (c *codec) applyProduce(req *kmsg.ProduceRequest, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	parts := c.asked.parts
	if len(fates) != len(c.items) {
		return raw, nil
	}
	out, changed := c.edit(req, fates, parts)
	if !changed {
		return raw, nil
	}
	ours := slices.ContainsFunc(parts, func(p part) bool { return p.ours })
	if req.Acks == 0 {
		for i := range fates {
			if fates[i].Act == protocols.Answer { // as a broker does, having nobody to tell
				fates[i].Reply = &protocols.Reply{Close: true}
			}
		}
	}
	switch {
	case len(out.Topics) > 0:
		if x := c.pending.newest(c.asked.id); x != nil {
			x.merge = ours
		}
		return c.requestBytes(out), nil
	case req.Acks == 0:
		return nil, nil
	}
	back = c.answerBytes(c.asked.correlation, merged(req.Version, parts, nil))
	c.pending.drop(c.asked.id)
	return nil, back
}

// refuse answers the newest request with an error in the server's place.
func (c *codec) refuse(raw []byte, r *protocols.Reply) (forward, back []byte) {
	if c.asked.req == nil || r == nil || !r.Error {
		return raw, nil
	}
	if c.asked.key == metadataKey { // which names the brokers, too
		if x := c.pending.newest(c.asked.id); x != nil {
			x.reply = r
		}
		return bytes.Clone(raw), nil
	}
	c.pending.drop(c.asked.id)
	return nil, c.answerBytes(c.asked.correlation, failure(c.asked.req, r))
}

// twice has the newest request done two times; the client hears the first answer.
func (c *codec) twice(raw []byte) []byte {
	x := c.pending.newest(c.asked.id)
	if x == nil || c.asked.key == saslHandshakeKey || c.asked.key == saslAuthenticateKey {
		return raw
	}
	second := *x
	second.id, second.swallow = 0, true
	c.pending.push(second)
	return slices.Concat(raw, raw)
}

// late puts errors in the newest answer.
func (c *codec) late(f protocols.Frame, raw []byte, fates []protocols.Fate) []byte {
	x := &c.answered
	if f.ID != x.id || x.resp == nil {
		return raw
	}
	switch resp := x.resp.(type) {
	case *kmsg.ProduceResponse:
		item, changed := 0, false
		for i := range x.parts {
			p := &x.parts[i]
			if item+p.items > len(fates) {
				return raw
			}
			reply := refusal(fates[item : item+p.items])
			item += p.items
			if a := p.answer(resp); a != nil && reply != nil {
				code, _ := number(reply.Code)
				a.ErrorCode, a.BaseOffset, a.ErrorMessage = code, -1, &reply.Message
				changed = true
			}
		}
		if !changed {
			return raw
		}
	case *kmsg.MetadataResponse:
		if r := refusal(fates); r != nil {
			refuseTopics(resp, r)
			break
		}
		return raw
	default:
		r := refusal(fates)
		if r == nil {
			return raw
		}
		code, _ := number(r.Code)
		blame{code, r.Message}.spread(reflect.ValueOf(resp).Elem())
	}
	return c.answerBytes(x.correlation, x.resp)
}
