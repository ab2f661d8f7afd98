package kafka

import (
	"encoding/binary"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// answer follows an answer of total bytes, of which raw is the first part or all.
func (c *codec) answer(raw []byte, total int) (f protocols.Frame) {
	correlation := int32(0)
	if len(raw) >= 8 {
		correlation = int32(binary.BigEndian.Uint32(raw[4:]))
	}
	x, ok := c.pending.take(correlation, len(raw) >= 8)
	if !ok {
		return f
	}
	c.pending.reuse(c.answered.parts)
	c.answered.exchange, c.answered.resp = x, nil
	switch {
	case x.swallow:
		f.Raw = []byte{}
		return f
	case len(raw) < 8 || len(raw) < total || x.token:
		return protocols.Frame{ID: x.id, End: true}
	}
	f = protocols.Frame{ID: x.id, End: true}
	if x.key == apiVersionsKey {
		if len(raw) >= 10 { // an old broker answers in version 0, which begins the same
			f.Err = nameOf(int16(binary.BigEndian.Uint16(raw[8:])))
		}
		return f
	}
	resp := c.answerKind(x)
	if resp == nil {
		return f
	}
	at := 8
	if resp.IsFlexible() {
		n, ok := tags(raw[at:])
		if !ok {
			return f
		}
		at += n
	}
	if !c.read(resp, raw[at:]) {
		return f
	}
	c.answered.resp = resp
	switch resp := resp.(type) {
	case *kmsg.ProduceResponse:
		c.stored(&f, resp)
	case *kmsg.FetchResponse:
		if !x.replica {
			return c.fetched(f, resp, total)
		}
	case *kmsg.MetadataResponse:
		c.learn(&f, resp)
	default:
		f.Err = nameOf(firstError(resp))
	}
	return f
}

// answerKind returns an answer to x to be filled, nil if its form is unknown.
func (c *codec) answerKind(x exchange) (resp kmsg.Response) {
	switch x.key {
	case produceKey:
		resp = &c.answered.produce
	case fetchKey:
		resp = &c.answered.fetch
	default:
		if resp = kmsg.ResponseForKey(x.key); resp == nil {
			return nil
		}
	}
	if x.version < 0 || x.version > resp.MaxVersion() {
		return nil
	}
	resp.SetVersion(x.version)
	return resp
}

// stored follows the answer to a Produce request and merges it with what was
// answered here.
func (c *codec) stored(f *protocols.Frame, resp *kmsg.ProduceResponse) {
	x := &c.answered.exchange
	for i := range x.parts {
		p := &x.parts[i]
		if p.ours {
			continue
		}
		switch a := p.answer(resp); {
		case a == nil:
		case a.ErrorCode == 0:
			c.ends[place{p.topic, p.partition}] = a.BaseOffset + p.stored
			c.sequences.stored(p)
		default:
			c.sequences.refused(p, a.ErrorCode)
			if f.Err == "" {
				f.Err = nameOf(a.ErrorCode)
			}
		}
	}
	if x.merge {
		all := merged(x.version, x.parts, resp)
		c.answered.resp = all
		f.Raw = c.answerBytes(x.correlation, all)
	}
}

// learn notes the names of topics that have ids, and replaces what the answer
// says of topics where a fault wants that.
func (c *codec) learn(f *protocols.Frame, resp *kmsg.MetadataResponse) {
	f.Err = nameOf(resp.ErrorCode)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic != nil && t.TopicID != [16]byte{} {
			c.names.learn(t.TopicID, c.name(*t.Topic))
		}
		if f.Err == "" {
			f.Err = nameOf(t.ErrorCode)
		}
	}
	if r := c.answered.reply; r != nil {
		refuseTopics(resp, r)
		f.Raw = c.answerBytes(c.answered.correlation, resp)
	}
}

// refuseTopics has metadata tell of each topic that it has an error.
func refuseTopics(resp *kmsg.MetadataResponse, r *protocols.Reply) {
	code, _ := number(r.Code)
	for i := range resp.Topics {
		resp.Topics[i].ErrorCode, resp.Topics[i].Partitions = code, nil
	}
}

// requestBytes returns req with the header of the newest request.
func (c *codec) requestBytes(req kmsg.Request) []byte {
	return sized32(req.AppendTo(append([]byte(nil), c.asked.raw[:c.asked.length]...)))
}

// answerBytes returns resp as the answer to a request.
func (c *codec) answerBytes(correlation int32, resp kmsg.Response) []byte {
	out := binary.BigEndian.AppendUint32(make([]byte, 4, 64), uint32(correlation))
	if resp.IsFlexible() && resp.Key() != apiVersionsKey {
		out = append(out, 0)
	}
	return sized32(resp.AppendTo(out))
}

// sized32 writes the size of a message in front of it.
func sized32(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}
