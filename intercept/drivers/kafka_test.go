package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/kafka"
)

// kafkaBed is a broker that can be reached directly and through a front.
type kafkaBed struct {
	direct, fronted string
	log             *Log
	client          *kgo.Client // goes to the broker directly, as admin does
	admin           *kadm.Client
	opts            []kgo.Opt // how to reach it directly
}

func newKafkaBed(t *testing.T) *kafkaBed {
	b := &kafkaBed{}
	b.direct, b.fronted = KafkaBehind(t, func(inner string) (outer string) {
		outer, b.log = Front(t, kafka.Protocol, inner)
		return outer
	})
	b.connect(t)
	return b
}

// connect makes the clients that go to the broker directly.
func (b *kafkaBed) connect(t testing.TB) {
	b.opts = slices.Clip(append(b.opts, kgo.SeedBrokers(b.direct)))
	var err error
	if b.client, err = kgo.NewClient(b.opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	b.admin = kadm.NewClient(b.client)
}

var topicNumber atomic.Int32

// topic makes a topic of its own for a test; config is pairs of name and value.
func (b *kafkaBed) topic(t testing.TB, partitions int32, config ...string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", topicNumber.Add(1))
	settings := map[string]*string{}
	for i := 0; i+1 < len(config); i += 2 {
		settings[config[i]] = &config[i+1]
	}
	if _, err := b.admin.CreateTopic(t.Context(), partitions, 1, settings, name); err != nil {
		t.Fatal(err)
	}
	b.await(t, name, partitions)
	return name
}

// await waits until brokers lead all partitions of a topic.
func (b *kafkaBed) await(t testing.TB, name string, partitions int32) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		ends, err := b.admin.ListEndOffsets(t.Context(), name)
		if err == nil && ends.Error() == nil && len(ends[name]) == int(partitions) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("topic %s: %v, %v", name, err, ends.Error())
		}
	}
}

// stored returns what is in a topic as a consumer that goes to the broker
// directly sees it: "partition:offset key=value", in the order of offsets.
// committed leaves out what transactions have not committed.
func (b *kafkaBed) stored(t testing.TB, topic string, committed bool) []string {
	t.Helper()
	ends, err := b.admin.ListEndOffsets(t.Context(), topic)
	if err := errors.Join(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	var out []string
	for partition, end := range ends[topic] {
		client, err := kgo.NewClient(append(b.opts, kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))...)
		if err != nil {
			t.Fatal(err)
		}
		for next := int64(0); next < end.Offset; {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			fetches := client.PollFetches(ctx)
			cancel()
			if err := fetches.Err(); err != nil {
				t.Fatalf("read %s from %d of %d: %v", topic, next, end.Offset, err)
			}
			for _, r := range fetches.Records() {
				next = r.Offset + 1
				if !r.Attrs.IsControl() {
					out = append(out, fmt.Sprintf("%d:%d %s=%s", r.Partition, r.Offset, r.Key, r.Value))
				}
			}
		}
		client.Close()
	}
	return out
}

// values returns the part behind the last blank of each line.
func values(lines []string) string {
	var out []string
	for _, l := range lines {
		out = append(out, l[strings.LastIndexByte(l, ' ')+1:])
	}
	return strings.Join(out, " ")
}

// arm arms rules on the front for the rest of the test.
func (b *kafkaBed) arm(t testing.TB, rules ...intercept.Rule) {
	t.Helper()
	t.Cleanup(b.log.Arm(t, kafka.Protocol, rules...))
}

func kafkaRule(t testing.TB, do intercept.Do, match ...string) intercept.Rule {
	return intercept.Rule{Match: Match(t, kafka.Protocol, match...), Fault: intercept.Fault{Do: do}}
}

func kafkaError(t testing.TB, code string, match ...string) intercept.Rule {
	r := kafkaRule(t, intercept.Answer, match...)
	r.Fault.Reply = &protocols.Reply{Error: true, Code: code}
	return r
}

func franz(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func rec(topic, key, value string) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(key), Value: []byte(value)}
}

func batchOf(topic string, from, to int) (out []*kgo.Record) {
	for i := from; i < to; i++ {
		out = append(out, rec(topic, fmt.Sprintf("k%d", i), fmt.Sprintf("v%d", i)))
	}
	return out
}

func TestKafkaDrop(t *testing.T) {
	b := newKafkaBed(t)
	Struck(t, kafka.Protocol, b.direct, "franz-go", "drop and duplicate in plain, gzip, snappy, lz4 and zstd batches")
	for _, codec := range []struct {
		name string
		kgo.CompressionCodec
	}{{"plain", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()}, {"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()}} {
		t.Run(codec.name, func(t *testing.T) {
			topic := b.topic(t, 1)
			b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce", "key", "k3"),
				kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce", "key", "k?1"),
				kafkaRule(t, intercept.Twice, "topic", topic, "method", "Produce", "key", "k4"))
			c := franz(t, b.fronted, kgo.ProducerBatchCompression(codec.CompressionCodec))
			for _, batch := range [][]*kgo.Record{batchOf(topic, 0, 6), batchOf(topic, 11, 12), batchOf(topic, 20, 24), batchOf(topic, 31, 32)} {
				if err := c.ProduceSync(t.Context(), batch...).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
			got := values(b.stored(t, topic, false))
			if want := "k0=v0 k1=v1 k2=v2 k4=v4 k4=v4 k5=v5 k20=v20 k22=v22 k23=v23"; got != want {
				t.Errorf("stored\n%s\nwant\n%s", got, want)
			}
		})
	}
	if notes := b.log.Notes(); len(notes) > 0 {
		t.Error(notes)
	}
}

// TestKafkaTransparent compares what each client's user is told directly and
// through an edge whose rule never matches.
func TestKafkaTransparent(t *testing.T) {
	b := newKafkaBed(t)
	b.arm(t, never(t, kafka.Protocol, "topic"), never(t, kafka.Protocol, "method"), never(t, kafka.Protocol, "key"))
	for _, c := range kafkaClients(t) {
		t.Run(c.name, func(t *testing.T) {
			Compared(t, kafka.Protocol, b.direct, c.name, c.features...)
			topics := []string{b.topic(t, 2), b.topic(t, 2)}
			straight, through := c.work(t, b.direct, topics[0]), c.work(t, b.fronted, topics[1])
			for i := range straight {
				straight[i] = strings.ReplaceAll(straight[i], topics[0], "TOPIC")
			}
			for i := range through {
				through[i] = strings.ReplaceAll(through[i], topics[1], "TOPIC")
			}
			if !slices.Equal(straight, through) {
				t.Errorf("direct\n%s\nthrough an edge\n%s", strings.Join(straight, "\n"), strings.Join(through, "\n"))
			}
			t.Logf("%d lines, last: %q", len(straight), straight[max(0, len(straight)-3):])
		})
	}
	if notes := b.log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}
