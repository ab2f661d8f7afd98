package drivers

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	segmentio "github.com/segmentio/kafka-go"
)

func segmentioWriter(addr, topic string) *segmentio.Writer {
	return &segmentio.Writer{Addr: segmentio.TCP(addr), Transport: &segmentio.Transport{}, Topic: topic, BatchTimeout: time.Millisecond, MaxAttempts: 2, BatchBytes: 10 << 20,
		WriteBackoffMin: time.Millisecond, WriteBackoffMax: time.Millisecond, RequiredAcks: segmentio.RequireAll,
		Balancer: segmentio.BalancerFunc(func(segmentio.Message, ...int) int { return 0 })}
}

func segmentioWork(t testing.TB, addr, topic string) (out []string) {
	for _, codec := range []segmentio.Compression{0, segmentio.Gzip, segmentio.Snappy, segmentio.Lz4, segmentio.Zstd} {
		w := segmentioWriter(addr, topic)
		w.Compression = codec
		w.Completion = func(messages []segmentio.Message, err error) {
			for _, m := range messages {
				out = append(out, fmt.Sprint(m.Partition, ":", m.Offset, " ", err))
			}
		}
		if err := w.WriteMessages(t.Context(), segmentio.Message{Key: []byte("a"), Value: []byte(codec.String())}, segmentio.Message{Value: []byte("b")}); err != nil {
			t.Fatal(err)
		}
		w.Close()
	}
	r := segmentio.NewReader(segmentio.ReaderConfig{Brokers: []string{addr}, Topic: topic, GroupID: "g-" + topic, StartOffset: segmentio.FirstOffset, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for range 10 {
		m, err := r.ReadMessage(ctx)
		out = append(out, fmt.Sprintf("%d:%d %s=%s %v", m.Partition, m.Offset, m.Key, m.Value, err))
	}
	return out
}

func segmentioProduce(t testing.TB, addr, topic string, count, size int) (out []string) {
	w := segmentioWriter(addr, topic)
	defer w.Close()
	w.Completion = func(messages []segmentio.Message, err error) {
		var ke segmentio.Error
		switch {
		case errors.As(err, &ke):
			out = append(out, fmt.Sprint("failed ", int(ke)))
		case err != nil:
			out = append(out, "failed "+err.Error())
		default:
			out = append(out, fmt.Sprint("sent ", messages[0].Offset))
		}
	}
	for i := range count {
		err := w.WriteMessages(t.Context(), segmentio.Message{Key: []byte(fmt.Sprint("k", i)), Value: []byte(strings.Repeat("v", size-1) + fmt.Sprint(i))})
		if len(out) == i {
			out = append(out, fmt.Sprint("failed ", err))
		}
	}
	return out
}

func segmentioConsume(t testing.TB, addr, topic string, count int) (out []string) {
	r := segmentio.NewReader(segmentio.ReaderConfig{Brokers: []string{addr}, Topic: topic, MaxWait: 100 * time.Millisecond, MaxAttempts: 3})
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for range count {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return append(out, "failed "+err.Error())
		}
		out = append(out, fmt.Sprintf("%d:%d %s=%s", m.Partition, m.Offset, m.Key, m.Value))
	}
	return out
}

func kcat(t testing.TB, stdin string, args ...string) []string {
	t.Helper()
	lookPath(t, "kcat", "kcat")
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err != nil {
		lines = append(lines, err.Error())
	}
	return slices.DeleteFunc(lines, func(l string) bool { return l == "" || strings.HasPrefix(l, "%3|") || strings.HasPrefix(l, "%4|") })
}

func kcatWork(t testing.TB, addr, topic string) (out []string) {
	sent := 0
	for _, flags := range [][]string{
		{"-z", "none"}, {"-z", "gzip"}, {"-z", "snappy"}, {"-z", "lz4"}, {"-z", "zstd"}, {"-X", "enable.idempotence=true"}, {"-X", "acks=0"},
		{"-X", "api.version.request=false", "-X", "broker.version.fallback=0.10.0", "-z", "gzip"},
		{"-X", "api.version.request=false", "-X", "broker.version.fallback=0.9.0", "-z", "snappy"},
	} {
		if strings.Contains(strings.Join(flags, " "), "fallback") && !oldKafka() {
			continue
		}
		sent += 2
		out = append(out, kcat(t, "a:1\nb:2\n", append([]string{"-P", "-b", addr, "-t", topic, "-p", "1", "-K:"}, flags...)...)...)
	}
	read := []string{"-C", "-b", addr, "-t", topic, "-e", "-q", "-f", `%p:%o %k=%s\n`}
	for _, flags := range [][]string{{}, {"-X", "check.crcs=true", "-X", "fetch.message.max.bytes=100"}, {"-X", "api.version.request=false", "-X", "broker.version.fallback=0.9.0"}} {
		if strings.Contains(strings.Join(flags, " "), "fallback") && !oldKafka() {
			continue
		}
		got := kcat(t, "", append(read, flags...)...)
		slices.Sort(got)
		out = append(out, got...)
	}
	return append(out, kcat(t, "", "-b", addr, "-G", "g-"+topic, "-c", strconv.Itoa(sent), "-q", "-X", "auto.offset.reset=earliest", "-f", `%p:%o %k=%s\n`, topic)...)
}

func kcatProduce(t testing.TB, addr, topic string, count, size int) (out []string) {
	for i := range count {
		told := kcat(t, fmt.Sprintf("k%d:%s%d\n", i, strings.Repeat("v", size-1), i), "-P", "-b", addr, "-t", topic, "-p", "0", "-K:",
			"-X", "retries=1", "-X", "retry.backoff.ms=10", "-X", "message.max.bytes=10000000", "-X", "acks=all")
		if len(told) == 0 {
			told = []string{"sent"}
		}
		out = append(out, told...)
	}
	return out
}

func kcatPipeline(t testing.TB, addr, topic string, count int) []string {
	var in [2]strings.Builder
	for i := range count {
		fmt.Fprintf(&in[i%2], "k%d:v%d\n", i, i)
	}
	var told []string
	for p := range in {
		told = append(told, kcat(t, in[p].String(), "-P", "-b", addr, "-t", topic, "-p", strconv.Itoa(p), "-K:",
			"-X", "enable.idempotence=true", "-X", "batch.num.messages=7", "-X", "linger.ms=1", "-z", "snappy")...)
	}
	return append(told, "all sent")
}

func kcatConsume(t testing.TB, addr, topic string, count int) []string {
	return kcat(t, "", "-C", "-b", addr, "-t", topic, "-c", strconv.Itoa(count), "-e", "-q", "-f", `%p:%o %k=%s\n`)
}
