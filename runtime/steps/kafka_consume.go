package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/runtime"
)

func (s *kafkaSession) consume(ctx context.Context, args runtime.Args) runtime.Response {
	topic, group := args.Str("topic"), args.Str("group")
	count, counted := args["count"].(int64)
	if counted && count < 1 {
		return failed(context.Background(), misused("consume: count is %d; leave it out to take what there is", count))
	}
	c, err := s.connect(ctx)
	if err != nil {
		return s.failed(ctx, err)
	}
	var ends offsets
	get := func() error {
		ends, err = kafkaOffsets(ctx, c, topic, -1)
		return err
	}
	if get(); counted && err != nil { // the messages that it waits for may bring the topic with them
		err = await(ctx, time.Hour, get)
	}
	if err != nil {
		return s.failed(ctx, err)
	}
	var records []*kgo.Record
	switch {
	case group != "":
		records, err = s.consumeGroup(ctx, topic, group, ends, count)
	default:
		records, err = s.consumeAll(ctx, topic, ends, count)
	}
	slices.SortFunc(records, func(a, b *kgo.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	data := make([]any, len(records))
	for i, r := range records {
		data[i] = kafkaMessage(r)
	}
	resp := kafkaOK(data)
	if err != nil {
		failure := s.failed(ctx, err)
		resp.OK, resp.Error, resp.ErrorCode = false, failure.Error, failure.ErrorCode
		if counted && failure.ErrorCode == "timeout" {
			resp.Error = fmt.Sprintf("%d of %d messages: %s", len(records), count, failure.Error)
		}
	}
	return resp
}

// offsets are those of a topic's partitions.
type offsets map[int32]int64

// kafkaOffsets asks for the offsets at a time: -1 the ends, -2 the beginnings.
func kafkaOffsets(ctx context.Context, c *kgo.Client, topic string, at int64) (offsets, error) {
	partitions, err := kafkaPartitions(ctx, c, topic, false)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	for _, id := range partitions {
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = id, at
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	out := offsets{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, err
			}
			out[p.Partition] = p.Offset
		}
	}
	return out, nil
}

// consumeAll reads a topic from its beginning: count messages, or as far as ends.
func (s *kafkaSession) consumeAll(ctx context.Context, topic string, ends offsets, count int64) (records []*kgo.Record, err error) {
	starts, err := kafkaOffsets(ctx, s.client, topic, -2)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return kafkaRead(ctx, s.client, topic, starts, ends)
	}
	c, err := s.newClient(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return kafkaPoll(ctx, c, starts, ends, count, nil)
}

// consumeGroup goes on where the group stopped, and commits what it read.
func (s *kafkaSession) consumeGroup(ctx context.Context, topic, group string, ends offsets, count int64) (records []*kgo.Record, err error) {
	c := s.groups[[2]string{group, topic}]
	if c == nil {
		c, err = s.newClient(kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
			kgo.DisableAutoCommit(), kgo.KeepControlRecords(), kgo.RequestRetries(20)) // finding a coordinator takes several tries on a new cluster
		if err != nil {
			return nil, err
		}
		if s.groups == nil {
			s.groups = map[[2]string]*kgo.Client{}
		}
		s.groups[[2]string{group, topic}] = c
	}
	var at offsets
	err = await(ctx, election, func() error {
		at, err = committed(ctx, c, topic, group, ends)
		return err
	})
	if err != nil {
		return nil, err
	}
	skip := func() error { return kafkaSkip(ctx, s.client, topic, at, ends) }
	if records, err = kafkaPoll(ctx, c, at, ends, count, skip); len(records) > 0 {
		commit := func() error { return c.CommitRecords(ctx, records...) }
		if failure := await(ctx, election, commit); failure != nil && err == nil {
			err = failure
		}
	}
	return records, err
}

// committed returns where a group goes on in a topic.
func committed(ctx context.Context, c *kgo.Client, topic, group string, ends offsets) (offsets, error) {
	at, err := kafkaOffsets(ctx, c, topic, -2)
	if err != nil {
		return nil, err
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic = topic
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic = topic
	for p := range ends {
		t.Partitions = append(t.Partitions, p)
		gt.Partitions = append(gt.Partitions, p)
	}
	req.Topics, g.Topics = append(req.Topics, t), append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			at[p.Partition] = max(at[p.Partition], p.Offset)
		}
	}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				at[p.Partition] = max(at[p.Partition], p.Offset)
			}
		}
	}
	return at, nil
}

// idle is for how long a consumer brings nothing before it is looked whether
// there is anything to bring.
const idle = time.Second

// kafkaPoll reads on from at: count messages, or as far as ends if count is 0;
// then skip moves at over what will not come. A group that has lost its
// coordinator has some time to find another: the client tells of it and goes on.
func kafkaPoll(ctx context.Context, c *kgo.Client, at, ends offsets, count int64, skip func() error) (records []*kgo.Record, err error) {
	for began := time.Now(); count > 0 && int64(len(records)) < count || count == 0 && len(at.behind(ends)) > 0; {
		limit, polling, cancel := 10_000, ctx, context.CancelFunc(func() {})
		if count > 0 {
			limit = int(count) - len(records)
		} else {
			polling, cancel = context.WithTimeout(ctx, idle)
		}
		fetches := c.PollRecords(polling, limit)
		cancel()
		got := fetches.Records()
		for _, r := range got {
			at[r.Partition] = r.Offset + 1
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
		}
		err := fetches.Err()
		if count == 0 && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) { // of the poll alone
			if err = nil; len(got) == 0 {
				err = skip()
			}
		}
		if err != nil && (ctx.Err() != nil || !uncoordinated(err) || time.Since(began) > election) {
			return records, err
		}
	}
	return records, nil
}

// kafkaMessage is a message as a spec sees it. json is the value if that is
// JSON, else None.
func kafkaMessage(r *kgo.Record) map[string]any {
	m := map[string]any{"topic": r.Topic, "partition": int64(r.Partition), "offset": r.Offset, "key": nil, "value": nil, "json": nil}
	if r.Key != nil {
		m["key"] = string(r.Key)
	}
	if r.Value != nil {
		m["value"] = string(r.Value)
		if v, ok := decodeJSON(r.Value); ok {
			m["json"] = v
		}
	}
	headers := map[string]any{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	m["headers"] = headers
	return m
}
