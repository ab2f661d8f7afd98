package drivers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/intercept"
	"faultbox/protocols/kafka"
)

// TestKafkaProduceErrors compares what a client reports of an injected error
// with what it reports when the broker itself has that error.
func TestKafkaProduceErrors(t *testing.T) {
	b := newKafkaBed(t)
	for _, c := range kafkaClients(t) {
		for _, e := range []struct {
			code, config, value string
			size                int
		}{
			{"MESSAGE_TOO_LARGE", "max.message.bytes", "500", 1000},
			{"RECORD_LIST_TOO_LARGE", "segment.bytes", "500", 1000},
		} {
			t.Run(c.name+"/"+e.code, func(t *testing.T) {
				Struck(t, kafka.Protocol, b.direct, c.name, "produce: error "+e.code)
				own := b.topic(t, 1, e.config, e.value)
				real := c.produce(t, b.direct, own, 2, e.size)

				topic := b.topic(t, 1)
				b.arm(t, kafkaError(t, e.code, "topic", topic))
				injected := c.produce(t, b.fronted, topic, 2, e.size)
				for i := range real {
					real[i] = strings.ReplaceAll(real[i], own, topic)
				}
				if !slices.Equal(real, injected) {
					t.Errorf("the broker's own %s is reported as\n%s\nthe injected one as\n%s", e.code, strings.Join(real, "\n"), strings.Join(injected, "\n"))
				}
				if got := b.stored(t, topic, false); len(got) > 0 {
					t.Errorf("stored %q although refused", got)
				}
				t.Logf("%q", real)
			})
		}
		t.Run(c.name+"/once", func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, c.name, "produce: not leader, once")
			topic := b.topic(t, 1)
			rule := kafkaError(t, "NOT_LEADER_OR_FOLLOWER", "topic", topic, "method", "Produce")
			rule.Trigger = intercept.Trigger{Times: 1, Prob: 1}
			b.arm(t, rule)
			told := c.produce(t, b.fronted, topic, 2, 3)
			if got := values(b.stored(t, topic, false)); got != "k0=vv0 k1=vv1" {
				t.Errorf("stored %q after a retry; the client was told %q", got, told)
			}
		})
	}
}

// TestKafkaLost drops and doubles what clients produce.
func TestKafkaLost(t *testing.T) {
	b := newKafkaBed(t)
	for _, c := range kafkaClients(t) {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, c.name, "produce: drop and duplicate")
			topic := b.topic(t, 1)
			b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "key", "k1"), kafkaRule(t, intercept.Twice, "topic", topic, "key", "k3"))
			told := c.produce(t, b.fronted, topic, 5, 2)
			if len(told) != 5 || !strings.HasPrefix(told[1], "sent") {
				t.Errorf("the client was told %q", told)
			}
			if got, want := values(b.stored(t, topic, false)), "k0=v0 k2=v2 k3=v3 k3=v3 k4=v4"; got != want {
				t.Errorf("stored %q, want %q", got, want)
			}
			b.log.Wait(t, "dropped", func(ev *intercept.Event) bool {
				return ev.Key == topic && ev.Text == "k1" && ev.Outcome == intercept.Dropped
			})
		})
	}
}

