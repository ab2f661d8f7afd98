package kafka

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// place is a partition.
type place struct {
	topic     string
	partition int32
}

// produced makes the items of a Produce request and returns its partitions.
// shifted: the broker expects other sequence numbers than it has.
func (c *codec) produced(req *kmsg.ProduceRequest) (parts []part, shifted bool) {
	parts = c.pending.spare()
	c.scan.reset()
	for i := range req.Topics {
		t := &req.Topics[i]
		topic := c.topic(t.Topic, t.TopicID)
		for j := range t.Partitions {
			p := part{topic: topic, id: t.TopicID, partition: t.Partitions[j].Partition, from: len(c.scan.batches)}
			c.scan.scan(t.Partitions[j].Records)
			p.to = len(c.scan.batches)
			shifted = c.sequences.enrol(c.scan.batches[p.from:p.to], &p) || shifted
			p.items = c.messages(produceKey, topic, p.partition, c.scan.batches[p.from:p.to])
			p.stored = int64(p.items)
			parts = append(parts, p)
		}
	}
	return parts, shifted
}

// topic returns the topic that is named, or given the id of.
func (c *codec) topic(name string, id [16]byte) string {
	if name == "" {
		return c.names.of(id)
	}
	return c.name(name)
}

// messages makes items of the messages in batches and returns how many.
func (c *codec) messages(api int16, topic string, partition int32, batches []batch) (n int) {
	number := protocols.Attr{Name: "partition", Value: strconv.Itoa(int(partition))}
	for i := range batches {
		b := &batches[i]
		records := c.scan.records[b.from:b.to]
		c.keys = c.keys[:0]
		for _, r := range records {
			c.keys = append(c.keys, r.key...)
		}
		keys := string(c.keys) // one for all
		for k := range b.items() {
			it := protocols.Item{Op: apiNames[api], Key: topic}
			from := len(c.attrs)
			c.attrs = append(c.attrs, number)
			if k < len(records) && records[k].key != nil {
				it.Text, keys = keys[:len(records[k].key)], keys[len(records[k].key):]
				c.attrs = append(c.attrs, protocols.Attr{Name: "record_key", Value: it.Text})
			}
			it.Attrs = c.attrs[from:len(c.attrs):len(c.attrs)]
			c.items = append(c.items, it)
			n++
		}
	}
	return n
}

// resequenced returns the newest request with the sequence numbers that the
// broker expects, nil if they are right as they are. What an earlier fault took
// away it does not have; ours: that is all of a partition, perhaps of every one.
func (c *codec) resequenced(req *kmsg.ProduceRequest, parts []part) (raw []byte, ours bool) {
	out, changed := c.edit(req, nil, parts)
	if !changed {
		return nil, false
	}
	return c.requestBytes(out), slices.ContainsFunc(parts, func(p part) bool { return p.ours })
}

// edit returns the Produce request with what fates, one for each item, say and
// what earlier faults make necessary. Partitions that are not to be forwarded
// are left out of it and marked in parts.
func (c *codec) edit(req *kmsg.ProduceRequest, fates []protocols.Fate, parts []part) (out *kmsg.ProduceRequest, changed bool) {
	edited := *req
	edited.Topics = slices.Clone(req.Topics)
	k, item := 0, 0
	for i := range edited.Topics {
		t := &edited.Topics[i]
		var kept []kmsg.ProduceRequestTopicPartition
		for _, p := range t.Partitions {
			pt := &parts[k]
			k++
			var own []protocols.Fate
			if fates != nil {
				own = fates[item : item+pt.items]
			}
			item += pt.items
			if reply := refusal(own); reply != nil {
				pt.refuse(reply)
				c.sequences.back(pt)
				changed = true
				continue
			}
			records, touched := c.editPartition(p.Records, own, pt)
			changed = changed || touched
			if touched && len(records) == 0 {
				end := place{pt.topic, pt.partition}
				pt.ours, pt.offset = true, c.ends[end]
				if !pt.known {
					c.ends[end] += int64(pt.items)
				}
				continue
			}
			p.Records = records
			kept = append(kept, p)
		}
		t.Partitions = kept
	}
	edited.Topics = slices.DeleteFunc(edited.Topics, func(t kmsg.ProduceRequestTopic) bool { return len(t.Partitions) == 0 })
	return &edited, changed
}

// refusal returns the error that a partition is answered with: the first of
// those decided for its messages, nil for none.
func refusal(fates []protocols.Fate) *protocols.Reply {
	for _, f := range fates {
		if f.Act == protocols.Answer && f.Reply != nil && f.Reply.Error {
			return f.Reply
		}
	}
	return nil
}

// refuse has a partition answered with an error.
func (p *part) refuse(r *protocols.Reply) {
	p.ours, p.message, p.offset, p.stored = true, r.Message, -1, 0
	p.code, _ = number(r.Code)
}

