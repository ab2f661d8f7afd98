package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	rabbit "github.com/rabbitmq/amqp091-go"

	"faultbox/runtime"
)

// amqpSteps speaks AMQP 0-9-1 on one channel, with confirms. It logs in with
// RABBITMQ_DEFAULT_USER and RABBITMQ_DEFAULT_PASS of the service's environment,
// else as guest, and uses the virtual host RABBITMQ_DEFAULT_VHOST, else "/".
type amqpSteps struct{}

func (amqpSteps) Methods() []runtime.Method {
	str := func(name string) runtime.Param { return runtime.Param{Name: name, Kind: runtime.String} }
	return []runtime.Method{
		{Name: "publish", Doc: "Publishes a message and waits for its confirm: a string as it is, anything else as JSON. Without an exchange the routing key names a queue. With mandatory=True a message that no queue takes is an error.",
			Params: []runtime.Param{str("exchange"), str("routing_key"), {Name: "data", Kind: runtime.Any}, {Name: "headers", Kind: runtime.Dict},
				{Name: "mandatory", Kind: runtime.Bool, Default: false}}},
		{Name: "get", Doc: "Takes a message from a queue: data is its JSON, if it is JSON, else its text; None if there is none.",
			Params: []runtime.Param{{Name: "queue", Kind: runtime.String, Required: true}}},
		{Name: "declare", Doc: "Declares a queue, an exchange, or both, and binds them: data is the queue's name and its numbers of messages and consumers.",
			Params: []runtime.Param{str("queue"), str("exchange"), {Name: "binding", Kind: runtime.String},
				{Name: "kind", Kind: runtime.String, Default: "topic"}, {Name: "durable", Kind: runtime.Bool, Default: true}}},
	}
}

func (amqpSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &amqpSession{e: e}, nil
}

// Ping succeeds when the server has let the client in and opened a channel.
func (amqpSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &amqpSession{e: e}
	defer s.Close()
	if err := s.open(ctx); err != nil {
		return fmt.Errorf("ping amqp: %w", err)
	}
	return nil
}

type amqpSession struct {
	e       runtime.Endpoint
	link    *link
	conn    *rabbit.Connection // on link; nil: none yet
	ch      *rabbit.Channel    // nil: none yet
	closed  chan *rabbit.Error // why ch was closed
	returns chan rabbit.Return
}

func (s *amqpSession) Close() error {
	if s.conn != nil {
		s.link.Conn.Close()
		s.conn.Close()
	}
	s.conn, s.ch, s.link = nil, nil, nil
	return nil
}

// open sees to it that there is a connection and a channel.
func (s *amqpSession) open(ctx context.Context) error {
	if s.conn != nil && s.conn.IsClosed() {
		s.Close()
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	if s.ch != nil && !s.ch.IsClosed() {
		return nil
	}
	stop := s.link.closeWith(ctx)
	defer stop()
	ch, err := s.conn.Channel()
	if err == nil {
		s.ch, s.closed = ch, ch.NotifyClose(make(chan *rabbit.Error, 1))
		s.returns = ch.NotifyReturn(make(chan rabbit.Return, 1))
		err = ch.Confirm(false)
	}
	return err
}

func (s *amqpSession) connect(ctx context.Context) error {
	l, err := connect(ctx, s.e, true)
	if err != nil {
		return err
	}
	s.link = l
	stop := l.closeWith(ctx)
	getenv := s.e.Service.Getenv
	conn, err := rabbit.Open(l, rabbit.Config{
		SASL: []rabbit.Authentication{&rabbit.PlainAuth{
			Username: cmp.Or(getenv("RABBITMQ_DEFAULT_USER"), "guest"), Password: cmp.Or(getenv("RABBITMQ_DEFAULT_PASS"), "guest"),
		}},
		Vhost:      cmp.Or(getenv("RABBITMQ_DEFAULT_VHOST"), "/"),
		Locale:     "en_US",
		Heartbeat:  time.Hour, // ctx decides
		Properties: rabbit.Table{"product": "faultbox"},
	})
	if ended := !stop(); ended && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		l.Conn.Close()
		return err
	}
	s.conn = conn
	return nil
}

