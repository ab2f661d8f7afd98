package drivers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"faultbox/intercept"
	"faultbox/protocols/nats"
)

// goNATS connects without ever connecting again.
func goNATS(t testing.TB, addr string, options ...gonats.Option) *gonats.Conn {
	t.Helper()
	options = append([]gonats.Option{gonats.NoReconnect(), gonats.ErrorHandler(func(*gonats.Conn, *gonats.Subscription, error) {})}, options...)
	nc, err := gonats.Connect("nats://"+addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func natsMessage(m *gonats.Msg, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("%s %v %.40q %d", m.Subject, m.Header, m.Data, len(m.Data))
}

// goNATSCore does a bit of everything that needs no JetStream.
func goNATSCore(t testing.TB, nc *gonats.Conn) (saw []string) {
	defer nc.Close() // or its queue group takes a part of the next one's jobs
	const wait = 10 * time.Second
	tell := func(m *gonats.Msg, err error) { saw = append(saw, natsMessage(m, err)) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribe := func(subject string) *gonats.Subscription {
		t.Helper()
		s, err := nc.SubscribeSync(subject)
		must(err)
		return s
	}
	all, one, star := subscribe("t.>"), subscribe("t.a"), subscribe("t.*")
	must(nc.Publish("t.a", []byte("plain")))
	must(nc.Publish("t.b.c", nil))
	must(nc.PublishMsg(&gonats.Msg{Subject: "t.a", Header: gonats.Header{"A": {"1", "2"}, "B": {""}}, Data: []byte("MSG t.a 1 4\r\nPING\r\n")}))
	large := []byte(strings.Repeat("0123456789abcdef", 60_000))
	must(nc.Publish("t.a", large))
	must(nc.PublishMsg(&gonats.Msg{Subject: "t.b", Header: gonats.Header{"Large": {strings.Repeat("h", 30_000)}}, Data: large[:200_000]}))
	for range 5 {
		tell(all.NextMsg(wait))
	}
	for range 3 {
		tell(one.NextMsg(wait))
	}
	for range 4 {
		tell(star.NextMsg(wait))
	}
	must(one.AutoUnsubscribe(4))
	for i := range 3 {
		must(nc.Publish("t.a", fmt.Append(nil, i)))
	}
	for range 2 {
		tell(one.NextMsg(wait))
	}
	must(star.Unsubscribe())

	var mu sync.Mutex
	got := map[string]int{}
	done := make(chan struct{})
	for range 2 {
		_, err := nc.QueueSubscribe("jobs", "workers", func(m *gonats.Msg) {
			mu.Lock()
			defer mu.Unlock()
			if got["all"]++; got["all"] == 1000 {
				close(done)
			}
		})
		must(err)
	}
	for i := range 1000 {
		must(nc.Publish("jobs", fmt.Append(nil, i)))
	}
	must(nc.Flush())
	<-done
	saw = append(saw, fmt.Sprint("queue group: ", got["all"]))
	saw = append(saw, goNATSRequests(t, nc)...)
	return saw
}

func goNATSRequests(t testing.TB, nc *gonats.Conn) (saw []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	svc, err := nc.Subscribe("svc.echo", func(m *gonats.Msg) { m.RespondMsg(&gonats.Msg{Data: m.Data, Header: m.Header}) })
	if err != nil {
		t.Fatal(err)
	}
	answers := make([]string, 200)
	var work sync.WaitGroup
	for i := range answers {
		work.Go(func() {
			m, err := nc.RequestWithContext(ctx, "svc.echo", fmt.Append(nil, i))
			if err != nil {
				answers[i] = err.Error()
				return
			}
			answers[i] = string(m.Data)
		})
	}
	work.Wait()
	saw = append(saw, answers...)
	_, err = nc.RequestWithContext(ctx, "svc.none", nil)
	saw = append(saw, fmt.Sprint("no responders: ", err))
	_, err = nc.Subscribe("svc.mute", func(*gonats.Msg) {})
	if err != nil {
		t.Fatal(err)
	}
	_, err = nc.Request("svc.mute", nil, 50*time.Millisecond)
	saw = append(saw, fmt.Sprint("no answer: ", err))
	svc.Drain()
	return saw
}

// goNATSStream does a bit of everything with JetStream.
func goNATSStream(t testing.TB, nc *gonats.Conn, name string) (saw []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	tell := func(what string, v ...any) {
		saw = append(saw, strings.ReplaceAll(what+": "+fmt.Sprint(v...), name, "NAME"))
	}
	_, err = js.Stream(ctx, name)
	tell("no such stream", err)
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name + ".>"}, MaxMsgSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		ack, err := js.Publish(ctx, name+".a", fmt.Append(nil, i), jetstream.WithMsgID("same"))
		tell("publish", ack, err)
	}
	_, err = js.Publish(ctx, name+".a", make([]byte, 2000))
	tell("too large", err)
	_, err = js.Publish(ctx, name+".a", nil, jetstream.WithExpectLastSequence(99))
	tell("wrong sequence", err)
	_, err = js.Publish(ctx, "nobody.has.this", nil, jetstream.WithRetryAttempts(0))
	tell("no stream", err)
	for i := range 500 {
		if _, err := js.PublishAsync(name+".b", fmt.Append(nil, "async ", i)); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	info, err := s.Info(ctx)
	tell("stored", info.State.Msgs, err)

	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckWait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	batch, err := c.Fetch(10)
	tell("fetch", err)
	for m := range batch.Messages() {
		tell(m.Subject(), string(m.Data()), m.DoubleAck(ctx))
	}
	rest, err := c.Fetch(1000, jetstream.FetchMaxWait(100*time.Millisecond)) // more than there are
	tell("fetch", err)
	for m := range rest.Messages() {
		m.Ack()
		n++
	}
	tell("fetched", n, rest.Error())
	for i := range 100 {
		if _, err := js.Publish(ctx, name+".c", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	seen := make(chan uint64, 1000)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		meta, _ := m.Metadata()
		m.Ack()
		seen <- meta.Sequence.Stream
	})
	if err != nil {
		t.Fatal(err)
	}
	var sequences []uint64
	for len(sequences) < 100 {
		sequences = append(sequences, <-seen)
	}
	consuming.Stop()
	slices.Sort(sequences)
	tell("consumed", sequences)

	kv, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name})
	tell("bucket", err)
	_, err = kv.Get(ctx, "k")
	tell("no key", err)
	revision, err := kv.PutString(ctx, "k", "v")
	tell("put", revision, err)
	_, err = kv.Create(ctx, "k", nil)
	tell("create again", err)
	entry, err := kv.Get(ctx, "k")
	tell("get", string(entry.Value()), entry.Revision(), err)
	return saw
}

