package drivers

import (
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	rabbit "github.com/rabbitmq/amqp091-go"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/amqp"
)

// amqpBed is a client that goes through a front, and a channel that doesn't.
// Queue q gets what is published as t.# to exchange "t"; dead is empty.
type amqpBed struct {
	*testing.T
	conn   *rabbit.Connection
	direct *rabbit.Channel
	q      string
}

func newAMQPBed(t *testing.T, server, addr string) *amqpBed {
	b := &amqpBed{T: t, conn: goAMQP(t, addr), direct: amqpChannel(t, goAMQP(t, server)), q: "q"}
	b.direct.QueueDelete(b.q, false, false, false)
	b.direct.ExchangeDeclare("t", "topic", true, false, false, false, nil)
	if _, err := b.direct.QueueDeclare(b.q, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	b.direct.QueueBind(b.q, "t.#", "t", false, nil)
	return b
}

// stored empties the queue.
func (b *amqpBed) stored(n int) (got []string) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		d, ok, err := b.direct.Get(b.q, true)
		switch {
		case err != nil:
			b.Fatal(err)
		case ok:
			got = append(got, d.RoutingKey)
		case len(got) >= n:
			return got
		default:
			time.Sleep(5 * time.Millisecond)
		}
	}
	return got
}

// publish publishes with confirms and tells each ack and nack, or how the
// channel was closed.
func (b *amqpBed) publish(keys ...string) (saw []string) {
	ch := amqpChannel(b, b.conn)
	defer ch.Close()
	ch.Confirm(false)
	confirms := ch.NotifyPublish(make(chan rabbit.Confirmation, len(keys)))
	closed := ch.NotifyClose(make(chan *rabbit.Error, 1))
	for _, key := range keys {
		ch.Publish("t", key, false, false, rabbit.Publishing{Body: []byte("x")})
	}
	for range keys {
		c, open := <-confirms
		if !open {
			return append(saw, amqpError(<-closed))
		}
		saw = append(saw, fmt.Sprint(c.DeliveryTag, c.Ack))
	}
	return saw
}

func amqpError(err error) string {
	var e *rabbit.Error
	if !errors.As(err, &e) || e == nil {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(e.Code, " ", e.Reason)
}

// closes tells how a channel is closed that does this.
func (b *amqpBed) closes(do func(*rabbit.Channel) error) string {
	ch := amqpChannel(b, b.conn)
	closed := ch.NotifyClose(make(chan *rabbit.Error, 1))
	do(ch)
	said := amqpError(<-closed)
	if b.conn.IsClosed() {
		return said + ", connection closed"
	}
	if _, err := amqpChannel(b, b.conn).QueueDeclarePassive(b.q, true, false, false, false, nil); err != nil { // the connection is fit for use
		return said + ", then " + err.Error()
	}
	return said
}

func amqpFault(message, code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message, Code: code}}
}

func plainPublish(ch *rabbit.Channel) error {
	return ch.Publish("t", "t.a", false, false, rabbit.Publishing{})
}

