package steps

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"

	"faultbox/runtime"
)

// grpcSteps makes calls of any service. It knows the messages from the
// interface's descriptors, or asks the server (reflection, v1 or v1alpha); that
// question is a call like any other.
type grpcSteps struct{}

func (grpcSteps) Methods() []runtime.Method {
	return []runtime.Method{{
		Name: "call",
		Doc: "Calls a method, such as \"/shop.Orders/Place\". body is the request as JSON, a dict or a string, and a list of them for a method that takes a stream; " +
			"data is the answer, a list of messages for a method that answers with a stream. status is the gRPC status, error_code its name; headers are the answer's metadata.",
		Params: []runtime.Param{
			{Name: "method", Kind: runtime.String, Required: true},
			{Name: "body", Kind: runtime.Any},
			{Name: "headers", Kind: runtime.Dict},
			{Name: "timeout", Kind: runtime.Duration},
		},
	}}
}

func (grpcSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &grpcSession{e: e}, nil
}

// Ping succeeds when the server says that it is serving, or, if it has no
// health service, answers at all.
func (grpcSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &grpcSession{e: e}
	defer s.Close()
	if err := s.connect(); err != nil {
		return fmt.Errorf("ping grpc: %w", err)
	}
	res, err := healthpb.NewHealthClient(s.conn).Check(ctx, &healthpb.HealthCheckRequest{})
	if code := status.Code(err); code == codes.Unimplemented || code == codes.NotFound {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ping grpc: %w", err)
	}
	if res.Status != healthpb.HealthCheckResponse_SERVING {
		return fmt.Errorf("ping grpc: the server says %s", res.Status)
	}
	return nil
}

type grpcSession struct {
	e      runtime.Endpoint
	conn   *grpc.ClientConn // nil: none yet
	schema *schema          // nil: none yet

	mu   sync.Mutex
	link *link // below conn
	dial error // why there is none
}

func (s *grpcSession) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn, s.link, s.dial = nil, nil, nil
	return err
}

// connect gives the session a client that makes one connection, with the first
// call, and no other.
func (s *grpcSession) connect() error {
	used := false
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if used {
			return nil, net.ErrClosed
		}
		used = true
		l, err := connect(ctx, s.e, false)
		if s.link, s.dial = l, err; err != nil {
			return nil, err
		}
		return l, nil
	}
	security := insecure.NewCredentials()
	if s.e.Interface.TLS {
		security = credentials.NewTLS(tlsConfig(s.e))
	}
	var err error
	s.conn, err = grpc.NewClient("passthrough:///"+s.e.Addr, grpc.WithContextDialer(dial), grpc.WithTransportCredentials(security),
		grpc.WithNoProxy(), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0), grpc.WithUserAgent("faultbox"),
		grpc.WithStatsHandler(tries{}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxBody), grpc.MaxCallSendMsgSize(maxBody)))
	return err
}

func (s *grpcSession) Do(ctx context.Context, _ string, args runtime.Args) runtime.Response {
	ctx, cancel := withTimeout(ctx, args)
	defer cancel()
	service, method, err := grpcMethod(args.Str("method"))
	if err != nil {
		return failed(context.Background(), err)
	}
	if s.conn != nil && s.conn.GetState() != connectivity.Ready {
		s.Close()
	}
	if s.conn == nil {
		if err := s.connect(); err != nil {
			return failed(ctx, err)
		}
	}
	md, err := grpcMetadata(args)
	if err != nil {
		return failed(context.Background(), err)
	}
	t := &try{}
	called, cancelTry := context.WithCancel(context.WithValue(ctx, tries{}, t))
	defer cancelTry()
	t.cancel = cancelTry
	c := &grpcCall{session: s, ctx: metadata.NewOutgoingContext(called, md)}
	messages, err := c.make(service, method, args["body"])
	var wrong *misuse
	if errors.As(err, &wrong) {
		return failed(context.Background(), err)
	}
	resp := runtime.Response{OK: true, Headers: c.metadata()}
	if err != nil {
		heard := t.heard()
		if resp = s.failed(ctx, t.outcome(err), heard); !heard {
			s.Close()
		}
		resp.Headers = c.metadata()
	}
	if err == nil || len(messages) > 0 { // a stream may have broken off
		if resp.Body, err = joinJSON(messages, c.streams); err != nil {
			return failed(context.Background(), err)
		}
		resp.Data, _ = decodeJSON([]byte(resp.Body))
	}
	return resp
}