// TestKafkaPipeline loses 30 % and doubles 10 % of what idempotent producers
// send with many batches in flight: every client is told that all went well, and
// what is stored is exactly what the events say.
func TestKafkaPipeline(t *testing.T) {
	b := newKafkaBed(t)
	check := func(t *testing.T, count int, send func(topic string) []string) {
		topic := b.topic(t, 2)
		lose, twice := kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce"), kafkaRule(t, intercept.Twice, "topic", topic, "method", "Produce")
		lose.Trigger, twice.Trigger = intercept.Trigger{Prob: 0.3}, intercept.Trigger{Prob: 0.1}
		b.arm(t, lose, twice)
		if told := send(topic); told[len(told)-1] != "all sent" {
			t.Errorf("the client was told %q", told)
		}
		b.log.Wait(t, "for each message", func(ev *intercept.Event) bool { return len(b.events(topic)) == count })
		var want []string
		for _, ev := range b.events(topic) {
			line := ev.Text + "=v" + ev.Text[1:]
			switch ev.Outcome {
			case intercept.Answered:
				want = append(want, line)
			case intercept.Doubled:
				want = append(want, line, line)
			case intercept.Dropped:
			default:
				t.Errorf("outcome %q", ev.Outcome)
			}
		}
		got := strings.Fields(values(b.stored(t, topic, true)))
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("stored\n%q\nbut by its events\n%q", got, want)
		}
		if n := len(want); n == count || n < count/3 {
			t.Errorf("%d of %d stored", n, count)
		}
	}
	const count = 400
	for _, c := range kafkaClients(t) {
		if c.pipeline != nil {
			t.Run(c.name, func(t *testing.T) {
				Struck(t, kafka.Protocol, b.direct, c.name, "idempotent, in flight: 30 % dropped, 10 % duplicated")
				check(t, count, func(topic string) []string { return c.pipeline(t, b.fronted, topic, count) })
			})
		}
	}
	t.Run("transaction/Java client", func(t *testing.T) {
		Struck(t, kafka.Protocol, b.direct, "Java client", "transaction, in flight: 30 % dropped, 10 % duplicated")
		check(t, count, func(topic string) []string {
			return java(t, "testdata/kafka/Client.java", "pipeline", b.fronted, topic, fmt.Sprint(count), "tx-"+topic)
		})
	})
	t.Run("transaction/confluent-kafka", func(t *testing.T) {
		Struck(t, kafka.Protocol, b.direct, "confluent-kafka", "transaction, in flight: 30 % dropped, 10 % duplicated")
		check(t, count, func(topic string) []string {
			return command(t, "/usr/bin/python3", "testdata/kafka/client.py", "pipeline", b.fronted, topic, fmt.Sprint(count), "tx-"+topic)
		})
	})
}

// events returns what happened to the messages produced to a topic.
func (b *kafkaBed) events(topic string) []intercept.Event {
	return slices.DeleteFunc(b.log.Events(), func(ev intercept.Event) bool { return ev.Op != "Produce" || ev.Key != topic })
}

// fill stores batches of messages k0=v0, k1=v1 … by way of the broker itself.
func (b *kafkaBed) fill(t testing.TB, topic string, batches ...int) {
	t.Helper()
	c := franz(t, b.direct)
	from := 0
	for _, n := range batches {
		if err := c.ProduceSync(t.Context(), batchOf(topic, from, from+n)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		from += n
	}
}

// messagesIn leaves out the lines that are no messages.
func messagesIn(lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.Contains(l, "=") })
}

// TestKafkaDelivery loses messages on their way to consumers.
func TestKafkaDelivery(t *testing.T) {
	b := newKafkaBed(t)
	for _, c := range kafkaClients(t) {
		for _, f := range []struct {
			name    string
			batches []int
			lose    []string
			want    string
		}{
			{"some", []int{3, 3}, []string{"k1", "k5"}, "k0=v0 k2=v2 k3=v3 k4=v4"},
			{"a batch", []int{2, 3, 1}, []string{"k2", "k3", "k4"}, "k0=v0 k1=v1 k5=v5"},
			{"the first", []int{2, 1}, []string{"k0", "k1"}, "k2=v2"},
		} {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				Struck(t, kafka.Protocol, b.direct, c.name, "fetch: drop "+f.name)
				topic := b.topic(t, 1)
				b.fill(t, topic, f.batches...)
				for _, key := range f.lose {
					b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "method", "Fetch", "key", key))
				}
				got := values(messagesIn(c.consume(t, b.fronted, topic, len(strings.Fields(f.want)))))
				if got != f.want {
					t.Errorf("consumed %q, want %q", got, f.want)
				}
			})
		}
		for name, rule := range map[string]intercept.Rule{
			"error once": kafkaError(t, "NOT_LEADER_OR_FOLLOWER"), "reset once": kafkaRule(t, intercept.Reset),
			"truncate once": kafkaRule(t, intercept.Cut), "delay": {Fault: intercept.Fault{Delay: time.Millisecond}},
		} {
			switch {
			case c.name == "kcat" && (name == "reset once" || name == "truncate once"): // it may end when no broker is connected
				continue
			case c.name == "kafkajs" && name == "truncate once": // it takes the half answer for the beginning of its next connection
				continue
			}
			t.Run(c.name+"/"+name, func(t *testing.T) {
				Struck(t, kafka.Protocol, b.direct, c.name, "fetch: "+name)
				topic := b.topic(t, 1)
				b.fill(t, topic, 2, 2)
				rule.Match = Match(t, kafka.Protocol, "topic", topic, "method", "Fetch")
				if strings.HasSuffix(name, "once") {
					rule.Trigger = intercept.Trigger{Times: 1, Prob: 1}
				}
				rule.Fault.Bytes = 50
				b.arm(t, rule)
				told := c.consume(t, b.fronted, topic, 4)
				if values(messagesIn(told)) != "k0=v0 k1=v1 k2=v2 k3=v3" {
					t.Errorf("consumed %q", told)
				}
				if tally := b.log.Tally(); tally[len(tally)-1].Acted() == 0 {
					t.Error("the rule did not act")
				}
			})
		}
	}
}

