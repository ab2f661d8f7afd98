package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"faultbox/protocols"
	"faultbox/runtime"
)

// dialled is an endpoint that counts the connections made to it.
type dialled struct {
	runtime.Endpoint
	dials atomic.Int32
}

func endpoint(protocol, addr string, env ...string) *dialled {
	d := &dialled{}
	d.Endpoint = runtime.Endpoint{
		Service:   &runtime.Service{Name: "svc", Env: env},
		Interface: &runtime.Interface{Name: "main", Protocol: &protocols.Protocol{Name: protocol}},
		Addr:      addr,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			d.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	return d
}

func session(t testing.TB, e *dialled) runtime.Session {
	t.Helper()
	s, err := All()[e.Interface.Protocol.Name].Open(context.Background(), e.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// do makes a step with the defaults of its method filled in, as the spec does.
func do(t testing.TB, s runtime.Session, e *dialled, method string, args runtime.Args) runtime.Response {
	t.Helper()
	return doCtx(t, context.Background(), s, e, method, args)
}

func doCtx(t testing.TB, ctx context.Context, s runtime.Session, e *dialled, method string, args runtime.Args) runtime.Response {
	t.Helper()
	all := runtime.Args{}
	known := false
	for _, m := range All()[e.Interface.Protocol.Name].Methods() {
		if m.Name != method {
			continue
		}
		known = true
		for _, p := range m.Params {
			if p.Default != nil {
				all[p.Name] = p.Default
			}
		}
	}
	if !known {
		t.Fatalf("%s has no step %s", e.Interface.Protocol.Name, method)
	}
	for k, v := range args {
		all[k] = v
	}
	return s.Do(ctx, method, all)
}

// scripted accepts connections one after the other and gives each to the next
// handler; the last one takes all further connections.
func scripted(t testing.TB, handlers ...func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for n := 0; ; n++ {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handlers[min(n, len(handlers)-1)](c)
			}()
		}
	}()
	return ln.Addr().String()
}

// Handlers for scripted.
func closes(c net.Conn) { c.Read(make([]byte, 1<<16)) }

func resets(c net.Conn) {
	c.Read(make([]byte, 1<<16))
	c.(*net.TCPConn).SetLinger(0)
}

func hangs(c net.Conn) { io.Copy(io.Discard, c) }

func speaks(text string) func(net.Conn) {
	return func(c net.Conn) {
		c.Read(make([]byte, 1<<16))
		io.WriteString(c, text)
	}
}

// noListener is an address that nobody listens on.
func noListener(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// oneStep is a step that any server of the protocol would answer.
var oneStep = map[string]struct {
	method string
	args   runtime.Args
}{
	"grpc":     {"call", runtime.Args{"method": "/grpc.health.v1.Health/Check"}},
	"amqp":     {"get", runtime.Args{"queue": "q"}},
	"http":     {"get", runtime.Args{"path": "/"}},
	"http2":    {"get", runtime.Args{"path": "/"}},
	"mongodb":  {"count", runtime.Args{"collection": "c"}},
	"postgres": {"query", runtime.Args{"sql": "SELECT 1"}},
	"redis":    {"get", runtime.Args{"key": "k"}},
	"tcp":      {"send", runtime.Args{"data": "hello"}},
}

// TestTransportFailures: what a broken connection looks like, and that a step
// is one try on one connection.
func TestTransportFailures(t *testing.T) {
	servers := []struct {
		name, code string
		addr       func(testing.TB) string
	}{
		{"refused", "ECONNREFUSED", func(t testing.TB) string { return noListener(t) }},
		{"closed", "EOF", func(t testing.TB) string { return scripted(t, closes) }},
		{"reset", "ECONNRESET", func(t testing.TB) string { return scripted(t, resets) }},
		{"hangs", "timeout", func(t testing.TB) string { return scripted(t, hangs) }},
	}
	for protocol, step := range oneStep {
		for _, server := range servers {
			t.Run(protocol+"/"+server.name, func(t *testing.T) {
				e := endpoint(protocol, server.addr(t))
				s := session(t, e)
				ctx, cancel := context.WithCancel(context.Background())
				if server.name == "hangs" {
					ctx, cancel = context.WithTimeoutCause(ctx, 100*time.Millisecond, errors.New("test took too long"))
				}
				defer cancel()
				resp := doCtx(t, ctx, s, e, step.method, step.args)
				if resp.OK || resp.ErrorCode != server.code || resp.Error == "" {
					t.Errorf("response %+v, want error code %s", resp, server.code)
				}
				if server.name == "hangs" && resp.Error != "test took too long" {
					t.Errorf("error %q, want the cause", resp.Error)
				}
				time.Sleep(20 * time.Millisecond) // for a try that should not be made
				if n := e.dials.Load(); n != 1 {
					t.Errorf("%d connections were made, want 1", n)
				}
			})
		}
	}
}

// TestCancel: a step in flight ends when its context does.
func TestCancel(t *testing.T) {
	for protocol, step := range oneStep {
		t.Run(protocol, func(t *testing.T) {
			seen := make(chan struct{}, 10)
			e := endpoint(protocol, scripted(t, func(c net.Conn) {
				c.Read(make([]byte, 1<<16))
				seen <- struct{}{}
				hangs(c)
			}))
			s := session(t, e)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			done := make(chan runtime.Response, 1)
			go func() { done <- doCtx(t, ctx, s, e, step.method, step.args) }()
			<-seen
			cancel()
			select {
			case resp := <-done:
				if resp.OK || resp.ErrorCode != "canceled" {
					t.Errorf("response %+v, want error code canceled", resp)
				}
			case <-time.After(4 * time.Second): // less than any client's own timeout
				t.Fatal("the step goes on")
			}
		})
	}
}

// contract holds the steps of every protocol and the parameters that each must
// have, as the language's reference lists them; there may be more.
var contract = map[string]map[string]string{
	"http":      {"get": httpParams, "post": httpParams, "put": httpParams, "delete": httpParams, "patch": httpParams, "head": httpParams},
	"http2":     {"get": httpParams, "post": httpParams, "put": httpParams, "delete": httpParams, "patch": httpParams, "head": httpParams},
	"grpc":      {"call": "method body headers"},
	"postgres":  {"query": "sql args", "exec": "sql args"},
	"mysql":     {"query": "sql args", "exec": "sql args"},
	"redis":     {"command": "cmd args", "get": "key", "set": "key value", "del": "key", "ping": "", "keys": "pattern", "lpush": "key value", "rpush": "key value", "lrange": "key start stop", "incr": "key"},
	"kafka":     {"publish": "topic data key", "consume": "topic group count timeout"},
	"mongodb":   {"find": "collection database", "insert": "collection database", "insert_many": "collection database", "update": "collection database", "delete": "collection database", "count": "collection database", "command": "database"},
	"amqp":      {"publish": "exchange routing_key data", "get": "queue", "declare": "queue exchange binding"},
	"nats":      {"publish": "subject data", "request": "subject data timeout", "subscribe": "subject timeout"},
	"memcached": {"get": "key", "set": "key value", "delete": "key", "incr": "key value"},
	"dns":       {"query": "name type timeout"},
	"tcp":       {"send": "data hex timeout"},
	"udp":       {"send": "data hex timeout"},
}

const httpParams = "path body headers timeout"

func TestMethods(t *testing.T) {
	for name, stepper := range All() {
		want, known := contract[name]
		if !known {
			t.Errorf("%s is no protocol of the language's reference", name)
		}
		got := make(map[string][]string)
		for _, m := range stepper.Methods() {
			got[m.Name] = checkMethod(t, name, m)
		}
		for method, params := range want {
			have, known := got[method]
			for _, p := range strings.Fields(params) {
				known = known && slices.Contains(have, p)
			}
			if !known {
				t.Errorf("%s.%s has %q, want at least (%s)", name, method, have, params)
			}
		}
	}
}

// checkMethod returns the method's parameters.
func checkMethod(t *testing.T, protocol string, m runtime.Method) (params []string) {
	t.Helper()
	name := protocol + "." + m.Name
	optional := false
	for _, p := range m.Params {
		if slices.Contains(params, p.Name) {
			t.Errorf("%s: parameter %s is listed twice", name, p.Name)
		}
		params = append(params, p.Name)
		if p.Required && (optional || p.Default != nil) {
			t.Errorf("%s: required %s comes after an optional one, or has a default", name, p.Name)
		}
		optional = optional || !p.Required
		checkDefault(t, name, p)
	}
	if !strings.HasSuffix(m.Doc, ".") || strings.Contains(m.Doc, "\n") {
		t.Errorf("%s: doc %q is not a sentence", name, m.Doc)
	}
	return params
}

func checkDefault(t *testing.T, method string, p runtime.Param) {
	t.Helper()
	kinds := map[runtime.Kind]any{runtime.String: "", runtime.Int: int64(0), runtime.Bool: false, runtime.Duration: time.Duration(0),
		runtime.List: []any{}, runtime.Dict: map[string]any{}}
	if _, known := kinds[p.Kind]; !known && p.Kind != runtime.Any {
		t.Errorf("%s: %s is of unknown kind %q", method, p.Name, p.Kind)
	}
	if p.Default != nil && p.Kind != runtime.Any && reflect.TypeOf(p.Default) != reflect.TypeOf(kinds[p.Kind]) {
		t.Errorf("%s: default of %s is a %T, its kind is %s", method, p.Name, p.Default, p.Kind)
	}
}

func TestErrorCode(t *testing.T) {
	tests := []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "ECONNREFUSED"},
		{fmt.Errorf("read: %w", syscall.ECONNRESET), "ECONNRESET"},
		{syscall.ETIMEDOUT, "ETIMEDOUT"}, // the kernel gave up: not the step's own timeout
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "EOF"},
		{net.ErrClosed, "EOF"},
		{&timeoutError{time.Second}, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{misused("x"), "EINVAL"},
		{errors.New("malformed HTTP response"), "EPROTO"},
	}
	for _, tt := range tests {
		if got := errorCode(tt.err); got != tt.want {
			t.Errorf("errorCode(%v) = %s, want %s", tt.err, got, tt.want)
		}
	}
}