// editPartition returns the records of one partition as fates, one for each of
// its messages, want them: empty if none is left.
func (c *codec) editPartition(set []byte, fates []protocols.Fate, pt *part) (out []byte, changed bool) {
	pt.stored = 0
	rest := set
	for i := pt.from; i < pt.to; i++ {
		b := &c.scan.batches[i]
		rest = rest[len(b.raw):]
		var own []protocols.Fate
		if fates != nil {
			own, fates = fates[:b.items()], fates[b.items():]
		}
		raw, stored := c.editBatch(b, own, pt)
		changed = changed || len(raw) != len(b.raw) || len(raw) > 0 && &raw[0] != &b.raw[0]
		pt.stored += int64(stored)
		out = append(out, raw...)
	}
	if !changed {
		return set, false
	}
	return append(out, rest...), true
}

// editBatch returns what is to be stored of a batch, b.raw itself if that is
// just that, and how many messages that is.
func (c *codec) editBatch(b *batch, fates []protocols.Fate, pt *part) (raw []byte, stored int) {
	var seq *sequence
	if b.producerID() >= 0 {
		known := <-c.sequences
		defer func() { c.sequences <- known }()
		seq = known[b.producerOf(pt)]
	}
	copies, stored := c.copiesOf(b, fates, seq)
	var number int32
	if seq != nil {
		number = seq.moved(b.sequence())
		seq.note(b, copies)
	}
	switch {
	case stored == 0 && b.items() > 0:
		return nil, 0
	case b.opaque || !slices.ContainsFunc(copies, func(n int) bool { return n != 1 }):
		raw = b.raw
	case b.magic() < 2:
		raw = b.messages(c.scan.records[b.from:b.to], copies, false)
	default:
		raw = b.produced(c.scan.records[b.from:b.to], copies)
	}
	if seq != nil && number != b.sequence() {
		if &raw[0] == &b.raw[0] {
			raw = slices.Clone(raw)
		}
		resequence(raw, number)
	}
	return raw, stored
}

// copiesOf returns how often each message of a batch is to be stored, and the
// sum. What was sent before is treated as it was then, for the broker may have
// it; and a batch that can't be read is not doubled. Fates that come to nothing
// are set to Pass.
func (c *codec) copiesOf(b *batch, fates []protocols.Fate, seq *sequence) (copies []int, stored int) {
	c.copies = c.copies[:0]
	for i := range b.items() {
		n, want := 1, 1
		if fates != nil {
			want = wanted(fates[i].Act)
		}
		switch {
		case seq != nil && (i < b.again || seq.at(b.number(i)) != 0):
			n = max(0, n+int(seq.at(b.number(i))))
		case want == 0 || !b.opaque:
			n = want
		}
		if n != want && n == 1 {
			fates[i].Act = protocols.Pass
		}
		c.copies = append(c.copies, n)
		stored += n
	}
	return c.copies, stored
}

// wanted is how often a message is to be stored.
func wanted(act protocols.Act) int {
	switch act {
	case protocols.Lose:
		return 0
	case protocols.Twice:
		return 2
	}
	return 1
}

// merged returns the answer to a Produce request: that of the server, nil for
// none, and what parts say of the partitions that it was not asked for.
func merged(version int16, parts []part, server *kmsg.ProduceResponse) *kmsg.ProduceResponse {
	out := &kmsg.ProduceResponse{}
	if server != nil {
		*out = *server
	}
	out.Version, out.Topics = version, nil
	for i := range parts {
		p := &parts[i]
		answer := p.answer(server)
		if answer == nil {
			continue
		}
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != p.topic || out.Topics[n-1].TopicID != p.id {
			t := kmsg.NewProduceResponseTopic()
			t.Topic, t.TopicID = p.topic, p.id
			out.Topics = append(out.Topics, t)
		}
		t := &out.Topics[len(out.Topics)-1]
		t.Partitions = append(t.Partitions, *answer)
	}
	return out
}

// answer returns what the client hears of a partition, nil for nothing.
func (p *part) answer(server *kmsg.ProduceResponse) *kmsg.ProduceResponseTopicPartition {
	if p.ours {
		a := kmsg.NewProduceResponseTopicPartition()
		a.Partition, a.ErrorCode, a.BaseOffset = p.partition, p.code, p.offset
		if p.code != 0 {
			a.ErrorMessage = &p.message
		} else {
			a.LogStartOffset = 0
		}
		return &a
	}
	if server == nil {
		return nil
	}
	for i := range server.Topics {
		t := &server.Topics[i]
		if t.TopicID != p.id || p.id == [16]byte{} && t.Topic != p.topic {
			continue
		}
		for j := range t.Partitions {
			if t.Partitions[j].Partition == p.partition {
				return &t.Partitions[j]
			}
		}
	}
	return nil
}
