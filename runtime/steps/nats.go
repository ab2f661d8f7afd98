package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"faultbox/runtime"
)

// natsSteps speaks core NATS; what JetStream answers is told apart in replies.
// It logs in with NATS_USER and NATS_PASSWORD, or NATS_TOKEN, of the service's
// environment.
type natsSteps struct{}

func (natsSteps) Methods() []runtime.Method {
	subject := runtime.Param{Name: "subject", Kind: runtime.String, Required: true}
	data := runtime.Param{Name: "data", Kind: runtime.Any}
	headers := runtime.Param{Name: "headers", Kind: runtime.Dict}
	timeout := runtime.Param{Name: "timeout", Kind: runtime.Duration, Default: 5 * time.Second}
	return []runtime.Method{
		{Name: "publish", Doc: "Publishes a message and waits until the server has seen it: a string as it is, anything else as JSON.",
			Params: []runtime.Param{subject, data, headers}},
		{Name: "request", Doc: "Publishes a message and waits for the answer: data is its JSON, if it is JSON, else its text. An error of the JetStream API is an error.",
			Params: []runtime.Param{subject, data, timeout, headers}},
		{Name: "subscribe", Doc: "Subscribes, or goes on with the subscription that an earlier step made, and waits for count messages: data is a list of {subject, data, headers}, body the last one's. With count=0 it only subscribes.",
			Params: []runtime.Param{subject, timeout, {Name: "count", Kind: runtime.Int, Default: int64(1)}, {Name: "queue", Kind: runtime.String}}},
	}
}

func (natsSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &natsSession{e: e}, nil
}

// Ping succeeds when the server has let the client in and answers PING.
func (natsSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &natsSession{e: e}
	defer s.Close()
	err := s.connect(ctx)
	if err == nil {
		err = s.flush(ctx)
	}
	if err != nil {
		return fmt.Errorf("ping nats: %w", err)
	}
	return nil
}

type natsSession struct {
	e    runtime.Endpoint
	link *link
	conn *nats.Conn // on link; nil: none yet
	subs map[string]*nats.Subscription
	said atomic.Pointer[error] // the newest error that the server reported
	over chan struct{}         // closed once conn is, and all it had to say is in said
}

func (s *natsSession) Close() error {
	if s.conn == nil {
		return nil
	}
	s.link.Conn.Close()
	s.conn.Close()
	s.conn, s.link, s.subs = nil, nil, nil
	return nil
}

// connect makes one connection and lets the client make no other.
func (s *natsSession) connect(ctx context.Context) error {
	used := false
	over := make(chan struct{})
	s.over = over
	s.said.Store(nil)
	getenv := s.e.Service.Getenv
	o := nats.GetDefaultOptions()
	o.Servers = []string{"nats://" + s.e.Addr}
	o.Name, o.User, o.Password, o.Token = "faultbox", getenv("NATS_USER"), getenv("NATS_PASSWORD"), getenv("NATS_TOKEN")
	o.AllowReconnect, o.IgnoreDiscoveredServers, o.NoRandomize, o.SkipHostLookup = false, true, true, true
	o.Secure, o.TLSConfig = s.e.Interface.TLS, tlsConfig(s.e)
	o.Timeout, o.PingInterval = time.Hour, time.Hour // ctx decides
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { s.said.Store(&err) }
	o.ClosedCB = func(*nats.Conn) { close(over) }
	var stop func() bool
	var dialErr error
	o.CustomDialer = natsDialer(func(network, _ string) (net.Conn, error) {
		if used {
			return nil, net.ErrClosed
		}
		used = true
		l, err := connect(ctx, s.e, false)
		if err != nil {
			dialErr = err
			return nil, err
		}
		s.link, stop = l, l.closeWith(ctx)
		return l, nil
	})
	conn, err := o.Connect()
	ended := stop != nil && !stop()
	if err == nil && !ended {
		s.conn, s.subs = conn, make(map[string]*nats.Subscription)
		return nil
	}
	if conn != nil {
		conn.Close()
	}
	if s.link != nil {
		s.link.Conn.Close()
	}
	switch {
	case dialErr != nil:
		return dialErr
	case err == nil:
		return context.Cause(ctx)
	}
	return err
}

type natsDialer func(network, address string) (net.Conn, error)

