package drivers

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/http1"
)

func httpError(status int, message string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Status: status, Message: message}}
}

func httpValue(status int, v any, headers ...protocols.Attr) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Status: status, Value: v, Headers: headers}}
}

func TestCurlFaults(t *testing.T) {
	server, served := webServer(t)
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		match  []string
		fault  intercept.Fault
		args   []string // URL left out
		path   string
		want   string // curl's output contains it
		served int64
	}{
		{"error", nil, httpError(0, "disk full"), nil, "/x", "HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"error\":\"disk full\"}[exit 0]", 0},
		{"error, HEAD", nil, httpError(503, "x"), []string{"-I"}, "/x", "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n[exit 0]", 0},
		{"error, HTTP/1.0", nil, httpError(503, "x"), []string{"--http1.0"}, "/x", "HTTP/1.0 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"error\":\"x\"}[exit 0]", 0},
		{"error after", nil, after(httpError(502, "x")), []string{"-d", "a"}, "/x", "HTTP/1.1 502 Bad Gateway", 1},
		{"error after a large answer", nil, after(httpError(502, "x")), nil, "/bytes?n=3000000&chunk=1", "Content-Length: 13\r\n\r\n{\"error\":\"x\"}[exit 0]", 1},
		{"error after, HTTP/1.0, up to the end", nil, after(httpError(502, "x")), []string{"--http1.0"}, "/bytes?n=3000000&chunk=1", "Connection: close\r\n\r\n{\"error\":\"x\"}[exit 0]", 1},
		{"error, Expect", nil, httpError(413, "x"), []string{"-T", file, "-H", "Expect: 100-continue", "--expect100-timeout", "30"}, "/up", "HTTP/1.1 413 Content Too Large\r\nContent-Type: application/json\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"error\":\"x\"}[exit 0]", 0},
		{"error, upload on its way", nil, httpError(413, "x"), []string{"-T", file, "-H", "Expect:"}, "/up", "HTTP/1.1 413 Content Too Large", 0},
		{"error, chunked upload", nil, httpError(413, "x"), []string{"-T", file, "-H", "Expect:", "-H", "Transfer-Encoding: chunked"}, "/up", "HTTP/1.1 413 Content Too Large", 0},
		{"response", nil, httpValue(201, map[string]any{"id": int64(1)}, protocols.Attr{Name: "X-A", Value: "b"}), nil, "/x", "HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{\"id\":1}[exit 0]", 0},
		{"response without body", nil, httpValue(204, nil), nil, "/x", "HTTP/1.1 204 No Content\r\n\r\n[exit 0]", 0},
		{"close before", nil, intercept.Fault{Do: intercept.Close}, nil, "/x", "Empty reply from server\n[exit 52]", 0},
		{"close after", nil, after(intercept.Fault{Do: intercept.Close}), nil, "/x", "Empty reply from server\n[exit 52]", 1},
		{"reset", nil, intercept.Fault{Do: intercept.Reset}, nil, "/x", "Connection reset by peer\n[exit 56]", 0},
		{"cut", nil, intercept.Fault{Do: intercept.Cut, Bytes: 1000}, nil, "/bytes?n=5000", "[exit 18]", 1},
		{"twice", nil, intercept.Fault{Do: intercept.Twice}, []string{"-d", "abc"}, "/x", "3 bytes", 2},
		{"twice, Connection: close", nil, intercept.Fault{Do: intercept.Twice}, []string{"-d", "abc", "-H", "Connection: close"}, "/x", "Connection: close", 2},
		{"twice, Expect", nil, intercept.Fault{Do: intercept.Twice}, []string{"-T", file, "-H", "Expect: 100-continue", "--expect100-timeout", "90"}, "/up", "8388608 bytes", 2},
		{"twice, HTTP/1.0", nil, intercept.Fault{Do: intercept.Twice}, []string{"-d", "abc", "--http1.0"}, "/x", "3 bytes", 2},
		{"the tunnel is refused", []string{"method", "connect"}, httpError(502, "x"), []string{"-p", "-x", "http://ADDR"}, "/x", "HTTP/1.1 502 Bad Gateway", 0},
		{"path without the query", []string{"path", "/a/*"}, httpError(500, "x"), nil, "/a/b?q=c", "HTTP/1.1 500", 0},
		{"path and query", []string{"path", "/a?q=*"}, httpError(500, "x"), nil, "/a?q=c", "HTTP/1.1 500", 0},
		{"another query", []string{"path", "/a?q=*"}, httpError(500, "x"), nil, "/a?r=c", "HTTP/1.1 200", 1},
		{"a query that looks like a path", []string{"path", "/a*.json"}, httpError(500, "x"), nil, "/a?f=x.json", "HTTP/1.1 200", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, http1.Protocol, server, "curl", c.name)
			addr, log := Front(t, http1.Protocol, server, intercept.Rule{Match: Match(t, http1.Protocol, c.match...), Fault: c.fault})
			served.Store(0)
			args := slices.Clone(c.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "ADDR", addr)
			}
			got := curl(t, append(append([]string{"-i"}, args...), "http://"+addr+c.path)...)
			if !strings.Contains(got, c.want) {
				t.Errorf("curl printed\n%.2000s\nwhere %q is not", got, c.want)
			}
			if n := served.Load(); n != c.served {
				t.Errorf("the server served %d requests and not %d", n, c.served)
			}
			if a := log.Tally()[0]; (a.Acted() == 0) != strings.Contains(c.want, "HTTP/1.1 200") {
				t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
			}
			if notes := log.Notes(); len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

