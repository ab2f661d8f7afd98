package drivers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaClient is a client family. Its functions return lines that say what the
// client's user is told.
type kafkaClient struct {
	name     string
	features []string // that work makes use of
	// work goes through what the client can do on a topic with two partitions.
	work func(t testing.TB, addr, topic string) []string
	// produce sends messages of that size to partition 0, one by one.
	produce func(t testing.TB, addr, topic string, count, size int) []string
	// pipeline sends messages k0=v0, k1=v1 … to two partitions, in turn, as an
	// idempotent producer; nil: the client has none.
	pipeline func(t testing.TB, addr, topic string, count int) []string
	// consume reads that many messages from the beginning.
	consume func(t testing.TB, addr, topic string, count int) []string
}

func kafkaClients(t *testing.T) []kafkaClient {
	script := func(run func(t testing.TB, args ...string) []string) kafkaClient {
		return kafkaClient{
			work: func(t testing.TB, addr, topic string) []string { return run(t, "work", addr, topic) },
			produce: func(t testing.TB, addr, topic string, count, size int) []string {
				return run(t, "produce", addr, topic, strconv.Itoa(count), strconv.Itoa(size))
			},
			pipeline: func(t testing.TB, addr, topic string, count int) []string {
				return run(t, "pipeline", addr, topic, strconv.Itoa(count))
			},
			consume: func(t testing.TB, addr, topic string, count int) []string {
				return run(t, "consume", addr, topic, strconv.Itoa(count))
			},
		}
	}
	jvm := script(func(t testing.TB, args ...string) []string { return java(t, "testdata/kafka/Client.java", args...) })
	jvm.name = "Java client"
	jvm.features = []string{"produce and consume, all compressions", "idempotent producer", "transactions, read_committed", "classic consumer group", "new consumer group (KIP-848)"}
	js := script(func(t testing.TB, args ...string) []string {
		source, err := os.ReadFile("testdata/kafka/client.js")
		if err != nil {
			t.Fatal(err)
		}
		return node(t, npm(t, "kafka", "kafkajs"), string(source), args...)
	})
	js.name, js.features = "kafkajs", []string{"produce and consume", "transactions", "consumer group"}
	python := script(func(t testing.TB, args ...string) []string {
		if exec.Command("/usr/bin/python3", "-c", "import confluent_kafka").Run() != nil {
			t.Skip("needs confluent_kafka: apt-get install -y --no-install-recommends python3-confluent-kafka")
		}
		return command(t, "/usr/bin/python3", append([]string{"testdata/kafka/client.py"}, args...)...)
	})
	python.name, python.features = "confluent-kafka", []string{"produce and consume, all compressions", "idempotent producer", "transactions", "consumer group"}
	return []kafkaClient{
		{"franz-go", []string{"transactions, read_committed", "consumer group", "acks 0, 1 and all"}, franzWork, franzProduce, franzPipeline, franzConsume},
		{"sarama", []string{"API versions of Kafka 0.10, 0.11, 2.8 and newest", "all compressions", "idempotent producer"}, saramaWork, saramaProduce, saramaPipeline, saramaConsume},
		{"kafka-go", []string{"all compressions", "consumer group"}, segmentioWork, segmentioProduce, nil, segmentioConsume},
		{"kcat", []string{"all compressions", "API versions of Kafka 0.9 and 0.10", "acks 0", "idempotent producer", "consumer group", "CRC checks"}, kcatWork, kcatProduce, kcatPipeline, kcatConsume},
		jvm, js, python,
	}
}

// command runs a program and returns the lines it printed.
func command(t testing.TB, name string, args ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func franzWork(t testing.TB, addr, topic string) (out []string) {
	c := franz(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumerGroup("g-"+topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.TransactionalID("tx-"+topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, r := range batchOf(topic, 0, 3) {
			r.Partition = 1
			sent, err := c.ProduceSync(t.Context(), r).First()
			out = append(out, fmt.Sprint(sent.Offset, err))
		}
		out = append(out, fmt.Sprint(c.EndTransaction(t.Context(), end)))
	}
	out = append(out, franzRead(t, c, 6)...)
	out = append(out, fmt.Sprint(c.CommitUncommittedOffsets(t.Context()), c.CommittedOffsets()[topic][1].Offset))
	for _, acks := range []kgo.Acks{kgo.NoAck(), kgo.LeaderAck(), kgo.AllISRAcks()} {
		p := franz(t, addr, kgo.RequiredAcks(acks), kgo.DisableIdempotentWrite())
		sent, err := p.ProduceSync(t.Context(), rec(topic, "k", strings.Repeat("long", 5000))).First()
		if err == nil && acks == kgo.NoAck() {
			sent.Offset = 0
		}
		out = append(out, fmt.Sprint(sent.Offset, err))
	}
	return out
}

func franzRead(t testing.TB, c *kgo.Client, count int) (out []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(out) < count && ctx.Err() == nil {
		f := c.PollFetches(ctx)
		f.EachError(func(_ string, p int32, err error) { out = append(out, fmt.Sprint("failed ", p, " ", err)) })
		f.EachRecord(func(r *kgo.Record) {
			out = append(out, fmt.Sprintf("%d:%d %s=%s", r.Partition, r.Offset, r.Key, r.Value))
		})
	}
	slices.Sort(out)
	return out
}

func franzProduce(t testing.TB, addr, topic string, count, size int) (out []string) {
	c := franz(t, addr, kgo.RecordRetries(1), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(10<<20), kgo.RetryBackoffFn(func(int) time.Duration { return time.Millisecond }))
	for i := range count {
		sent, err := c.ProduceSync(t.Context(), rec(topic, fmt.Sprint("k", i), strings.Repeat("v", size-1)+fmt.Sprint(i))).First()
		var ke *kerr.Error
		switch {
		case errors.As(err, &ke):
			out = append(out, "failed "+ke.Message)
		case err != nil:
			out = append(out, "failed "+err.Error())
		default:
			out = append(out, fmt.Sprint("sent ", sent.Offset))
		}
	}
	return out
}

func franzPipeline(t testing.TB, addr, topic string, count int) []string {
	c := franz(t, addr, kgo.MaxBufferedRecords(100), kgo.ProducerBatchMaxBytes(512), kgo.RecordRetries(10))
	failed := make(chan string, count)
	for i, r := range batchOf(topic, 0, count) {
		r.Partition = int32(i % 2)
		c.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				failed <- err.Error()
			}
		})
	}
	if err := c.Flush(t.Context()); err != nil {
		return []string{err.Error()}
	}
	if len(failed) > 0 {
		return []string{<-failed}
	}
	return []string{"all sent"}
}

