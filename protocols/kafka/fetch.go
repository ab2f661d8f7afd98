package kafka

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/protocols"
)

// delivery is one partition in an answer to Fetch that has messages.
type delivery struct {
	part     *kmsg.FetchResponseTopicPartition
	from, to int // its batches in scanner.batches
	items    int
	rest     []byte // what follows its batches
}

// fetched follows an answer to Fetch.
//
// Its messages are events of their own, while the request is no event: so the
// frame that has them is a push, and the last byte of the answer is a frame of
// its own, with which the exchange ends.
func (c *codec) fetched(f protocols.Frame, resp *kmsg.FetchResponse, total int) protocols.Frame {
	f.Err = nameOf(resp.ErrorCode)
	c.items, c.attrs, c.deliveries = c.items[:0], c.attrs[:0], c.deliveries[:0]
	c.scan.reset()
	for i := range resp.Topics {
		t := &resp.Topics[i]
		topic := c.topic(t.Topic, t.TopicID)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if f.Err == "" {
				f.Err = nameOf(p.ErrorCode)
			}
			d := delivery{part: p, from: len(c.scan.batches)}
			d.rest = c.scan.scan(p.RecordBatches)
			d.to = len(c.scan.batches)
			d.items = c.messages(fetchKey, topic, p.Partition, c.scan.batches[d.from:d.to])
			c.deliveries = append(c.deliveries, d)
		}
	}
	if len(c.items) == 0 {
		return f
	}
	c.rest[protocols.ToClient] = rest{n: 1, id: f.ID, end: true}
	return protocols.Frame{Items: c.items, End: true, Oneway: true, More: true}
}

// deliver returns the newest answer to Fetch as fates want it, raw if that
// changes nothing.
func (c *codec) deliver(raw []byte, fates []protocols.Fate) []byte {
	changed := false
	for i := range c.deliveries {
		d := &c.deliveries[i]
		own := fates[:d.items]
		fates = fates[d.items:]
		for k := range own { // there is no second offset for a copy
			if own[k].Act == protocols.Twice {
				own[k].Act = protocols.Pass
			}
		}
		if reply := refusal(own); reply != nil {
			code, _ := number(reply.Code)
			p := d.part
			p.ErrorCode, p.HighWatermark, p.LastStableOffset, p.LogStartOffset = code, -1, -1, -1
			p.AbortedTransactions, p.RecordBatches = nil, []byte{}
			changed = true
			continue
		}
		if slices.ContainsFunc(own, lost) {
			set, touched := c.thin(d, own)
			d.part.RecordBatches = set
			changed = changed || touched
		}
	}
	if !changed {
		return raw
	}
	c.rest[protocols.ToClient].hide = true
	return c.answerBytes(c.answered.correlation, &c.answered.fetch)
}

func lost(f protocols.Fate) bool { return f.Act == protocols.Lose }

// thin returns the records of a partition without those that are lost. The old
// formats have no way to say that nothing is left: their last message stays.
func (c *codec) thin(d *delivery, fates []protocols.Fate) (set []byte, changed bool) {
	for i := d.from; i < d.to; i++ {
		b := &c.scan.batches[i]
		own := fates[:b.items()]
		fates = fates[b.items():]
		if !slices.ContainsFunc(own, lost) {
			set = append(set, b.raw...)
			continue
		}
		c.copies = c.copies[:0]
		for k := range own {
			c.copies = append(c.copies, b2i(!lost(own[k])))
		}
		switch records := c.scan.records[b.from:b.to]; {
		case b.magic() == 2:
			set = append(set, b.thinned(records, c.copies)...)
		case b.opaque:
		default:
			set = append(set, b.messages(records, c.copies, true)...)
		}
	}
	if set = append(set, d.rest...); len(set) == 0 {
		return d.part.RecordBatches, false
	}
	return set, true
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
