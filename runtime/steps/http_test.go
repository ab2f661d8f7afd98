package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"faultbox/runtime"
)

// echo answers with what it was asked, as JSON.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Add("X-Many", "a")
	w.Header().Add("X-Many", "b")
	json.NewEncoder(w).Encode(map[string]any{
		"method": r.Method, "uri": r.RequestURI, "host": r.Host, "body": string(body), "type": r.Header.Get("Content-Type"),
		"x": r.Header.Values("X-Test"), "encoding": r.Header.Get("Accept-Encoding"), "proto": r.Proto, "agent": r.UserAgent(), "length": r.ContentLength,
	})
}

func httpEndpoint(protocol string, server *httptest.Server) *dialled {
	e := endpoint(protocol, server.Listener.Addr().String())
	e.Interface.TLS = server.TLS != nil
	return e
}

// httpServers starts a server for each way to speak HTTP.
func httpServers(t *testing.T, h http.HandlerFunc) map[string]*dialled {
	plain := httptest.NewServer(h)
	secure := httptest.NewTLSServer(h)
	h2c := httptest.NewUnstartedServer(h)
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Start()
	h2 := httptest.NewUnstartedServer(h)
	h2.EnableHTTP2 = true
	h2.StartTLS()
	for _, s := range []*httptest.Server{plain, secure, h2c, h2} {
		t.Cleanup(s.Close)
	}
	return map[string]*dialled{
		"HTTP/1.1": httpEndpoint("http", plain), "HTTP/1.1 TLS": httpEndpoint("http", secure),
		"HTTP/2.0": httpEndpoint("http2", h2c), "HTTP/2.0 TLS": httpEndpoint("http2", h2),
	}
}

func TestHTTP(t *testing.T) {
	for name, e := range httpServers(t, echo) {
		t.Run(name, func(t *testing.T) {
			s := session(t, e)
			for _, method := range httpMethods {
				resp := do(t, s, e, method, runtime.Args{"path": "/users/1?q=a b", "headers": map[string]any{"x-test": []any{"1", int64(2)}}})
				if !resp.OK || resp.Status != 200 || resp.Error != "" {
					t.Fatalf("%s: %+v", method, resp)
				}
				if resp.Headers["X-Many"] != "a, b" || resp.Headers["Content-Type"] != "application/json" {
					t.Errorf("%s: headers %v", method, resp.Headers)
				}
				if method == "head" {
					if resp.Body != "" || resp.Data != nil {
						t.Errorf("HEAD has a body: %q", resp.Body)
					}
					continue
				}
				got := resp.Data.(map[string]any)
				want := map[string]any{"method": strings.ToUpper(method), "uri": "/users/1?q=a%20b", "host": e.Addr, "body": "", "type": "",
					"x": []any{"1", "2"}, "encoding": "", "proto": strings.TrimSuffix(name, " TLS"), "agent": "faultbox", "length": int64(0)}
				if !reflect.DeepEqual(got, want) {
					t.Errorf("server saw %v, want %v", got, want)
				}
			}
			for range 100 {
				do(t, s, e, "post", runtime.Args{"path": "/", "body": "x"})
			}
			if n := e.dials.Load(); n != 1 {
				t.Errorf("%d connections for all steps, want 1", n)
			}
		})
	}
}