func (s *amqpSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	message, err := amqpMessage(args)
	if err != nil {
		return failed(context.Background(), err)
	}
	if method == "declare" && args.Str("queue") == "" && args.Str("exchange") == "" {
		return failed(context.Background(), misused("declare: give queue, exchange, or both"))
	}
	if err := s.open(ctx); err != nil {
		return s.failed(ctx, err)
	}
	stop := s.link.closeWith(ctx)
	defer stop()
	switch method {
	case "publish":
		return s.publish(ctx, args, message)
	case "get":
		return s.get(ctx, args.Str("queue"))
	}
	return s.declare(ctx, args)
}

// amqpMessage is the message that a step sends.
func amqpMessage(args runtime.Args) (rabbit.Publishing, error) {
	m := rabbit.Publishing{ContentType: "text/plain"}
	switch v := args["data"].(type) {
	case nil:
	case string:
		m.Body = []byte(v)
	default:
		encoded, err := encodeJSON(v)
		if err != nil {
			return m, err
		}
		m.Body, m.ContentType = []byte(encoded), "application/json"
	}
	headers, _ := args["headers"].(map[string]any)
	for name, v := range headers {
		if _, ok := text(v); !ok {
			return m, misused("header %s: is a string, number or bool, not %s", name, kindOf(v))
		}
		if m.Headers == nil {
			m.Headers = rabbit.Table{}
		}
		m.Headers[name] = v
	}
	return m, nil
}

func (s *amqpSession) publish(ctx context.Context, args runtime.Args, m rabbit.Publishing) runtime.Response {
	mandatory, _ := args["mandatory"].(bool)
	confirm, err := s.ch.PublishWithDeferredConfirm(args.Str("exchange"), args.Str("routing_key"), mandatory, false, m)
	if err != nil {
		return s.failed(ctx, err)
	}
	acked, err := confirm.WaitContext(ctx)
	switch {
	case err != nil:
		return s.failed(ctx, err)
	case s.ch.IsClosed():
		return s.failed(ctx, rabbit.ErrClosed)
	case !acked:
		return runtime.Response{Error: "negative confirm: the server could not take the message", ErrorCode: "NACK"}
	}
	select {
	case back := <-s.returns: // it comes before the confirm
		return runtime.Response{Error: back.ReplyText, ErrorCode: strconv.Itoa(int(back.ReplyCode))}
	default:
		return runtime.Response{OK: true}
	}
}

func (s *amqpSession) get(ctx context.Context, queue string) runtime.Response {
	d, found, err := s.ch.Get(queue, true)
	if err != nil {
		return s.failed(ctx, err)
	}
	if !found {
		return runtime.Response{OK: true}
	}
	resp := runtime.Response{OK: true, Body: string(d.Body), Data: string(d.Body), Headers: make(map[string]string)}
	if v, ok := decodeJSON(d.Body); ok {
		resp.Data = v
	}
	for name, v := range d.Headers {
		resp.Headers[name] = fmt.Sprint(v)
	}
	return resp
}

func (s *amqpSession) declare(ctx context.Context, args runtime.Args) runtime.Response {
	queue, exchange := args.Str("queue"), args.Str("exchange")
	durable, _ := args["durable"].(bool)
	resp := runtime.Response{OK: true}
	if exchange != "" {
		if err := s.ch.ExchangeDeclare(exchange, args.Str("kind"), durable, false, false, false, nil); err != nil {
			return s.failed(ctx, err)
		}
	}
	if queue != "" {
		q, err := s.ch.QueueDeclare(queue, durable, false, false, false, nil)
		if err != nil {
			return s.failed(ctx, err)
		}
		resp.Data = map[string]any{"queue": q.Name, "messages": int64(q.Messages), "consumers": int64(q.Consumers)}
	}
	if queue != "" && exchange != "" {
		if err := s.ch.QueueBind(queue, args.Str("binding"), exchange, false, nil); err != nil {
			return s.failed(ctx, err)
		}
	}
	return resp
}

// failed is the response to a step that went wrong.
func (s *amqpSession) failed(ctx context.Context, err error) runtime.Response {
	if s.ch != nil && s.ch.IsClosed() {
		select {
		case why, open := <-s.closed:
			if open && why != nil {
				err = why
			}
		default:
		}
	}
	var e *rabbit.Error
	if errors.As(err, &e) && (e.Server || e == rabbit.ErrCredentials || e == rabbit.ErrVhost) {
		return runtime.Response{Error: e.Reason, ErrorCode: strconv.Itoa(e.Code)}
	}
	if s.link != nil {
		if end := s.link.end.Load(); end != nil {
			err = *end
		}
	}
	return failed(ctx, err)
}