// consume returns the keys of the next n deliveries, each acknowledged, and
// how many the server still holds as not acknowledged afterwards.
func (b *amqpBed) consume(n int, ack bool) (got []string) {
	ch := amqpChannel(b, b.conn)
	deliveries, err := ch.Consume(b.q, "", !ack, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	for range n {
		select {
		case d := <-deliveries:
			got = append(got, fmt.Sprint(d.RoutingKey, " ", d.Redelivered))
			if ack {
				d.Ack(false)
			}
		case <-time.After(10 * time.Second):
			return append(got, "no delivery")
		}
	}
	if err := ch.Close(); err != nil { // it would tell of an acknowledgement that the server refuses
		got = append(got, err.Error())
	}
	return got
}

var goAMQPFaultCases = []struct {
	name  string
	match []string
	fault intercept.Fault
	do    func(b *amqpBed) any
	want  any
	has   []string // the queue, afterwards
	event intercept.Outcome
}{
	{"drop: confirmed but lost", []string{"topic", "t.lost"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		return b.publish("t.a", "t.lost", "t.b", "t.lost", "t.c")
	}, []string{"1 true", "2 true", "3 true", "4 true", "5 true"}, []string{"t.a", "t.b", "t.c"}, intercept.Dropped},
	{"error: a negative confirm", []string{"topic", "t.bad", "exchange", "t"}, amqpFault("disk full", ""), func(b *amqpBed) any {
		return b.publish("t.a", "t.bad", "t.b")
	}, []string{"1 true", "2 false", "3 true"}, []string{"t.a", "t.b"}, intercept.Replaced},
	{"error after: stored and negatively confirmed", []string{"topic", "t.bad"}, after(amqpFault("", "")), func(b *amqpBed) any {
		return b.publish("t.a", "t.bad", "t.b")
	}, []string{"1 true", "2 false", "3 true"}, []string{"t.a", "t.bad", "t.b"}, intercept.Replaced},
	{"error with a code closes the channel in spite of confirms", []string{"topic", "t.bad"}, amqpFault("", "ACCESS_REFUSED"), func(b *amqpBed) any {
		return b.publish("t.bad")
	}, []string{"403 ACCESS_REFUSED - access to exchange 't' in vhost '/' refused"}, nil, intercept.Replaced},
	{"duplicate with confirms", []string{"topic", "t.twice"}, intercept.Fault{Do: intercept.Twice}, func(b *amqpBed) any {
		return b.publish("t.a", "t.twice", "t.b", "t.twice", "t.c")
	}, []string{"1 true", "2 true", "3 true", "4 true", "5 true"}, []string{"t.a", "t.twice", "t.twice", "t.b", "t.twice", "t.twice", "t.c"}, intercept.Doubled},
	{"error without confirms", []string{"topic", "t.#"}, amqpFault("", "404"), func(b *amqpBed) any {
		return b.closes(plainPublish)
	}, "404 NOT_FOUND - no exchange 't' in vhost '/'", nil, intercept.Replaced},
	{"error closes the connection", []string{"topic", "t.a"}, amqpFault("", "320"), func(b *amqpBed) any {
		return b.closes(plainPublish)
	}, "320 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown', connection closed", nil, intercept.Replaced},
	{"drop without confirms", []string{"topic", "t.a"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		ch := amqpChannel(b, b.conn)
		plainPublish(ch)
		return []error{ch.Publish("t", "t.b", false, false, rabbit.Publishing{}), ch.Close()}
	}, []error{nil, nil}, []string{"t.b"}, intercept.Dropped},
	{"error of a declaration", []string{"method", "queue.declare", "key", "locked"}, amqpFault("", "405"), func(b *amqpBed) any {
		return b.closes(func(ch *rabbit.Channel) error {
			_, err := ch.QueueDeclare("locked", false, false, true, false, nil)
			return err
		})
	}, "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'locked' in vhost '/'", nil, intercept.Replaced},
	{"error after a declaration", []string{"method", "queue.declare", "key", "made"}, after(amqpFault("", "406")), func(b *amqpBed) any {
		said := b.closes(func(ch *rabbit.Channel) error {
			_, err := ch.QueueDeclare("made", false, true, false, false, nil)
			return err
		})
		n, err := b.direct.QueueDelete("made", false, false, false)
		return fmt.Sprint(said, " ", n, err)
	}, "406 PRECONDITION_FAILED - injected fault 0 <nil>", nil, intercept.Replaced},
	{"a delivery is lost, and not delivered again", []string{"topic", "t.lost", "queue", "q"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		for _, key := range []string{"t.lost", "t.a"} {
			b.direct.Publish("t", key, false, false, rabbit.Publishing{Body: []byte("x")})
		}
		return b.consume(1, true)
	}, []string{"t.a false"}, nil, intercept.Dropped},
	{"a delivery without acknowledgement is lost", []string{"topic", "t.lost"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		for _, key := range []string{"t.lost", "t.a"} {
			b.direct.Publish("t", key, false, false, rabbit.Publishing{Body: []byte("x")})
		}
		return b.consume(1, false)
	}, []string{"t.a false"}, nil, intercept.Dropped},
	{"a delivery comes twice", []string{"topic", "t.a"}, intercept.Fault{Do: intercept.Twice}, func(b *amqpBed) any {
		for _, key := range []string{"t.a", "t.b"} {
			b.direct.Publish("t", key, false, false, rabbit.Publishing{Body: []byte("x")})
		}
		return b.consume(3, true)
	}, []string{"t.a false", "t.a true", "t.b false"}, nil, intercept.Doubled},
	{"an acknowledgement is lost", []string{"method", "basic.ack"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		b.direct.Publish("t", "t.a", false, false, rabbit.Publishing{})
		return append(b.consume(1, true), b.consume(1, false)...)
	}, []string{"t.a false", "t.a true"}, nil, intercept.Dropped},
	{"basic.get finds nothing", []string{"method", "basic.get-ok"}, intercept.Fault{Do: intercept.Lose}, func(b *amqpBed) any {
		b.direct.Publish("t", "t.a", false, false, rabbit.Publishing{})
		ch := amqpChannel(b, b.conn)
		for range 100 {
			if n, _ := ch.QueueDeclarePassive(b.q, true, false, false, false, nil); n.Messages == 1 {
				break
			}
		}
		_, ok, err := ch.Get(b.q, false)
		return []any{ok, err, ch.Close()}
	}, []any{false, nil, nil}, nil, intercept.Dropped},
	{"a consumer is thrown out", []string{"method", "basic.deliver"}, amqpFault("", "406"), func(b *amqpBed) any {
		return b.closes(func(ch *rabbit.Channel) error {
			ch.Consume(b.q, "", false, false, false, false, nil)
			return b.direct.Publish("t", "t.a", false, false, rabbit.Publishing{})
		})
	}, "406 PRECONDITION_FAILED - injected fault", []string{"t.a"}, intercept.Replaced},
	{"a transaction is not committed", []string{"method", "tx.commit"}, amqpFault("", "406"), func(b *amqpBed) any {
		return b.closes(func(ch *rabbit.Channel) error {
			ch.Tx()
			plainPublish(ch)
			return ch.TxCommit()
		})
	}, "406 PRECONDITION_FAILED - injected fault", nil, intercept.Replaced},
	{"reset", []string{"topic", "t.a"}, intercept.Fault{Do: intercept.Reset}, func(b *amqpBed) any {
		closed := b.conn.NotifyClose(make(chan *rabbit.Error, 1))
		plainPublish(amqpChannel(b, b.conn))
		return strings.Contains((<-closed).Reason, "reset by peer")
	}, true, nil, intercept.WasReset},
	{"closed after a publish, before its confirm", []string{"topic", "t.a"}, after(intercept.Fault{Do: intercept.Close}), func(b *amqpBed) any {
		ch := amqpChannel(b, b.conn)
		ch.Confirm(false)
		confirmed, err := ch.PublishWithDeferredConfirm("t", "t.a", false, false, rabbit.Publishing{})
		return []any{err, confirmed.Wait(), b.conn.IsClosed()}
	}, []any{nil, false, true}, []string{"t.a"}, intercept.Dropped},
	{"a delivery is cut", []string{"method", "basic.deliver"}, intercept.Fault{Do: intercept.Cut, When: intercept.After, Bytes: 30}, func(b *amqpBed) any {
		closed := b.conn.NotifyClose(make(chan *rabbit.Error, 1))
		amqpChannel(b, b.conn).Consume(b.q, "", true, false, false, false, nil)
		b.direct.Publish("t", "t.a", false, false, rabbit.Publishing{Body: make([]byte, 1000)})
		return (<-closed).Code
	}, 501, nil, intercept.WasCut},
}

func goAMQPFaults(t *testing.T, server string) {
	for _, c := range goAMQPFaultCases {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, amqp.Protocol, server, "amqp091-go", c.name)
			addr, log := Front(t, amqp.Protocol, server, intercept.Rule{Match: Match(t, amqp.Protocol, c.match...), Fault: c.fault})
			b := newAMQPBed(t, server, addr)
			if got := c.do(b); !reflect.DeepEqual(got, c.want) {
				t.Errorf("the client saw %q and not %q", got, c.want)
			}
			if got := b.stored(len(c.has)); !reflect.DeepEqual(got, c.has) {
				t.Errorf("the queue has %q and not %q", got, c.has)
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

// goAMQPDelays: what is delayed is overtaken by other channels, not by its own,
// and not by the end of the connection.
func goAMQPDelays(t *testing.T, server string) {
	Struck(t, amqp.Protocol, server, "amqp091-go", "delay: other channels pass, its own waits")
	const slow = 400 * time.Millisecond
	addr, _ := Front(t, amqp.Protocol, server, intercept.Rule{Match: Match(t, amqp.Protocol, "topic", "t.slow"), Fault: intercept.Fault{Delay: slow}})
	b := newAMQPBed(t, server, addr)
	start := time.Now()
	one, two := amqpChannel(t, b.conn), amqpChannel(t, b.conn)
	one.Confirm(false)
	confirms := one.NotifyPublish(make(chan rabbit.Confirmation, 3))
	for _, key := range []string{"t.slow", "t.behind", "t.slow"} {
		one.Publish("t", key, false, false, rabbit.Publishing{})
	}
	two.Publish("t", "t.fast", false, false, rabbit.Publishing{})
	if _, err := two.QueueDeclarePassive(b.q, true, false, false, false, nil); err != nil || time.Since(start) > slow {
		t.Errorf("the other channel waited as well: %v, %v", time.Since(start), err)
	}
	for i := range uint64(3) {
		if c := <-confirms; c.DeliveryTag != i+1 || !c.Ack || time.Since(start) < slow {
			t.Errorf("%+v after %v", c, time.Since(start))
		}
	}
	if got, want := b.stored(4), []string{"t.fast", "t.slow", "t.behind", "t.slow"}; !reflect.DeepEqual(got, want) {
		t.Errorf("the queue has %q and not %q", got, want)
	}
	one.Publish("t", "t.slow", false, false, rabbit.Publishing{})
	if err := b.conn.Close(); err != nil {
		t.Error(err)
	}
	if got, want := b.stored(1), []string{"t.slow"}; !reflect.DeepEqual(got, want) {
		t.Errorf("after the connection has ended the queue has %q and not %q", got, want)
	}
}

// amqpTools runs the command line tools of rabbitmq-c.
func amqpTools(t *testing.T, server string) {
	Compared(t, amqp.Protocol, server, "amqp-tools (rabbitmq-c)", "declare, publish, get, consume, delete", "errors")
	addr, log := Front(t, amqp.Protocol, server, never(t, amqp.Protocol, "topic"))
	run := func(addr string) (saw []string) {
		host, port, _ := net.SplitHostPort(addr)
		for _, command := range []string{
			"amqp-declare-queue -q tools", "amqp-publish -r tools -b first", "amqp-publish -r tools -p -C text/plain -b second", "amqp-get -q tools", "amqp-get -q tools",
			"amqp-get -q tools", "amqp-publish -e none -r tools -b lost", "amqp-publish -r tools -b third", "amqp-consume -q tools -c 1 cat", "amqp-delete-queue -q tools",
			"amqp-get -q tools",
		} {
			words := strings.Fields(command)
			words = append([]string{words[0], "--url", "amqp://guest:guest@" + host + ":" + port + "/%2f"}, words[1:]...)
			out, err := commandOutput(t, words...)
			saw = append(saw, fmt.Sprint(command, ": ", out, " ", err))
		}
		return saw
	}
	equalLines(t, run(server), run(addr))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}
