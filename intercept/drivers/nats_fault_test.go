package drivers

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/nats"
)

// natsBed is a client that goes through a front and a witness that doesn't.
type natsBed struct {
	*testing.T
	nc      *gonats.Conn
	errs    chan error           // what nc's error handler was told
	closed  chan struct{}        // nc has been closed by the server
	witness *gonats.Subscription // to "t.>" and "s.>"
	direct  *gonats.Conn         // it answers svc.echo, and has a stream S of "s.>"
}

func newNATSBed(t *testing.T, server, addr string) *natsBed {
	b := &natsBed{T: t, errs: make(chan error, 10), closed: make(chan struct{}), direct: goNATS(t, server)}
	b.nc = goNATS(t, addr,
		gonats.ErrorHandler(func(_ *gonats.Conn, _ *gonats.Subscription, err error) { b.errs <- err }),
		gonats.ClosedHandler(func(*gonats.Conn) { close(b.closed) }))
	b.must(b.direct.Subscribe("svc.echo", func(m *gonats.Msg) { m.Respond(m.Data) }))
	b.witness = b.must(b.direct.SubscribeSync("*.>"))
	js, _ := jetstream.New(b.direct)
	js.DeleteStream(t.Context(), "S")
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	b.direct.Flush()
	for b.witnessed(0) != nil {
	}
	return b
}

func (b *natsBed) must(s *gonats.Subscription, err error) *gonats.Subscription {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// witnessed returns the next messages of tests that the server got, as
// "subject data". What the server itself and inboxes say is left out.
func (b *natsBed) witnessed(n int) (got []string) {
	for {
		wait := 10 * time.Second
		if len(got) >= n {
			wait = 100 * time.Millisecond // for one too many
		}
		m, err := b.witness.NextMsg(wait)
		if err != nil {
			return got
		}
		if strings.HasPrefix(m.Subject, "t.") || strings.HasPrefix(m.Subject, "s.") || strings.HasPrefix(m.Subject, "svc.") {
			got = append(got, m.Subject+" "+string(m.Data))
		}
	}
}

func (b *natsBed) nextErr() error {
	select {
	case err := <-b.errs:
		return err
	case <-time.After(10 * time.Second):
		return errors.New("no error was reported")
	}
}

// awaitClosed returns the error that ended the connection.
func (b *natsBed) awaitClosed() error {
	select {
	case <-b.closed:
		return b.nc.LastError()
	case <-time.After(10 * time.Second):
		return errors.New("the connection is not closed")
	}
}

func (b *natsBed) request(subject string) string {
	m, err := b.nc.Request(subject, []byte("x"), 10*time.Second)
	if err != nil {
		return err.Error()
	}
	return string(m.Data)
}

func (b *natsBed) store(subject string) string { return natsStore(b, b.nc, subject) }

// natsStore publishes to a stream and returns its name, or what went wrong.
func natsStore(t testing.TB, nc *gonats.Conn, subject string) string {
	js, _ := jetstream.New(nc)
	ack, err := js.Publish(t.Context(), subject, []byte("x"), jetstream.WithRetryAttempts(0))
	if err != nil {
		var api *jetstream.APIError
		if errors.As(err, &api) {
			return fmt.Sprintf("%d %d %s", api.Code, api.ErrorCode, api.Description)
		}
		return err.Error()
	}
	return ack.Stream
}

func natsError(message, code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message, Code: code}}
}