func TestNetHTTPFaults(t *testing.T) {
	server, served := webServer(t)
	once := intercept.Trigger{Prob: 1, Times: 1}
	for _, c := range []struct {
		name   string
		fault  intercept.Fault
		body   io.Reader
		want   string // the error, or status and body
		served int64  // of two requests
	}{
		{"error", httpError(429, "slow down"), nil, `429 {"error":"slow down"}`, 1},
		{"error, Expect", httpError(403, "no"), pattern(4 << 20), `403 {"error":"no"}`, 1},
		{"response", httpValue(0, []any{int64(1), nil}), nil, `200 [1,null]`, 1},
		{"reset", intercept.Fault{Do: intercept.Reset}, strings.NewReader("x"), "connection reset by peer", 1},
		{"close", intercept.Fault{Do: intercept.Close}, strings.NewReader("x"), "EOF", 1},
		{"cut", intercept.Fault{Do: intercept.Cut, Bytes: 150}, nil, "unexpected EOF", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, http1.Protocol, server, "net/http", c.name)
			addr, _ := Front(t, http1.Protocol, server, intercept.Rule{Trigger: once, Fault: c.fault})
			served.Store(0)
			client := httpClient(t)
			do := func(body io.Reader) string {
				req, _ := http.NewRequestWithContext(context.Background(), "POST", "http://"+addr+"/bytes?n=1000", body)
				if strings.Contains(c.name, "Expect") && body != nil {
					req.Header.Set("Expect", "100-continue")
				}
				res, err := client.Do(req)
				if err != nil {
					return err.Error()
				}
				defer res.Body.Close()
				b, err := io.ReadAll(res.Body)
				if err != nil {
					return err.Error()
				}
				return fmt.Sprintf("%d %s", res.StatusCode, b)
			}
			if got := do(c.body); !strings.Contains(got, c.want) {
				t.Errorf("saw %q and not %q", got, c.want)
			}
			if got := do(nil); !strings.HasPrefix(got, "200 0\r\n") || len(got) != 1004 {
				t.Errorf("then saw %q", got)
			}
			if n := served.Load(); n != c.served {
				t.Errorf("the server served %d requests and not %d", n, c.served)
			}
		})
	}
}

// TestHTTPClosesBehind: a client that reads up to the end gets one.
func TestHTTPClosesBehind(t *testing.T) {
	server, _ := webServer(t)
	Struck(t, http1.Protocol, server, "raw", "response before Connection: close")
	addr, _ := Front(t, http1.Protocol, server, intercept.Rule{Match: Match(t, http1.Protocol, "path", "/bad"), Fault: httpValue(200, "x")})
	got := rawHTTP(t, addr, "GET /bad HTTP/1.0\r\n\r\n")
	if !strings.HasSuffix(got, "Connection: close\r\n\r\nx") {
		t.Errorf("%q", got)
	}
	got = rawHTTP(t, addr, "GET /good HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.HasSuffix(got, "Connection: close\r\n\r\nx") {
		t.Errorf("%q", got)
	}
}

// TestHTTPHeaders matches by a header whose name is written otherwise.
func TestHTTPHeaders(t *testing.T) {
	server, _ := webServer(t)
	Struck(t, http1.Protocol, server, "curl", "matched by a header")
	term, err := intercept.NewTerm(http1.Protocol, "headers", "X-Tenant", "acme-*")
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := Front(t, http1.Protocol, server, intercept.Rule{Match: intercept.Match{term}, Fault: httpError(503, "x")})
	for header, want := range map[string]string{"x-tENANT: acme-1": "503", "X-Tenant: other": "200", "X-Other: acme-1": "200"} {
		if got := curl(t, "-o", "/dev/null", "-w", "%{http_code}", "-H", header, "http://"+addr+"/"); got != want+"[exit 0]" {
			t.Errorf("with %q: %s", header, got)
		}
	}
}
