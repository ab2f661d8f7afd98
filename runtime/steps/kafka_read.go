package steps

import (
	"context"
	"maps"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaRead reads a topic from at as far as ends. Unlike a consumer it sees how
// far each answer goes: what is missing at the end, because it was compacted or
// a fault took it away, it does not wait for.
func kafkaRead(ctx context.Context, c *kgo.Client, topic string, at, ends offsets) (records []*kgo.Record, err error) {
	for {
		behind := at.behind(ends)
		if len(behind) == 0 {
			return records, nil
		}
		got, err := kafkaFetch(ctx, c, topic, behind)
		if records = append(records, got...); err != nil {
			return records, err
		}
		maps.Copy(at, behind)
	}
}

// kafkaSkip moves at over what lies before ends and does not come.
func kafkaSkip(ctx context.Context, c *kgo.Client, topic string, at, ends offsets) error {
	behind := at.behind(ends)
	got, err := kafkaFetch(ctx, c, topic, behind)
	for _, r := range got { // that will come
		delete(behind, r.Partition)
	}
	maps.Copy(at, behind)
	return err
}

// behind are those of the offsets that lie before ends.
func (o offsets) behind(ends offsets) offsets {
	some := offsets{}
	for id, end := range ends {
		if o[id] < end {
			some[id] = o[id]
		}
	}
	return some
}

// kafkaFetch asks once for what begins at those offsets, and moves them behind it.
func kafkaFetch(ctx context.Context, c *kgo.Client, topic string, at offsets) (records []*kgo.Record, err error) {
	requests, err := kafkaFetches(ctx, c, topic, at)
	if err != nil {
		return nil, err
	}
	for leader, req := range requests {
		resp, err := c.Broker(int(leader)).Request(ctx, req)
		if err != nil {
			return records, err
		}
		got, err := kafkaFetched(resp.(*kmsg.FetchResponse), topic, at)
		if records = append(records, got...); err != nil {
			return records, err
		}
	}
	return records, nil
}

// kafkaFetches are the requests for what begins at those offsets, by leader.
func kafkaFetches(ctx context.Context, c *kgo.Client, topic string, at offsets) (map[int32]*kmsg.FetchRequest, error) {
	ask := kmsg.NewPtrMetadataRequest()
	one := kmsg.NewMetadataRequestTopic()
	one.Topic = &topic
	ask.Topics = append(ask.Topics, one)
	known, err := ask.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	requests := map[int32]*kmsg.FetchRequest{}
	for _, t := range known.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			offset, wanted := at[p.Partition]
			if !wanted {
				continue
			}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil && p.Leader < 0 {
				return nil, err
			}
			req := requests[p.Leader]
			if req == nil {
				req = kmsg.NewPtrFetchRequest()
				req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 500, 1, 50<<20, -1
				ft := kmsg.NewFetchRequestTopic()
				ft.Topic, ft.TopicID = topic, t.TopicID
				req.Topics = append(req.Topics, ft)
				requests[p.Leader] = req
			}
			fp := kmsg.NewFetchRequestTopicPartition()
			fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = p.Partition, offset, 1<<20
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, fp)
		}
	}
	return requests, nil
}

// kafkaFetched takes the messages out of an answer, and moves at behind them.
func kafkaFetched(resp *kmsg.FetchResponse, topic string, at offsets) (records []*kgo.Record, err error) {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			o := kgo.ProcessFetchPartitionOpts{KeepControlRecords: true, Offset: at[p.Partition], Topic: topic, Partition: p.Partition}
			got, next := kgo.ProcessFetchPartition(o, p, kgo.DefaultDecompressor(), nil)
			for _, r := range got.Records {
				if !r.Attrs.IsControl() {
					records = append(records, r)
				}
			}
			at[p.Partition] = max(at[p.Partition], next)
			if got.Err != nil {
				return records, got.Err
			}
		}
	}
	return records, nil
}