func TestGoNATSUntouched(t *testing.T) {
	EachNATS(t, func(t *testing.T, server string) {
		Compared(t, nats.Protocol, server, "nats.go", "publish, subscribe, headers, payloads of 900 KB", "verbose mode", "a queue group", "200 requests at once, no responders", "JetStream: publish, fetch, consume, errors", "key-value store")
		addr, log := Front(t, nats.Protocol, server, never(t, nats.Protocol, "topic"))
		for _, verbose := range []bool{false, true} {
			option := func(o *gonats.Options) error { o.Verbose = verbose; return nil }
			equalLines(t, goNATSCore(t, goNATS(t, server, option)), goNATSCore(t, goNATS(t, addr, option)))
		}
		equalLines(t, goNATSStream(t, goNATS(t, server), "DIRECT"), goNATSStream(t, goNATS(t, addr), "ARMED"))
		log.Wait(t, "of a message of a queue group", func(ev *intercept.Event) bool { return ev.Op == "MSG" && ev.Key == "jobs" })
		log.Wait(t, "of a request without responders", func(ev *intercept.Event) bool { return ev.Key == "svc.none" && ev.Err == "503" })
		log.Wait(t, "of an error of JetStream", func(ev *intercept.Event) bool { return ev.Key == "ARMED.a" && ev.Err == "10054" })
		if notes := log.Notes(); len(notes) > 0 {
			t.Errorf("notes: %q", notes)
		}
	})
}

// TestNATSIdle lets the server's PING and the client's pass both ways.
func TestNATSIdle(t *testing.T) {
	server := NATS(t)
	Compared(t, nats.Protocol, server, "nats.go", "PING and PONG while idle")
	addr, _ := Front(t, nats.Protocol, server, never(t, nats.Protocol, "topic"))
	nc := goNATS(t, addr, gonats.PingInterval(20*time.Millisecond), gonats.MaxPingsOutstanding(2))
	time.Sleep(300 * time.Millisecond)
	if !nc.IsConnected() {
		t.Error(nc.LastError())
	}
}

// TestNATSRefused compares how a client is refused.
func TestNATSRefused(t *testing.T) {
	server := NATS(t, "--user", "u", "--pass", "p")
	Compared(t, nats.Protocol, server, "nats.go", "wrong password")
	addr, _ := Front(t, nats.Protocol, server, never(t, nats.Protocol, "topic"))
	for _, at := range []string{server, addr} {
		if _, err := gonats.Connect("nats://wrong:password@"+at, gonats.NoReconnect()); !errors.Is(err, gonats.ErrAuthorization) {
			t.Errorf("%s: %v", at, err)
		}
		goNATS(t, at, gonats.UserInfo("u", "p"))
	}
}