// TestKafkaDeliveryTail loses the last messages of a topic: a consumer must not
// hang on them, and hears what comes later.
func TestKafkaDeliveryTail(t *testing.T) {
	b := newKafkaBed(t)
	Struck(t, kafka.Protocol, b.direct, "franz-go", "fetch: drop the last of a topic")
	topic := b.topic(t, 1)
	b.fill(t, topic, 1, 2)
	b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "method", "Fetch", "key", "k1"), kafkaRule(t, intercept.Lose, "topic", topic, "method", "Fetch", "key", "k2"))
	c := franz(t, b.fronted, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	got := franzRead(t, c, 1)
	p := franz(t, b.direct)
	if err := p.ProduceSync(t.Context(), rec(topic, "late", "1")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got = append(got, franzRead(t, c, 1)...)
	if want := "0:0 k0=v0,0:3 late=1"; strings.Join(got, ",") != want {
		t.Errorf("consumed %q, want %q", got, want)
	}
}

// TestKafkaReconnect: an idempotent producer of whose messages one was dropped
// connects again, with a reset or by itself, and goes on with its numbers.
func TestKafkaReconnect(t *testing.T) {
	b := newKafkaBed(t)
	Struck(t, kafka.Protocol, b.direct, "franz-go", "idempotent: drop, then reset and reconnect")
	topic := b.topic(t, 1)
	reset := kafkaRule(t, intercept.Reset, "topic", topic, "method", "Produce", "key", "k3")
	reset.Trigger = intercept.Trigger{Times: 1, Prob: 1}
	b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "method", "Produce", "key", "k1"), reset)
	c := franz(t, b.fronted, kgo.RecordRetries(10))
	for i := range 6 {
		if err := c.ProduceSync(t.Context(), batchOf(topic, i, i+1)...).FirstErr(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	if got, want := values(b.stored(t, topic, false)), "k0=v0 k2=v2 k3=v3 k4=v4 k5=v5"; got != want {
		t.Errorf("stored %q, want %q", got, want)
	}
	b.log.Wait(t, "reset", func(ev *intercept.Event) bool { return ev.Key == topic && ev.Outcome == intercept.WasReset })
}

// TestKafkaPart faults one topic of a request that has two.
func TestKafkaPart(t *testing.T) {
	b := newKafkaBed(t)
	Struck(t, kafka.Protocol, b.direct, "franz-go", "one topic and partition of a request")
	good, bad, gone := b.topic(t, 1), b.topic(t, 2), b.topic(t, 1)
	b.arm(t, kafkaError(t, "TOPIC_AUTHORIZATION_FAILED", "topic", bad, "partition", "1"), kafkaRule(t, intercept.Lose, "topic", gone))
	for _, idempotent := range []bool{true, false} {
		opts := []kgo.Opt{kgo.ProducerLinger(50 * time.Millisecond)}
		if !idempotent {
			opts = append(opts, kgo.DisableIdempotentWrite())
		}
		c := franz(t, b.fronted, opts...)
		second := rec(bad, "b", "1")
		second.Partition = 1
		results := c.ProduceSync(t.Context(), rec(good, "a", "1"), rec(bad, "b", "0"), second, rec(gone, "c", "1"))
		for _, r := range results {
			refused := r.Record.Topic == bad && r.Record.Partition == 1
			if refused != errors.Is(r.Err, kerr.TopicAuthorizationFailed) || !refused && r.Err != nil {
				t.Errorf("%s %d: %v", r.Record.Topic, r.Record.Partition, r.Err)
			}
		}
	}
	for topic, want := range map[string]string{good: "a=1 a=1", bad: "b=0 b=0", gone: ""} {
		if got := values(b.stored(t, topic, false)); got != want {
			t.Errorf("%s: stored %q, want %q", topic, got, want)
		}
	}
}

// TestKafkaUnheard: without acknowledgements a lost message is lost, and an
// error closes the connection, as a broker does.
func TestKafkaUnheard(t *testing.T) {
	b := newKafkaBed(t)
	Struck(t, kafka.Protocol, b.direct, "franz-go", "acks 0: drop and error")
	topic := b.topic(t, 1)
	b.arm(t, kafkaRule(t, intercept.Lose, "topic", topic, "key", "k1"), kafkaError(t, "NOT_LEADER_OR_FOLLOWER", "topic", topic, "key", "k3"))
	c := franz(t, b.fronted, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	for i := range 6 {
		if err := c.ProduceSync(t.Context(), batchOf(topic, i, i+1)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		b.log.Wait(t, "for the message", func(ev *intercept.Event) bool { return ev.Key == topic && ev.Text == fmt.Sprint("k", i) })
		if i == 3 { // until the client notices, what it writes is lost, and nobody says so
			b.untilHeard(t, c, topic)
		}
	}
	want := "k0=v0 k2=v2 k4=v4 k5=v5" // in any order: k3 made the client connect anew
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := slices.DeleteFunc(strings.Fields(values(b.stored(t, topic, false))), func(s string) bool { return s == "again=" })
		if slices.Sort(got); strings.Join(got, " ") == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("stored %q, want %q", got, want)
		}
	}
}

// untilHeard sends messages "again" until the broker gets one.
func (b *kafkaBed) untilHeard(t *testing.T, c *kgo.Client, topic string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err := c.ProduceSync(t.Context(), rec(topic, "again", "")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(b.log.Events(), func(ev intercept.Event) bool { return ev.Key == topic && ev.Text == "again" }) {
			return
		}
	}
	t.Fatal("the client does not connect again")
}

// TestKafkaRequests faults requests that hold no messages.
func TestKafkaRequests(t *testing.T) {
	b := newKafkaBed(t)
	topic := b.topic(t, 2)
	b.fill(t, topic, 2)
	for _, c := range []struct{ method, code, mode, want string }{
		{"JoinGroup", "GROUP_AUTHORIZATION_FAILED", "consume", "failed GroupAuthorizationException"},
		{"SyncGroup", "GROUP_AUTHORIZATION_FAILED", "consume", "failed GroupAuthorizationException"},
		{"FindCoordinator", "GROUP_AUTHORIZATION_FAILED", "consume", "failed GroupAuthorizationException"},
		{"OffsetFetch", "GROUP_AUTHORIZATION_FAILED", "consume", "failed GroupAuthorizationException"},
		{"ConsumerGroupHeartbeat", "GROUP_AUTHORIZATION_FAILED", "consume-new", "failed GroupAuthorizationException"},
		{"Metadata", "TOPIC_AUTHORIZATION_FAILED", "consume", "failed TopicAuthorizationException"},
		{"ListOffsets", "TOPIC_AUTHORIZATION_FAILED", "consume", "failed TopicAuthorizationException"},
	} {
		t.Run(c.method, func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, "Java client", c.method+": error "+c.code)
			b.arm(t, kafkaError(t, c.code, "method", c.method))
			if got := java(t, "testdata/kafka/Client.java", c.mode, b.fronted, topic, "2"); got[0] != c.want {
				t.Errorf("the client reports %q, want %q", got, c.want)
			}
		})
	}
	for _, method := range []string{"SyncGroup", "OffsetCommit", "ConsumerGroupHeartbeat"} {
		t.Run(method+" once", func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, "Java client", method+": error, once")
			topic := b.topic(t, 2)
			b.fill(t, topic, 2)
			code := "COORDINATOR_NOT_AVAILABLE"
			if method == "SyncGroup" {
				code = "REBALANCE_IN_PROGRESS"
			}
			rule := kafkaError(t, code, "method", method, "group", "g-*"+topic)
			rule.Trigger = intercept.Trigger{Times: 1, Prob: 1}
			b.arm(t, rule)
			mode := "consume"
			if strings.HasPrefix(method, "Consumer") {
				mode = "consume-new"
			}
			if got := java(t, "testdata/kafka/Client.java", mode, b.fronted, topic, "2"); !slices.Contains(got, "committed 0:2") {
				t.Errorf("the client reports %q", got)
			}
			if tally := b.log.Tally(); tally[len(tally)-1].Acted() != 1 {
				t.Error("the rule did not act")
			}
		})
	}
	t.Run("drop", func(t *testing.T) {
		Struck(t, kafka.Protocol, b.direct, "franz-go", "ListGroups: drop")
		b.arm(t, kafkaRule(t, intercept.Lose, "method", "ListGroups"))
		c := franz(t, b.fronted, kgo.RequestRetries(0))
		if _, err := kmsg.NewPtrListGroupsRequest().RequestWith(t.Context(), c); err == nil {
			t.Error("a dropped request was answered")
		}
		b.log.Wait(t, "dropped", func(ev *intercept.Event) bool { return ev.Op == "ListGroups" && ev.Outcome == intercept.Dropped })
	})
	t.Run("after", func(t *testing.T) {
		Struck(t, kafka.Protocol, b.direct, "franz-go", "CreateTopics: error after")
		rule := kafkaError(t, "TOPIC_ALREADY_EXISTS", "method", "CreateTopics")
		rule.Fault.When = intercept.After
		b.arm(t, rule)
		name := fmt.Sprintf("t%d", topicNumber.Add(1))
		_, err := kadm.NewClient(franz(t, b.fronted)).CreateTopic(t.Context(), 1, 1, nil, name)
		if topics, _ := b.admin.ListTopics(t.Context(), name); !errors.Is(err, kerr.TopicAlreadyExists) || !topics.Has(name) {
			t.Errorf("told %v; created %v", err, topics.Has(name))
		}
	})
}

