// franz-go: client pipeline ADDRESS TOPIC COUNT | client consume ADDRESS TOPIC COUNT
package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	mode, address, topic := os.Args[1], os.Args[2], os.Args[3]
	count, _ := strconv.Atoi(os.Args[4])
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(512),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	if mode == "pipeline" {
		for i := range count {
			r := &kgo.Record{Topic: topic, Partition: int32(i % 2), Key: fmt.Append(nil, "k", i), Value: fmt.Append(nil, "v", i)}
			c.Produce(ctx, r, func(_ *kgo.Record, err error) {
				if err != nil {
					fmt.Println("failed", err)
				}
			})
		}
		if err := c.Flush(ctx); err == nil {
			fmt.Println("all sent")
		}
		return
	}
	var got []string
	for len(got) < count && ctx.Err() == nil {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			got = append(got, fmt.Sprintf("%d:%d %s=%s", r.Partition, r.Offset, r.Key, r.Value))
		})
	}
	slices.Sort(got)
	for _, line := range got {
		fmt.Println(line)
	}
}