// goNATSFaults says what nats.go sees of each fault and what reaches the server.
var goNATSFaults = []struct {
	name  string
	match []string
	fault intercept.Fault
	do    func(b *natsBed) any
	want  any
	got   []string // by the witness
	event intercept.Outcome
}{
	{"drop loses the message", []string{"topic", "t.lost"}, intercept.Fault{Do: intercept.Lose}, func(b *natsBed) any {
		b.nc.Publish("t.lost", []byte("1"))
		b.nc.Publish("t.kept", []byte("2"))
		return b.nc.Flush()
	}, nil, []string{"t.kept 2"}, intercept.Dropped},
	{"drop of a request times out", []string{"subject", "svc.>"}, intercept.Fault{Do: intercept.Lose}, func(b *natsBed) any {
		_, err := b.nc.Request("svc.echo", nil, 100*time.Millisecond)
		return errors.Is(err, gonats.ErrTimeout)
	}, true, nil, intercept.Dropped},
	{"a delivery is withheld", []string{"method", "MSG", "topic", "t.*"}, intercept.Fault{Do: intercept.Lose}, func(b *natsBed) any {
		s := b.must(b.nc.SubscribeSync("t.a"))
		b.nc.Publish("t.a", nil)
		_, err := s.NextMsg(200 * time.Millisecond)
		return errors.Is(err, gonats.ErrTimeout)
	}, true, []string{"t.a "}, intercept.Dropped},
	{"duplicate", []string{"topic", "t.a", "method", "PUB"}, intercept.Fault{Do: intercept.Twice}, func(b *natsBed) any {
		b.nc.PublishMsg(&gonats.Msg{Subject: "t.a", Header: gonats.Header{"A": {"b"}}, Data: []byte("x")})
		return b.nc.Flush()
	}, nil, []string{"t.a x", "t.a x"}, intercept.Doubled},
	{"duplicate of a request", []string{"topic", "svc.echo"}, intercept.Fault{Do: intercept.Twice}, func(b *natsBed) any {
		return b.request("svc.echo")
	}, "x", []string{"svc.echo x", "svc.echo x"}, intercept.Doubled},
	{"error of a request", []string{"topic", "svc.echo"}, natsError("", ""), func(b *natsBed) any {
		return b.request("svc.echo")
	}, gonats.ErrNoResponders.Error(), nil, intercept.Replaced},
	{"error of a request, with a text", []string{"topic", "svc.echo"}, natsError("the service is down", ""), func(b *natsBed) any {
		return b.request("svc.echo")
	}, gonats.ErrNoResponders.Error(), nil, intercept.Replaced},
	{"error after a request", []string{"topic", "svc.echo"}, after(natsError("no responders", "")), func(b *natsBed) any {
		return b.request("svc.echo")
	}, gonats.ErrNoResponders.Error(), []string{"svc.echo x"}, intercept.Replaced},
	{"error of a request with an inbox of its own", []string{"topic", "svc.echo"}, natsError("", ""), func(b *natsBed) any {
		nc := goNATS(b, b.nc.ConnectedAddr(), gonats.UseOldRequestStyle())
		_, err := nc.Request("svc.echo", nil, 10*time.Second)
		return err
	}, gonats.ErrNoResponders, nil, intercept.Replaced},
	{"publishing is not permitted", []string{"topic", "t.a"}, natsError("", ""), func(b *natsBed) any {
		b.nc.Publish("t.a", nil)
		b.nc.Publish("t.b", nil)
		return errors.Is(b.nextErr(), gonats.ErrPermissionViolation) && b.nc.Flush() == nil
	}, true, []string{"t.b "}, intercept.Replaced},
	{"a subscription is not permitted", []string{"topic", "t.a", "method", "MSG"}, natsError("permission denied", ""), func(b *natsBed) any {
		b.must(b.nc.SubscribeSync("t.a"))
		b.nc.Publish("t.a", nil)
		return errors.Is(b.nextErr(), gonats.ErrPermissionViolation)
	}, true, []string{"t.a "}, intercept.Replaced},
	{"authorization violation", []string{"topic", "t.a"}, natsError("", "AUTHORIZATION_VIOLATION"), func(b *natsBed) any {
		b.nc.Publish("t.a", nil)
		err := b.nextErr()
		b.awaitClosed()
		return err
	}, gonats.ErrAuthorization, nil, intercept.Replaced},
	{"stale connection", []string{"topic", "t.a"}, natsError("stale connection", ""), func(b *natsBed) any {
		b.nc.Publish("t.a", nil)
		return b.awaitClosed()
	}, gonats.ErrStaleConnection, nil, intercept.Replaced},
	{"a text of its own", []string{"topic", "t.a"}, natsError("it is on fire", ""), func(b *natsBed) any {
		b.nc.Publish("t.a", nil)
		return b.awaitClosed().Error()
	}, "nats: it is on fire", nil, intercept.Replaced},
	{"stream: disk full", []string{"topic", "s.a"}, natsError("disk full", ""), func(b *natsBed) any {
		return []string{b.store("s.a"), b.store("s.b")}
	}, []string{"500 10047 disk full", "S"}, []string{"s.b x"}, intercept.Replaced},
	{"stream: not found", []string{"topic", "$JS.API.STREAM.INFO.>"}, natsError("", "10059"), func(b *natsBed) any {
		js, _ := jetstream.New(b.nc)
		_, err := js.Stream(b.Context(), "S")
		return errors.Is(err, jetstream.ErrStreamNotFound)
	}, true, nil, intercept.Replaced},
	{"stream: no responders", []string{"topic", "s.a"}, natsError("no responders", ""), func(b *natsBed) any {
		return b.store("s.a")
	}, jetstream.ErrNoStreamResponse.Error(), nil, intercept.Replaced},
	{"stream: stored, but it says otherwise", []string{"topic", "s.a"}, after(natsError("", "10077")), func(b *natsBed) any {
		return b.store("s.a")
	}, "503 10077 maximum messages exceeded", []string{"s.a x"}, intercept.Replaced},
	{"stream: an acknowledgement is lost", []string{"topic", "$JS.ACK.>"}, intercept.Fault{Do: intercept.Lose}, func(b *natsBed) any {
		js, _ := jetstream.New(b.nc)
		b.store("s.a")
		c, err := js.CreateConsumer(b.Context(), "S", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: 100 * time.Millisecond})
		if err != nil {
			return err
		}
		var deliveries []uint64
		for range 2 {
			m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
			if err != nil {
				return err
			}
			meta, _ := m.Metadata()
			deliveries = append(deliveries, meta.NumDelivered)
			m.Ack()
		}
		return deliveries
	}, []uint64{1, 2}, []string{"s.a x", "s.a x", "s.a x"}, intercept.Dropped}, // published once, delivered twice
	{"delay: other messages and PING pass", []string{"topic", "t.slow"}, intercept.Fault{Delay: 300 * time.Millisecond}, func(b *natsBed) any {
		b.nc.Publish("t.slow", []byte("1"))
		b.nc.Publish("t.fast", []byte("2"))
		return b.nc.Flush()
	}, nil, []string{"t.fast 2", "t.slow 1"}, intercept.Answered},
	{"delay of an answer", []string{"topic", "svc.echo"}, after(intercept.Fault{Delay: 200 * time.Millisecond}), func(b *natsBed) any {
		start := time.Now()
		return []any{b.request("svc.echo"), time.Since(start) >= 200*time.Millisecond}
	}, []any{"x", true}, []string{"svc.echo x"}, intercept.Answered},
	{"reset", []string{"topic", "t.a"}, intercept.Fault{Do: intercept.Reset}, func(b *natsBed) any {
		b.nc.Publish("t.a", nil)
		b.awaitClosed()
		return b.nc.IsClosed()
	}, true, nil, intercept.WasReset},
	{"the connection is closed instead of an answer", []string{"topic", "svc.echo"}, after(intercept.Fault{Do: intercept.Close}), func(b *natsBed) any {
		return b.request("svc.echo")
	}, gonats.ErrConnectionClosed.Error(), []string{"svc.echo x"}, intercept.Dropped},
	{"a delivery is cut", []string{"topic", "t.a", "method", "MSG"}, intercept.Fault{Do: intercept.Cut, When: intercept.After, Bytes: 10}, func(b *natsBed) any {
		b.must(b.nc.SubscribeSync("t.a"))
		b.nc.Publish("t.a", make([]byte, 100))
		b.awaitClosed()
		return b.nc.IsClosed()
	}, true, []string{"t.a " + string(make([]byte, 100))}, intercept.WasCut},
}