// TestKafkaAfter: stored, but the client hears of an error, a reset or half an
// answer; and a delay is an event like any other.
func TestKafkaAfter(t *testing.T) {
	b := newKafkaBed(t)
	for _, f := range []struct {
		name string
		rule intercept.Rule
		want intercept.Outcome
		err  bool
	}{
		{"error", kafkaError(t, "REQUEST_TIMED_OUT"), intercept.Replaced, true},
		{"reset", kafkaRule(t, intercept.Reset), intercept.WasReset, true},
		{"truncate", kafkaRule(t, intercept.Cut), intercept.WasCut, true},
		{"delay", intercept.Rule{Fault: intercept.Fault{Delay: time.Millisecond}}, intercept.Answered, false},
	} {
		t.Run(f.name, func(t *testing.T) {
			Struck(t, kafka.Protocol, b.direct, "franz-go", "produce: "+f.name+" after")
			topic := b.topic(t, 1)
			f.rule.Match = Match(t, kafka.Protocol, "topic", topic)
			f.rule.Fault.When = intercept.After
			f.rule.Fault.Bytes = 6
			b.arm(t, f.rule)
			c := franz(t, b.fronted, kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
			err := c.ProduceSync(t.Context(), rec(topic, "k", "v")).FirstErr()
			if (err != nil) != f.err {
				t.Errorf("the client was told %v", err)
			}
			if got := values(b.stored(t, topic, false)); got != "k=v" {
				t.Errorf("stored %q", got)
			}
			b.log.Wait(t, string(f.want), func(ev *intercept.Event) bool {
				return ev.Key == topic && ev.Outcome == f.want && len(ev.Rules) == 1
			})
		})
	}
}