func TestHTTPBody(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	e := httpEndpoint("http", server)
	s := session(t, e)
	tests := []struct {
		args       runtime.Args
		body, kind string
	}{
		{runtime.Args{"body": "plain & <text>"}, "plain & <text>", "text/plain; charset=utf-8"},
		{runtime.Args{"body": `{"name":"alice"}`}, `{"name":"alice"}`, "application/json"},
		{runtime.Args{"body": map[string]any{"b": []any{int64(1), 1.5, nil, true}, "a": "<&>"}}, `{"a":"<&>","b":[1,1.5,null,true]}`, "application/json"},
		{runtime.Args{"body": []any{"x"}}, `["x"]`, "application/json"},
		{runtime.Args{"body": int64(7)}, `7`, "application/json"},
		{runtime.Args{"body": "a=1", "headers": map[string]any{"content-type": "application/x-www-form-urlencoded"}}, "a=1", "application/x-www-form-urlencoded"},
		{runtime.Args{"body": "\xff\x00"}, "\ufffd\x00", "text/plain; charset=utf-8"},
	}
	for _, tt := range tests {
		tt.args["path"] = "/"
		got := do(t, s, e, "post", tt.args).Data.(map[string]any)
		if got["body"] != tt.body || got["type"] != tt.kind {
			t.Errorf("%v: server saw %q of type %q, want %q of %q", tt.args, got["body"], got["type"], tt.body, tt.kind)
		}
	}
	got := do(t, s, e, "get", runtime.Args{"path": "/", "headers": map[string]any{"Host": "other.test"}}).Data.(map[string]any)
	if got["host"] != "other.test" {
		t.Errorf("host %q", got["host"])
	}
}

func TestHTTPTarget(t *testing.T) {
	tests := []struct{ path, want string }{
		{"/", "/"}, {"users", "/users"}, {"/a b", "/a%20b"}, {"/a%2Fb", "/a%2Fb"}, {"/ü", "/%C3%BC"}, {"/100%", "/100%25"},
		{"/x?a=1&b=%20", "/x?a=1&b=%20"}, {"/x?a=b c#d", "/x?a=b%20c%23d"}, {"/a#b", "/a%23b"}, {"//evil/x", "/./evil/x"}, {"/?url=http://x/", "/?url=http://x/"},
	}
	server := httptest.NewServer(http.HandlerFunc(echo))
	defer server.Close()
	e := httpEndpoint("http", server)
	s := session(t, e)
	for _, tt := range tests {
		resp := do(t, s, e, "get", runtime.Args{"path": tt.path})
		if data, _ := resp.Data.(map[string]any); data["uri"] != tt.want {
			t.Errorf("path %q: server saw %v (%s), want %q", tt.path, data["uri"], resp.Error, tt.want)
		}
	}
	if resp := do(t, s, e, "get", runtime.Args{"path": "http://other/x"}); resp.ErrorCode != "EINVAL" {
		t.Errorf("a whole URL as path: %+v", resp)
	}
}