// failed is the response to a call that failed. heard: it is the server's word.
func (s *grpcSession) failed(ctx context.Context, err error, heard bool) runtime.Response {
	// The server knows the deadline too, and may be the first to say so.
	if d, ok := ctx.Deadline(); ok && status.Code(err) == codes.DeadlineExceeded && !time.Now().Before(d) {
		<-ctx.Done()
		return failed(ctx, err)
	}
	if !heard && ctx.Err() != nil {
		return failed(ctx, err)
	}
	s.mu.Lock()
	l, dial := s.link, s.dial
	s.mu.Unlock()
	switch {
	case heard:
	case dial != nil:
		return failed(ctx, dial)
	case l != nil && l.end.Load() != nil:
		end := *l.end.Load()
		if code := errorCode(end); code == "EPIPE" { // reader and writer hear of a reset in any order
			end = syscall.ECONNRESET
		}
		return failed(ctx, end)
	}
	st := status.Convert(err)
	if strings.Contains(st.Message(), "authentication handshake failed") {
		return runtime.Response{Error: st.Message(), ErrorCode: "TLS"}
	}
	return runtime.Response{Status: int(st.Code()), Error: st.Message(), ErrorCode: grpcCode(st.Code())}
}

// try watches one call. The library tries again by itself when a server refuses
// a stream; a step does not.
type try struct {
	mu       sync.Mutex
	cancel   context.CancelFunc
	answered bool  // the server has sent trailers
	first    error // how the first try ended, if there was to be another
	last     error
}

// outcome is how the call ended, err as the library tells it.
func (t *try) outcome(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first != nil {
		return t.first
	}
	return err
}

// heard reports whether it is the server that ended the call.
func (t *try) heard() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.answered || t.first != nil
}

// tries is a stats.Handler that keeps the try of each call, and the key of a
// call's try in its context.
type tries struct{}

func (tries) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (tries) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (tries) HandleConn(context.Context, stats.ConnStats)                       {}

func (tries) HandleRPC(ctx context.Context, s stats.RPCStats) {
	t, ok := ctx.Value(tries{}).(*try)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch s := s.(type) {
	case *stats.Begin:
		t.answered = false
		if s.IsTransparentRetryAttempt {
			t.first = t.last
			t.cancel()
		}
	case *stats.InTrailer:
		t.answered = true
	case *stats.End:
		t.last = s.Error
	}
}

// grpcCall is one call of a step.
type grpcCall struct {
	session      *grpcSession
	ctx          context.Context
	streams      bool // the answer is a stream
	head, behind metadata.MD
}

// make calls the method and returns the messages of the answer.
func (c *grpcCall) make(service, method string, body any) ([]*dynamicpb.Message, error) {
	sc, err := c.session.describe(c.ctx, service)
	if err != nil {
		return nil, err
	}
	m, err := sc.method(service, method)
	if err != nil {
		return nil, err
	}
	requests, err := sc.requests(m, body)
	if err != nil {
		return nil, err
	}
	c.streams = m.IsStreamingServer()
	stream, err := c.session.conn.NewStream(c.ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true},
		fmt.Sprintf("/%s/%s", service, method))
	if err != nil {
		return nil, err
	}
	for _, r := range requests {
		if err := stream.SendMsg(r); err != nil && err != io.EOF { // EOF: the answer says why
			return nil, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var messages []*dynamicpb.Message
	for {
		message := dynamicpb.NewMessage(m.Output())
		err = stream.RecvMsg(message)
		if err != nil {
			break
		}
		messages = append(messages, message)
	}
	c.head, _ = stream.Header()
	c.behind = stream.Trailer()
	if err != io.EOF {
		return messages, err
	}
	return messages, nil
}

// metadata is that of the answer, before and behind it.
func (c *grpcCall) metadata() map[string]string {
	out := make(map[string]string, len(c.head)+len(c.behind))
	for _, md := range []metadata.MD{c.head, c.behind} {
		for name, values := range md {
			if strings.HasSuffix(name, "-bin") {
				for i, v := range values {
					values[i] = base64.StdEncoding.EncodeToString([]byte(v))
				}
			}
			out[name] = strings.Join(values, ", ")
		}
	}
	return out
}

// grpcMetadata turns headers= into metadata.
func grpcMetadata(args runtime.Args) (metadata.MD, error) {
	md := metadata.MD{}
	headers, _ := args["headers"].(map[string]any)
	for name, value := range headers {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		for _, v := range values {
			one, ok := text(v)
			if !ok {
				return nil, misused("set header %s: want a string, number or bool, or a list of them", name)
			}
			md.Append(name, one)
		}
	}
	return md, nil
}

// grpcMethod takes "/pkg.Service/Method" apart; the slash in front may be left out.
func grpcMethod(name string) (service, method string, err error) {
	service, method, ok := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if !ok || service == "" || method == "" || strings.Contains(method, "/") {
		return "", "", misused("call %q: want a full method, such as \"/shop.Orders/Place\"", name)
	}
	return service, method, nil
}

// grpcCode is the name of a status as the specification writes it.
func grpcCode(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var b strings.Builder
	name := code.String()
	for i, c := range name {
		if i > 0 && 'A' <= c && c <= 'Z' && 'a' <= name[i-1] && name[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteRune(c)
	}
	return strings.ToUpper(b.String())
}