func TestGoNATSFaults(t *testing.T) {
	server := NATS(t)
	for _, c := range goNATSFaults {
		t.Run(c.name, func(t *testing.T) {
			addr, log := Front(t, nats.Protocol, server, intercept.Rule{Match: Match(t, nats.Protocol, c.match...), Fault: c.fault})
			Struck(t, nats.Protocol, server, "nats.go", c.name)
			b := newNATSBed(t, server, addr)
			got := c.do(b)
			if err, ok := got.(error); ok && errors.Is(err, c.want.(error)) {
				got = c.want
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("the client saw %#v and not %#v", got, c.want)
			}
			if got := b.witnessed(len(c.got)); !reflect.DeepEqual(got, c.got) {
				t.Errorf("the server got %q and not %q", got, c.got)
			}
			log.Wait(t, "that the rule acted on", func(ev *intercept.Event) bool { return len(ev.Rules) > 0 && ev.Outcome == c.event })
			if a := log.Tally()[0]; a.Acted() == 0 {
				t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
			}
			if notes := log.Notes(); len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// TestNATSRealErrors holds the injected errors against those of a server.
func TestNATSRealErrors(t *testing.T) {
	server := NATS(t)
	addr, _ := Front(t, nats.Protocol, server, intercept.Rule{Match: Match(t, nats.Protocol, "topic", "f.full"), Fault: natsError("", "10077")},
		intercept.Rule{Match: Match(t, nats.Protocol, "topic", "f.none"), Fault: natsError("", "")})
	Struck(t, nats.Protocol, server, "nats.go", "against the server's own: stream full, no stream")
	js, _ := jetstream.New(goNATS(t, server))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "F", Subjects: []string{"f.full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew}); err != nil {
		t.Fatal(err)
	}
	natsStore(t, goNATS(t, server), "f.full")
	for subject, part := range map[string]string{"f.full": "maximum messages exceeded", "f.none": "no response from stream"} {
		real, injected := natsStore(t, goNATS(t, server), subject), natsStore(t, goNATS(t, addr), subject)
		if real != injected || !strings.Contains(real, part) {
			t.Errorf("%s: the server makes it %q, a fault %q", subject, real, injected)
		}
	}
}