func TestDecodeJSON(t *testing.T) {
	got, ok := decodeJSON([]byte(`{"i": 9007199254740993, "f": 1.5, "e": 1e3, "big": 1e400, "l": [null, true, "x", 12345678901234567890]}`))
	want := map[string]any{"i": int64(9007199254740993), "f": 1.5, "e": 1000.0, "big": "1e400", "l": []any{nil, true, "x", 12345678901234567890.0}}
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	for _, bad := range []string{"", "{", `{} {}`, "nope"} {
		if v, ok := decodeJSON([]byte(bad)); ok {
			t.Errorf("decodeJSON(%q) = %v", bad, v)
		}
	}
}

// TestIdle: a look at an idle connection takes nothing from it.
func TestIdle(t *testing.T) {
	a, b := net.Pipe()
	l := &link{Conn: a}
	if alive, first := l.idle(); !alive || first != 0 {
		t.Errorf("quiet connection: %v, %q", alive, first)
	}
	go func() {
		b.Write([]byte("xyz"))
		b.Close()
	}()
	var first byte
	for first == 0 {
		var alive bool
		if alive, first = l.idle(); !alive {
			t.Fatal("reported dead with data to read")
		}
	}
	if alive, again := l.idle(); !alive || first != 'x' || again != 'x' {
		t.Errorf("second look: %v, %q, then %q", alive, first, again)
	}
	if got, err := io.ReadAll(l); string(got) != "xyz" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if alive, _ := l.idle(); alive {
		t.Error("an ended connection is reported alive")
	}
}
