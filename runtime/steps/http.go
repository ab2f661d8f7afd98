package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"faultbox/runtime"
)

// maxBody bounds the body of a response that a step reads.
const maxBody = 64 << 20

// httpSteps speaks HTTP/1.1, or HTTP/2: with prior knowledge on a plain
// interface, by ALPN on one with TLS.
type httpSteps struct{ h2 bool }

var httpMethods = []string{"get", "post", "put", "delete", "patch", "head"}

func (httpSteps) Methods() []runtime.Method {
	var methods []runtime.Method
	for _, m := range httpMethods {
		methods = append(methods, runtime.Method{
			Name: m,
			Doc: "Sends a " + strings.ToUpper(m) + " request and returns the response as it came: a redirect is not followed. " +
				"A body that is a list or dict is sent as JSON; data is the response's body if that is JSON. " +
				"Header names of a response are in canonical form (Content-Type).",
			Params: []runtime.Param{
				{Name: "path", Kind: runtime.String, Required: true},
				{Name: "body", Kind: runtime.Any},
				{Name: "headers", Kind: runtime.Dict},
				{Name: "timeout", Kind: runtime.Duration},
			},
		})
	}
	return methods
}

func (h httpSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return h.session(e), nil
}

// Ping succeeds when the server answers GET / with a status below 500.
func (h httpSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := h.session(e)
	defer s.Close()
	resp := s.Do(ctx, "get", runtime.Args{"path": "/"})
	if resp.Status == 0 || resp.Status >= 500 {
		return fmt.Errorf("ping %s: %s", e.Addr, resp.Error)
	}
	return nil
}

// httpSession keeps one connection, made by Transport.NewClientConn: a
// Transport of its own accord tries again when a kept connection fails.
type httpSession struct {
	scheme, addr string
	transport    *http.Transport
	conn         *http.ClientConn // nil: none yet
	link         *link            // below conn
}

func (h httpSteps) session(e runtime.Endpoint) *httpSession {
	s := &httpSession{scheme: "http", addr: e.Addr}
	if e.Interface.TLS {
		s.scheme = "https"
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h.h2)
	protocols.SetHTTP2(h.h2)
	protocols.SetUnencryptedHTTP2(h.h2)
	s.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			l, err := connect(ctx, e, false)
			s.link = l
			return l, err
		},
		TLSClientConfig:    tlsConfig(e),
		DisableCompression: true,
		Protocols:          protocols,
	}
	return s
}

func (s *httpSession) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

func (s *httpSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	ctx, cancel := withTimeout(ctx, args)
	defer cancel()
	req, err := s.request(ctx, method, args)
	if err != nil {
		return failed(context.Background(), err)
	}
	if s.conn != nil && s.conn.Err() != nil {
		s.Close()
	}
	if s.conn == nil {
		if s.conn, err = s.transport.NewClientConn(ctx, s.scheme, s.addr); err != nil {
			return failed(ctx, err)
		}
	}
	resp, err := s.conn.RoundTrip(req)
	if err != nil {
		s.Close()
		return s.failed(ctx, err)
	}
	defer func() {
		resp.Body.Close()
		if resp.Close {
			s.Close()
		}
	}()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(body) > maxBody {
		err = misused("read response: its body is larger than %d MB", maxBody>>20)
	}
	var out runtime.Response
	if err != nil {
		s.Close()
		out = s.failed(ctx, err)
	} else if out.OK = resp.StatusCode < 400; !out.OK {
		out.Error = resp.Status
	}
	out.Status = resp.StatusCode
	out.Body = string(body)
	out.Headers = make(map[string]string, len(resp.Header))
	for name, values := range resp.Header {
		out.Headers[name] = strings.Join(values, ", ")
	}
	if err == nil && (strings.Contains(resp.Header.Get("Content-Type"), "json") || looksLikeJSON(out.Body)) {
		out.Data, _ = decodeJSON(body)
	}
	return out
}

// h2Code finds the name of an HTTP/2 error code (RFC 9113, 7) in the message of
// a stream or connection error, whose types net/http keeps to itself.
var h2Code = regexp.MustCompile(`(?:stream error: stream ID \d+; |ErrCode=)([A-Z][A-Z0-9_]+)`)

// failed is the response to a request that no whole answer came for.
func (s *httpSession) failed(ctx context.Context, err error) runtime.Response {
	resp := failed(ctx, err)
	end := s.link.end.Load()
	switch resp.ErrorCode {
	case "EOF", "EPIPE": // reader and writer hear of a reset in any order
		if end != nil && errors.Is(*end, syscall.ECONNRESET) {
			return failed(ctx, *end)
		}
	case "EPROTO":
		if m := h2Code.FindStringSubmatch(err.Error()); m != nil {
			resp.ErrorCode = m[1]
			return resp
		}
		// The two messages of net/http for a connection that ended first.
		if strings.Contains(err.Error(), "server closed idle connection") || strings.Contains(err.Error(), "client conn could not be established") {
			if end != nil {
				return failed(ctx, *end)
			}
			resp.ErrorCode = "EOF"
		}
	}
	return resp
}

// request builds a step's request.
func (s *httpSession) request(ctx context.Context, method string, args runtime.Args) (*http.Request, error) {
	target, err := httpTarget(args.Str("path"))
	if err != nil {
		return nil, err
	}
	body, kind, err := httpBody(args["body"])
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, strings.ToUpper(method), s.scheme+"://"+s.addr+target, body)
	if err != nil {
		return nil, misused("make request: %v", err)
	}
	req.Header.Set("User-Agent", "faultbox")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	headers, _ := args["headers"].(map[string]any)
	for name, value := range headers {
		values, isList := value.([]any)
		if !isList {
			values = []any{value}
		}
		req.Header.Del(name)
		for _, v := range values {
			one, ok := text(v)
			if !ok {
				return nil, misused("set header %s: want a string, number or bool, or a list of them", name)
			}
			if http.CanonicalHeaderKey(name) == "Host" {
				req.Host = one
				continue
			}
			req.Header.Add(name, one)
		}
	}
	return req, nil
}

// httpTarget checks path= and makes it fit for a request line.
func httpTarget(path string) (string, error) {
	if strings.Contains(path, "://") && !strings.HasPrefix(path, "/") {
		return "", misused("read path %q: want a path on this service, such as /users/1, not a whole URL", path)
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	path, query, hasQuery := strings.Cut(path, "?")
	u := url.URL{Path: path}
	if raw, err := url.PathUnescape(path); err == nil { // escaped already
		u.Path, u.RawPath = raw, path
	}
	target := u.EscapedPath()
	if strings.HasPrefix(target, "//") {
		target = "/." + target[1:] // or the rest would read as a host
	}
	if hasQuery {
		target += "?" + strings.NewReplacer(" ", "%20", "\t", "%09", "\r", "%0D", "\n", "%0A", "#", "%23").Replace(query)
	}
	return target, nil
}

// httpBody turns body= into bytes and a content type.
func httpBody(v any) (io.Reader, string, error) {
	switch v := v.(type) {
	case nil:
		return nil, "", nil
	case string:
		if looksLikeJSON(v) {
			return strings.NewReader(v), "application/json", nil
		}
		return strings.NewReader(v), "text/plain; charset=utf-8", nil
	}
	encoded, err := encodeJSON(v)
	return strings.NewReader(encoded), "application/json", err
}
