package drivers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rabbit "github.com/rabbitmq/amqp091-go"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols/amqp"
)

// goAMQP connects as guest.
func goAMQP(t testing.TB, addr string) *rabbit.Connection {
	t.Helper()
	conn, err := rabbit.DialConfig("amqp://guest:guest@"+addr+"/", rabbit.Config{Heartbeat: 10 * time.Second, Locale: "en_US"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func amqpChannel(t testing.TB, conn *rabbit.Connection) *rabbit.Channel {
	t.Helper()
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func amqpDelivery(d rabbit.Delivery) string {
	return fmt.Sprint(d.Exchange, " ", d.RoutingKey, " ", d.Redelivered, " ", d.DeliveryTag, " ", d.Headers, " ", len(d.Body), fmt.Sprintf(" %.40q", d.Body))
}

// goAMQPWork does a bit of everything and tells what it saw. q is a queue of
// its own.
func goAMQPWork(t testing.TB, conn *rabbit.Connection, q string) (saw []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	tell := func(what string, v ...any) {
		saw = append(saw, strings.ReplaceAll(what+": "+fmt.Sprint(v...), q, "QUEUE"))
	}
	ch := amqpChannel(t, conn)
	tell("exchange", ch.ExchangeDeclare(q, "topic", true, false, false, false, nil))
	declared, err := ch.QueueDeclare(q, true, false, false, false, rabbit.Table{"x-max-length": 100000})
	tell("queue", declared, err)
	tell("bind", ch.QueueBind(q, "a.#", q, false, nil))
	publish := func(key, body string) {
		tell("publish", ch.PublishWithContext(ctx, q, key, false, false, rabbit.Publishing{Headers: rabbit.Table{"h": "v"}, ContentType: "text/plain", Body: []byte(body)}))
	}
	publish("a.b", "small")
	publish("a.empty", "")
	publish("a.large", strings.Repeat("0123456789abcdef", 70_000)) // many frames
	publish("b", "goes nowhere")
	for range 4 {
		d, ok, err := ch.Get(q, false)
		tell("get", amqpDelivery(d), ok, d.MessageCount, err)
		if ok {
			tell("ack", d.Ack(false))
		}
	}

	tell("qos", ch.Qos(10, 0, false))
	deliveries, err := ch.ConsumeWithContext(ctx, q, "me", false, false, false, false, nil)
	tell("consume", err)
	for i := range 200 {
		publish(fmt.Sprint("a.", i), strings.Repeat("x", i*1000))
	}
	for i := range 201 {
		d := <-deliveries
		tell("delivery", amqpDelivery(d))
		if i == 199 && !d.Redelivered { // the last one
			tell("nack", d.Nack(false, true))
			continue
		}
		if i%5 == 0 {
			tell("reject", d.Reject(false))
		} else {
			tell("ack", d.Ack(i%3 == 0))
		}
	}
	tell("cancel", ch.Cancel("me", false))
	purged, err := ch.QueuePurge(q, false)
	tell("purge", purged, err)
	saw = append(saw, goAMQPConfirms(t, conn, q)...)
	saw = append(saw, goAMQPErrors(t, conn, q)...)
	deleted, err := ch.QueueDelete(q, false, false, false)
	tell("delete", deleted, err, ch.ExchangeDelete(q, false, false))
	return append(saw, goAMQPChannels(t, conn)...)
}

// goAMQPConfirms publishes with confirms, mandatory, and in transactions.
func goAMQPConfirms(t testing.TB, conn *rabbit.Connection, q string) (saw []string) {
	tell := func(what string, v ...any) {
		saw = append(saw, strings.ReplaceAll(what+": "+fmt.Sprint(v...), q, "QUEUE"))
	}
	ch := amqpChannel(t, conn)
	tell("confirm", ch.Confirm(false))
	confirms := ch.NotifyPublish(make(chan rabbit.Confirmation, 3000))
	returns := ch.NotifyReturn(make(chan rabbit.Return, 10))
	for i := range 2000 {
		if err := ch.Publish(q, "a.confirmed", i%500 == 499, false, rabbit.Publishing{Body: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	ch.Publish(q, "nowhere", true, false, rabbit.Publishing{Body: []byte("come back")})
	for range 2001 {
		tell("confirmed", <-confirms)
	}
	back := <-returns
	tell("returned", back.ReplyCode, back.ReplyText, back.RoutingKey, string(back.Body))
	purged, err := ch.QueuePurge(q, false)
	tell("purge", purged, err)

	tx := amqpChannel(t, conn)
	tell("tx", tx.Tx())
	tell("publish", tx.Publish(q, "a.tx", false, false, rabbit.Publishing{Body: []byte("1")}), tx.TxRollback())
	tell("publish", tx.Publish(q, "a.tx", false, false, rabbit.Publishing{Body: []byte("2")}), tx.TxCommit())
	d, ok, err := tx.Get(q, true)
	tell("get", string(d.Body), ok, err)
	return saw
}

// goAMQPErrors makes the server close channels.
func goAMQPErrors(t testing.TB, conn *rabbit.Connection, q string) (saw []string) {
	fails := func(what string, do func(*rabbit.Channel) error) {
		ch := amqpChannel(t, conn)
		closed := ch.NotifyClose(make(chan *rabbit.Error, 1))
		err := do(ch)
		saw = append(saw, strings.ReplaceAll(fmt.Sprint(what, ": ", err, " ", <-closed), q, "QUEUE"))
	}
	fails("no such queue", func(ch *rabbit.Channel) error {
		_, err := ch.QueueDeclarePassive("none", false, false, false, false, nil)
		return err
	})
	fails("another kind", func(ch *rabbit.Channel) error {
		_, err := ch.QueueDeclare(q, false, false, false, false, nil)
		return err
	})
	fails("no such exchange", func(ch *rabbit.Channel) error {
		return ch.Publish("none", "a", false, false, rabbit.Publishing{})
	})
	fails("no such exchange, with confirms", func(ch *rabbit.Channel) error {
		ch.Confirm(false)
		return ch.Publish("none", "a", false, false, rabbit.Publishing{})
	})
	fails("reserved", func(ch *rabbit.Channel) error {
		return ch.ExchangeDeclare("amq.x", "direct", true, false, false, false, nil)
	})
	fails("acknowledged twice", func(ch *rabbit.Channel) error { return ch.Ack(99, false) })
	return saw
}

// goAMQPChannels uses many channels at the same time.
func goAMQPChannels(t testing.TB, conn *rabbit.Connection) (saw []string) {
	saw = make([]string, 20)
	var work sync.WaitGroup
	for i := range saw {
		ch := amqpChannel(t, conn)
		q, err := ch.QueueDeclare("", false, true, true, false, nil)
		if err != nil {
			t.Fatal(err)
		}
		work.Go(func() {
			got, _ := ch.Consume(q.Name, "", true, false, false, false, nil)
			sum := 0
			for j := range 50 {
				ch.Publish("", q.Name, false, false, rabbit.Publishing{Body: make([]byte, i*j*50)})
			}
			for range 50 {
				sum += len((<-got).Body)
			}
			saw[i] = fmt.Sprint(i, ": ", sum, " ", ch.Close())
		})
	}
	work.Wait()
	return saw
}

// TestAMQP is all there is to test with one server, which takes long to start.
func TestAMQP(t *testing.T) {
	secure, conf := amqpsListener(t)
	server := RabbitMQ(t, conf...)
	t.Run("OverTLS", func(t *testing.T) { amqpOverTLS(t, secure) })
	for _, c := range []struct {
		name string
		test func(*testing.T, string)
	}{
		{"GoUntouched", goAMQPUntouched}, {"NodeUntouched", nodeAMQPUntouched}, {"PythonUntouched", pythonAMQPUntouched}, {"Tools", amqpTools},
		{"Refused", amqpRefused}, {"Idle", amqpIdle},
		{"GoFaults", goAMQPFaults}, {"GoDelays", goAMQPDelays}, {"NodeFaults", nodeAMQPFaults}, {"PythonFaults", pythonAMQPFaults}, {"Java", javaAMQP},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
	}
}

func goAMQPUntouched(t *testing.T, server string) {
	Compared(t, amqp.Protocol, server, "amqp091-go", "declare, bind, publish, get", "consume with prefetch; ack, nack, reject", "2,000 publishes with confirms", "mandatory, return",
		"transactions", "20 channels at once", "a body of many frames", "errors that close channels")
	addr, log := Front(t, amqp.Protocol, server, never(t, amqp.Protocol, "topic"))
	equalLines(t, goAMQPWork(t, goAMQP(t, server), "direct"), goAMQPWork(t, goAMQP(t, addr), "armed"))
	log.Wait(t, "of a delivery", func(ev *intercept.Event) bool { return ev.Op == "basic.deliver" && ev.Key == "a.199" })
	log.Wait(t, "of an error", func(ev *intercept.Event) bool { return ev.Op == "basic.publish" && ev.Err == "404" })
	if slices.ContainsFunc(log.Events(), func(ev intercept.Event) bool { return ev.Key == "a.confirmed" && ev.Outcome != intercept.Answered }) {
		t.Error("a publish is reported without its confirm")
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// amqpRefused compares how a client is refused.
func amqpRefused(t *testing.T, server string) {
	Compared(t, amqp.Protocol, server, "amqp091-go", "wrong password, no such vhost")
	addr, _ := Front(t, amqp.Protocol, server, never(t, amqp.Protocol, "topic"))
	for _, url := range []string{"amqp://guest:wrong@%s/", "amqp://guest:guest@%s/none"} {
		var errs [2]string
		for i, at := range []string{server, addr} {
			_, err := rabbit.Dial(fmt.Sprintf(url, at))
			errs[i] = fmt.Sprint(err)
		}
		if errs[0] != errs[1] || errs[0] == "<nil>" {
			t.Errorf("directly %s, armed %s", errs[0], errs[1])
		}
	}
}

// amqpIdle lets heartbeats pass both ways.
func amqpIdle(t *testing.T, server string) {
	Compared(t, amqp.Protocol, server, "amqp091-go", "heartbeats while idle")
	addr, _ := Front(t, amqp.Protocol, server, never(t, amqp.Protocol, "topic"))
	conn, err := rabbit.DialConfig("amqp://guest:guest@"+addr+"/", rabbit.Config{Heartbeat: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.Sleep(3500 * time.Millisecond)
	if _, err := conn.Channel(); err != nil {
		t.Error(err)
	}
}

// amqpsListener is the configuration of a further listener, which speaks TLS.
func amqpsListener(t *testing.T) (addr string, conf []string) {
	cert, key := selfSigned(t, folder(t, ""))
	addr = "127.0.0.1:" + FreePort(t)
	return addr, []string{"listeners.ssl.1 = " + addr, "ssl_options.cacertfile = " + cert, "ssl_options.certfile = " + cert,
		"ssl_options.keyfile = " + key, "ssl_options.verify = verify_none"}
}

// amqpOverTLS: faults act below TLS.
func amqpOverTLS(t *testing.T, server string) {
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	addr, log := FrontLink(t, proxy.Link{
		Protocol: amqp.Protocol, TLS: true, TLSConfig: &proxy.TLS{CA: ca},
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
	}, intercept.Rule{Match: Match(t, amqp.Protocol, "topic", "bad"), Fault: amqpFault("", "404")})
	serves(server, "RabbitMQ "+rabbitVersion(t), "")
	Struck(t, amqp.Protocol, server, "amqp091-go", "error below TLS")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	conn, err := rabbit.DialTLS("amqps://guest:guest@"+addr+"/", &tls.Config{RootCAs: roots})
	if err != nil {
		t.Fatal(err, log.Notes())
	}
	defer conn.Close()
	ch := amqpChannel(t, conn)
	closed := ch.NotifyClose(make(chan *rabbit.Error, 1))
	ch.Publish("", "good", false, false, rabbit.Publishing{})
	ch.Publish("", "bad", false, false, rabbit.Publishing{})
	if e := <-closed; e == nil || e.Code != 404 {
		t.Errorf("the channel was closed with %v", e)
	}
}