func franzConsume(t testing.TB, addr, topic string, count int) []string {
	return franzRead(t, franz(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), count)
}

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.Return.Successes = true
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Retry.Backoff = time.Millisecond
	c.Producer.Retry.Max = 1
	c.Producer.MaxMessageBytes = 10 << 20
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Return.Errors = true
	return c
}

func saramaWork(t testing.TB, addr, topic string) (out []string) {
	for _, version := range []sarama.KafkaVersion{sarama.V0_10_2_0, sarama.V0_11_0_0, sarama.V2_8_0_0, sarama.MaxVersion} {
		if !version.IsAtLeast(sarama.V2_1_0_0) && !oldKafka() {
			continue
		}
		for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
			c := saramaConfig()
			c.Version = version
			if codec == sarama.CompressionZSTD && !version.IsAtLeast(sarama.V2_1_0_0) {
				continue
			}
			c.Producer.Compression = codec
			if version.IsAtLeast(sarama.V0_11_0_0) {
				c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
			}
			p, err := sarama.NewSyncProducer([]string{addr}, c)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: int32(i), Key: sarama.StringEncoder("k"), Value: sarama.StringEncoder(fmt.Sprint(version, codec))})
				out = append(out, fmt.Sprint(offset, err))
			}
			p.Close()
		}
	}
	return append(out, saramaConsume(t, addr, topic, len(out))...)
}

func saramaProduce(t testing.TB, addr, topic string, count, size int) (out []string) {
	p, err := sarama.NewSyncProducer([]string{addr}, saramaConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range count {
		_, offset, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Key: sarama.StringEncoder(fmt.Sprint("k", i)), Value: sarama.StringEncoder(strings.Repeat("v", size-1) + fmt.Sprint(i))})
		var ke sarama.KError
		switch {
		case errors.As(err, &ke):
			out = append(out, fmt.Sprint("failed ", int(ke)))
		case err != nil:
			out = append(out, "failed "+err.Error())
		default:
			out = append(out, fmt.Sprint("sent ", offset))
		}
	}
	return out
}

func saramaPipeline(t testing.TB, addr, topic string, count int) []string {
	c := saramaConfig()
	c.Producer.Idempotent, c.Net.MaxOpenRequests, c.Producer.Retry.Max = true, 1, 10
	p, err := sarama.NewSyncProducer([]string{addr}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := 0; i < count; i += 20 {
		var messages []*sarama.ProducerMessage
		for k := i; k < i+20; k++ {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Partition: int32(k % 2), Key: sarama.StringEncoder(fmt.Sprint("k", k)), Value: sarama.StringEncoder(fmt.Sprint("v", k))})
		}
		if err := p.SendMessages(messages); err != nil {
			return []string{err.Error()}
		}
	}
	return []string{"all sent"}
}

func saramaConsume(t testing.TB, addr, topic string, count int) (out []string) {
	c, err := sarama.NewConsumer([]string{addr}, saramaConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	partitions, err := c.Partitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	stop := make(chan struct{})
	defer close(stop)
	for _, p := range partitions {
		pc, err := c.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				var line string
				select {
				case m := <-pc.Messages():
					line = fmt.Sprintf("%d:%d %s=%s", m.Partition, m.Offset, m.Key, m.Value)
				case err := <-pc.Errors():
					line = fmt.Sprint("failed ", err.Err)
				case <-stop:
					return
				}
				select {
				case lines <- line:
				case <-stop:
					return
				}
			}
		}()
		defer pc.AsyncClose()
	}
	timeout := time.After(20 * time.Second)
	for len(messagesIn(out)) < count {
		select {
		case l := <-lines:
			out = append(out, l)
		case <-timeout:
			count = 0
		}
	}
	slices.Sort(out)
	return out
}