func TestHTTPAnswers(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/missing":
			http.Error(w, "no such thing", http.StatusNotFound)
		case "/unavailable":
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"error": "db down"}`)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.Header().Set("Link", "</x>")
			w.WriteHeader(http.StatusEarlyHints)
			io.WriteString(w, "final")
		case "/number":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "42")
		case "/lies":
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, "{not json")
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case "/binary":
			w.Write([]byte{0xff, 0, 0xfe})
		}
	}
	tests := []struct {
		path  string
		want  runtime.Response
		alsoC string // error code on HTTP/2
	}{
		{"/redirect", runtime.Response{Status: 302, OK: true, Body: "<a href=\"/elsewhere\">Found</a>.\n\n"}, ""},
		{"/missing", runtime.Response{Status: 404, Body: "no such thing\n", Error: "404 Not Found"}, ""},
		{"/unavailable", runtime.Response{Status: 503, Body: `{"error": "db down"}`, Data: map[string]any{"error": "db down"}, Error: "503 Service Unavailable"}, ""},
		{"/empty", runtime.Response{Status: 204, OK: true}, ""},
		{"/early", runtime.Response{Status: 200, OK: true, Body: "final"}, ""},
		{"/number", runtime.Response{Status: 200, OK: true, Body: "42", Data: int64(42)}, ""},
		{"/lies", runtime.Response{Status: 200, OK: true, Body: "{not json"}, ""},
		{"/cut", runtime.Response{Status: 200, Body: "half", Error: "unexpected EOF", ErrorCode: "EOF"}, "INTERNAL_ERROR"},
		{"/binary", runtime.Response{Status: 200, OK: true, Body: "\xff\x00\xfe"}, ""},
	}
	for name, e := range httpServers(t, handler) {
		for _, tt := range tests {
			t.Run(name+tt.path, func(t *testing.T) {
				got := do(t, session(t, e), e, "get", runtime.Args{"path": tt.path})
				got.Headers = nil
				want := tt.want
				if tt.alsoC != "" && strings.HasPrefix(name, "HTTP/2") {
					want.ErrorCode, want.Error = tt.alsoC, got.Error
				}
				if !strings.HasPrefix(name, "HTTP/2") || tt.path != "/missing" && tt.path != "/unavailable" {
					if !reflect.DeepEqual(got, want) {
						t.Errorf("got  %+v\nwant %+v", got, want)
					}
				} else if got.OK || got.Status != want.Status || !strings.HasPrefix(got.Error, fmt.Sprint(want.Status)) {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

// TestHTTPKeptConnection: a kept connection that fails during a step fails the
// step, whatever the method; one that the server closed before is replaced.
func TestHTTPKeptConnection(t *testing.T) {
	var requests atomic.Int32
	ok := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	addr := scripted(t, func(c net.Conn) {
		buf := make([]byte, 1<<16)
		for n := 0; ; n++ {
			if _, err := c.Read(buf); err != nil {
				return
			}
			requests.Add(1)
			if n == 1 {
				return // the second request on a connection is never answered
			}
			io.WriteString(c, ok)
		}
	})
	e := endpoint("http", addr)
	s := session(t, e)
	for n := range 6 {
		resp := do(t, s, e, "get", runtime.Args{"path": "/"})
		if want := n%2 == 0; resp.OK != want || !want && resp.ErrorCode != "EOF" {
			t.Errorf("step %d: %+v", n, resp)
		}
	}
	if n := requests.Load(); n != 6 {
		t.Errorf("6 steps made %d requests", n)
	}
	e = endpoint("http", scripted(t, speaks(ok))) // closes after each answer, without saying so
	s = session(t, e)
	for n := range 3 {
		if resp := do(t, s, e, "get", runtime.Args{"path": "/"}); !resp.OK {
			t.Errorf("step %d on a server that closes: %+v", n, resp)
		}
		time.Sleep(20 * time.Millisecond) // let the end of the connection arrive
	}
}

func TestHTTPTimeout(t *testing.T) {
	release := make(chan struct{})
	for name, e := range httpServers(t, func(w http.ResponseWriter, r *http.Request) { <-release }) {
		t.Run(name, func(t *testing.T) {
			s := session(t, e)
			resp := do(t, s, e, "get", runtime.Args{"path": "/", "timeout": 50 * time.Millisecond})
			if resp.OK || resp.ErrorCode != "timeout" || resp.Error != "no answer within 50ms" {
				t.Errorf("got %+v", resp)
			}
		})
	}
	close(release)
}

func TestHTTPMalformed(t *testing.T) {
	e := endpoint("http", scripted(t, speaks("SSH-2.0-OpenSSH\r\n")))
	if resp := do(t, session(t, e), e, "get", runtime.Args{"path": "/"}); resp.OK || resp.ErrorCode != "EPROTO" {
		t.Errorf("got %+v", resp)
	}
	plain := httptest.NewServer(http.HandlerFunc(echo))
	defer plain.Close()
	e = httpEndpoint("http", plain)
	e.Interface.TLS = true
	if resp := do(t, session(t, e), e, "get", runtime.Args{"path": "/"}); resp.OK || resp.ErrorCode != "TLS" {
		t.Errorf("TLS to a plain server: %+v", resp)
	}
}

func TestHTTPPing(t *testing.T) {
	status := http.StatusServiceUnavailable
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
	defer server.Close()
	e := httpEndpoint("http", server)
	ping := httpSteps{}.Ping
	if err := ping(context.Background(), e.Endpoint); err == nil {
		t.Error("503 counts as ready")
	}
	status = http.StatusNotFound
	if err := ping(context.Background(), e.Endpoint); err != nil {
		t.Errorf("404 does not count as ready: %v", err)
	}
	e.Addr = noListener(t)
	if err := ping(context.Background(), e.Endpoint); err == nil {
		t.Error("nobody counts as ready")
	}
}