func (d natsDialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

func (s *natsSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	if method != "publish" {
		var cancel context.CancelFunc
		ctx, cancel = withTimeout(ctx, args)
		defer cancel()
	}
	m, err := natsMessage(args)
	if err != nil {
		return failed(context.Background(), err)
	}
	if s.conn != nil && !s.conn.IsConnected() {
		s.Close()
	}
	if s.conn == nil {
		if err := s.connect(ctx); err != nil {
			return s.failed(ctx, err)
		}
	}
	s.said.Store(nil)
	switch method {
	case "publish":
		return s.publish(ctx, m)
	case "request":
		return s.request(ctx, m)
	}
	return s.subscribe(ctx, args)
}

// natsMessage is the message that a step sends; for subscribe just a subject.
func natsMessage(args runtime.Args) (*nats.Msg, error) {
	m := nats.NewMsg(args.Str("subject"))
	if strings.ContainsAny(m.Subject, " \t\r\n") || m.Subject == "" {
		return nil, misused("subject %q: must be one word", m.Subject)
	}
	switch v := args["data"].(type) {
	case nil:
	case string:
		m.Data = []byte(v)
	default:
		text, err := encodeJSON(v)
		if err != nil {
			return nil, err
		}
		m.Data = []byte(text)
	}
	headers, _ := args["headers"].(map[string]any)
	for name, v := range headers {
		value, ok := text(v)
		if !ok {
			return nil, misused("header %s: is a string, number or bool, not %s", name, kindOf(v))
		}
		m.Header.Set(name, value)
	}
	return m, nil
}

func (s *natsSession) publish(ctx context.Context, m *nats.Msg) runtime.Response {
	before := s.conn.LastError()
	err := s.conn.PublishMsg(m)
	if err == nil {
		err = s.flush(ctx)
	}
	if err == nil {
		if said := s.conn.LastError(); said != before { // -ERR comes before PONG
			err = said
		}
	}
	if err != nil {
		return s.failed(ctx, err)
	}
	return runtime.Response{OK: true}
}

// flush waits until the server has seen all that was sent.
func (s *natsSession) flush(ctx context.Context) error {
	stop := s.link.closeWith(ctx)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Hour) // one without a deadline is refused
	defer cancel()
	return s.conn.FlushWithContext(ctx)
}

func (s *natsSession) request(ctx context.Context, m *nats.Msg) runtime.Response {
	reply, err := s.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return s.failed(ctx, err)
	}
	resp := runtime.Response{OK: true, Headers: natsHeaders(reply), Body: string(reply.Data), Data: natsData(reply)}
	if answer, isDict := resp.Data.(map[string]any); isDict {
		problem, _ := answer["error"].(map[string]any)
		if code, isInt := problem["err_code"].(int64); isInt {
			resp.OK, resp.ErrorCode, resp.Error = false, fmt.Sprint(code), fmt.Sprint(problem["description"])
		}
	}
	return resp
}

func (s *natsSession) subscribe(ctx context.Context, args runtime.Args) runtime.Response {
	count, key := int(args.Int("count")), args.Str("subject")+" "+args.Str("queue")
	if count < 0 {
		return failed(context.Background(), misused("subscribe: count is %d", count))
	}
	sub := s.subs[key]
	if sub == nil {
		var err error
		if sub, err = s.conn.QueueSubscribeSync(args.Str("subject"), args.Str("queue")); err == nil {
			err = s.flush(ctx)
		}
		if err != nil {
			return s.failed(ctx, err)
		}
		s.subs[key] = sub
	}
	list := []any{}
	resp := runtime.Response{}
	for range count {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			resp = s.failed(ctx, err)
			break
		}
		headers := make(map[string]any)
		for k, v := range natsHeaders(m) {
			headers[k] = v
		}
		list = append(list, map[string]any{"subject": m.Subject, "data": natsData(m), "headers": headers})
		resp.Body, resp.Headers = string(m.Data), natsHeaders(m)
	}
	resp.OK, resp.Data = resp.Error == "", list
	return resp
}

func natsHeaders(m *nats.Msg) map[string]string {
	headers := make(map[string]string, len(m.Header))
	for name := range m.Header {
		headers[name] = m.Header.Get(name)
	}
	return headers
}

func natsData(m *nats.Msg) any {
	if v, ok := decodeJSON(m.Data); ok {
		return v
	}
	return string(m.Data)
}

// natsCodes names the errors that a server reports.
var natsCodes = []struct {
	err  error
	code string
}{
	{nats.ErrNoResponders, "503"},
	{nats.ErrPermissionViolation, "PERMISSIONS_VIOLATION"},
	{nats.ErrAuthorization, "AUTHORIZATION_VIOLATION"},
	{nats.ErrAuthExpired, "AUTHENTICATION_EXPIRED"},
	{nats.ErrAuthRevoked, "AUTHENTICATION_REVOKED"},
	{nats.ErrStaleConnection, "STALE_CONNECTION"},
	{nats.ErrMaxConnectionsExceeded, "MAX_CONNECTIONS_EXCEEDED"},
	{nats.ErrMaxSubscriptionsExceeded, "MAX_SUBSCRIPTIONS_EXCEEDED"},
	{nats.ErrMaxPayload, "MAX_PAYLOAD_VIOLATION"}, // seen by the client itself
}

// failed is the response to a step that went wrong.
func (s *natsSession) failed(ctx context.Context, err error) runtime.Response {
	if s.conn != nil && s.conn.IsClosed() {
		select {
		case <-s.over:
		case <-ctx.Done():
		}
		err = s.conn.LastError()
		if said := s.said.Load(); said != nil {
			err = *said
		}
	}
	for _, c := range natsCodes {
		if errors.Is(err, c.err) {
			return runtime.Response{Error: err.Error(), ErrorCode: c.code}
		}
	}
	if s.link != nil {
		if end := s.link.end.Load(); end != nil && (err == nil || strings.HasPrefix(err.Error(), "nats: connection") || errors.Is(err, *end)) {
			err = *end
		}
	}
	resp := failed(ctx, err)
	if resp.ErrorCode == "EPROTO" && strings.HasPrefix(resp.Error, "nats: ") {
		resp.ErrorCode = "ERR" // a text that the client knows no name for
	}
	return resp
}
