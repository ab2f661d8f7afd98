package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	h2 "faultbox/protocols/http2"
)

// h2Reset resets the stream with an HTTP/2 error code.
func h2Reset(code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Code: code}}
}

func TestHTTP2CurlFaults(t *testing.T) {
	server, served := webServer(t)
	upgrading, upServed := upgradingServer(t)
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	medium := filepath.Join(t.TempDir(), "medium")
	if err := os.WriteFile(medium, make([]byte, 900_000), 0o600); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("0123456789", 100_000)
	for _, c := range []struct {
		name   string
		match  []string
		fault  intercept.Fault
		args   []string // URL left out
		path   string
		want   string // curl's output contains it
		served int64
	}{
		{"error", nil, httpError(0, "disk full"), nil, "/x", "HTTP/2 500 \r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n{\"error\":\"disk full\"}[exit 0]", 0},
		{"error, HEAD", nil, httpError(503, "x"), []string{"-I"}, "/x", "HTTP/2 503 \r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n[exit 0]", 0},
		{"error after", nil, after(httpError(502, "x")), []string{"-d", "a"}, "/x", "HTTP/2 502", 1},
		{"error after a large answer", nil, after(httpError(502, "x")), nil, "/bytes?n=3000000&chunk=1", "content-length: 13\r\n\r\n{\"error\":\"x\"}[exit 0]", 1},
		{"error, upload on its way", nil, httpError(413, "x"), []string{"-T", file}, "/up", "HTTP/2 413", 0},
		{"response", nil, httpValue(201, map[string]any{"id": int64(1)}, protocols.Attr{Name: "X-A", Value: "b"}), nil, "/x", "HTTP/2 201 \r\nx-a: b\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{\"id\":1}[exit 0]", 0},
		{"large response", nil, httpValue(200, large), nil, "/x", large + "[exit 0]", 0},
		{"large response after", nil, after(httpValue(200, large)), nil, "/x", large + "[exit 0]", 1},
		{"response without body", nil, httpValue(204, nil), nil, "/x", "HTTP/2 204 \r\n\r\n[exit 0]", 0},
		{"REFUSED_STREAM", nil, h2Reset("REFUSED_STREAM"), []string{"-d", "a"}, "/x", "tried 5 times before giving up\n[exit 56]", 0},
		{"INTERNAL_ERROR", nil, h2Reset("internal_error"), nil, "/x", "stream 1 was not closed cleanly: INTERNAL_ERROR (err 2)\n[exit 92]", 0},
		{"INTERNAL_ERROR after", nil, after(h2Reset("INTERNAL_ERROR")), nil, "/x", "stream 1 was not closed cleanly: INTERNAL_ERROR (err 2)\n[exit 92]", 1},
		{"close before", nil, intercept.Fault{Do: intercept.Close}, nil, "/x", "[exit 18]", 0},
		{"close after", nil, after(intercept.Fault{Do: intercept.Close}), nil, "/x", "[exit 18]", 1},
		{"close after a large answer", nil, after(intercept.Fault{Do: intercept.Close}), nil, "/bytes?n=50000000", "[exit 18]", 1},
		{"reset", nil, intercept.Fault{Do: intercept.Reset}, nil, "/x", "Connection reset by peer\n", 0},
		{"cut", nil, intercept.Fault{Do: intercept.Cut, Bytes: 1000}, nil, "/bytes?n=5000", "before end of the underlying stream\n", 1},
		{"twice", nil, intercept.Fault{Do: intercept.Twice}, []string{"-d", "abc"}, "/x", "3 bytes", 2},
		{"twice, large", nil, intercept.Fault{Do: intercept.Twice}, []string{"--data-binary", "@" + medium}, "/x", "900000 bytes", 2},
		{"twice, too large", nil, intercept.Fault{Do: intercept.Twice}, []string{"-T", file}, "/x", "8388608 bytes", 1},
		{"twice, no body", nil, intercept.Fault{Do: intercept.Twice}, nil, "/bytes?n=100000", "[exit 0]", 2},
		{"path and query", []string{"path", "/a?q=*"}, httpError(500, "x"), nil, "/a?q=c", "HTTP/2 500", 0},
		{"another query", []string{"path", "/a?q=*"}, httpError(500, "x"), nil, "/a?r=c", "HTTP/2 200", 1},
		{"upgrade: error", nil, httpError(503, "x"), nil, "/x", "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 13\r\nConnection: close\r\n\r\n{\"error\":\"x\"}[exit 0]", 0},
		{"upgrade: error after", nil, after(httpError(503, "x")), nil, "/x", "HTTP/2 503 \r\ncontent-type: application/json\r\ncontent-length: 13\r\n\r\n{\"error\":\"x\"}[exit 0]", 1},
		{"upgrade: REFUSED_STREAM", nil, h2Reset("REFUSED_STREAM"), nil, "/x", "Empty reply from server\n[exit 52]", 0},
		{"upgrade: INTERNAL_ERROR after", nil, after(h2Reset("INTERNAL_ERROR")), nil, "/x", "[exit 92]", 1},
		{"upgrade: twice", nil, intercept.Fault{Do: intercept.Twice}, nil, "/x", "HTTP/2 200", 1},
		{"upgrade: delay", nil, intercept.Fault{Delay: 20 * time.Millisecond}, nil, "/x", "HTTP/2 200", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, served, how := server, served, "--http2-prior-knowledge"
			if strings.HasPrefix(c.name, "upgrade") {
				server, served, how = upgrading, upServed, "--http2"
			}
			Struck(t, h2.Protocol, server, "curl", c.name)
			addr, log := Front(t, h2.Protocol, server, intercept.Rule{Match: Match(t, h2.Protocol, c.match...), Fault: c.fault})
			served.Store(0)
			got := curl(t, append(append([]string{"-i", how}, c.args...), "http://"+addr+c.path)...)
			if !strings.Contains(got, c.want) {
				t.Errorf("curl printed\n%.2000s\nwhere %.300q is not", got, c.want)
			}
			if n := served.Load(); n != c.served {
				t.Errorf("the server served %d requests and not %d", n, c.served)
			}
			idle := map[string]bool{"another query": true, "twice, too large": true, "upgrade: twice": true}[c.name]
			log.Wait(t, "has ended", func(*intercept.Event) bool { return true })
			if a := log.Tally()[0]; (a.Acted() == 0) != idle {
				t.Errorf("matched %d, fired %d, acted on %d; %+v", a.Matched(), a.Fired(), a.Acted(), log.Events())
			}
			if notes := log.Notes(); len(notes) > 0 {
				t.Errorf("notes: %q", notes)
			}
		})
	}
}

// echoServer tells each request's own headers in the headers and the body of
// its answer, and in what order requests began.
func echoServer(t testing.TB) (addr string, conns *atomic.Int64) {
	conns = new(atomic.Int64)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Echo", r.Header.Get("X-Token"))
		w.Header().Set("X-Common", "the same for all")
		size := 0
		fmt.Sscan(r.FormValue("n"), &size)
		fmt.Fprintf(w, "%s %s %d %v\n", r.URL.Path, r.Header.Get("X-Token"), n, err)
		io.Copy(w, pattern(int64(size)))
	}), Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	serves(ln.Addr().String(), webProduct, "")
	return ln.Addr().String(), conns
}

// TestHTTP2FaultsAmongStreams has faults of every kind strike one connection
// that many streams share. All others are answered as ever: header compression,
// flow control and the numbers of streams stay right.
func TestHTTP2FaultsAmongStreams(t *testing.T) {
	server, conns := echoServer(t)
	Struck(t, h2.Protocol, server, "net/http", "twelve faults among 288 streams of one connection")
	body := strings.Repeat("made up ", 40_000)
	pause := 30 * time.Millisecond
	rule := func(path string, f intercept.Fault) intercept.Rule {
		return intercept.Rule{Match: Match(t, h2.Protocol, "path", path), Fault: f}
	}
	addr, log := Front(t, h2.Protocol, server,
		rule("/error", httpError(503, "x")),
		rule("/error-after", after(httpError(503, "x"))),
		rule("/large", httpValue(200, body)),
		rule("/large-after", after(httpValue(200, body))),
		rule("/delay", intercept.Fault{Delay: pause}),
		rule("/delay-after", after(intercept.Fault{Delay: pause})),
		rule("/delayed-error", intercept.Fault{Delay: pause, Do: intercept.Answer, Reply: httpError(503, "x").Reply}),
		rule("/delayed-large", after(intercept.Fault{Delay: pause, Do: intercept.Answer, Reply: httpValue(200, body).Reply})),
		rule("/twice", intercept.Fault{Do: intercept.Twice}),
		rule("/delayed-twice", intercept.Fault{Delay: pause, Do: intercept.Twice}),
		rule("/refused", h2Reset("ENHANCE_YOUR_CALM")),
		rule("/broken-after", after(h2Reset("INTERNAL_ERROR"))),
	)
	c := h2Client(t)
	ask := func(path string, i int) error {
		var upload io.Reader
		method, size := "GET", int64(0)
		if i%2 == 0 {
			size = int64(i%40) * 3000
			upload, method = pattern(size), "POST"
		}
		token := fmt.Sprint("token ", i)
		req, _ := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("http://%s%s?n=%d", addr, path, i%30*7000), upload)
		req.Header.Set("X-Token", token)
		req.Header.Set("X-Kept", "in the table")
		res, err := c.Do(req)
		if err != nil {
			want := map[string]string{"/refused": "ENHANCE_YOUR_CALM", "/broken-after": "INTERNAL_ERROR"}[path]
			if want == "" || !strings.Contains(err.Error(), want) {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		}
		defer res.Body.Close()
		got, err := io.ReadAll(res.Body)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		want := fmt.Sprintf("%s %s %d <nil>\n", path, token, size)
		ok := strings.HasPrefix(string(got), want) && len(got) == len(want)+i%30*7000 && res.Header.Get("X-Echo") == token && res.Header.Get("X-Common") == "the same for all"
		switch path {
		case "/error", "/error-after", "/delayed-error":
			ok = res.StatusCode == 503 && string(got) == `{"error":"x"}`
		case "/large", "/large-after", "/delayed-large":
			ok = string(got) == body
		case "/refused", "/broken-after":
			ok = false
		}
		if !ok {
			return fmt.Errorf("%s: %d %.100q %v", path, res.StatusCode, got, res.Header)
		}
		return nil
	}
	paths := []string{"/error", "/plain", "/error-after", "/delay", "/large", "/plain", "/large-after", "/delay-after", "/twice", "/delayed-error", "/plain", "/delayed-large", "/refused", "/broken-after", "/delayed-twice", "/plain"}
	if err := ask("/plain", 0); err != nil { // the one connection
		t.Fatal(err)
	}
	for round := range 3 {
		var work sync.WaitGroup
		errs := make([]error, 96)
		for i := range errs {
			work.Go(func() { errs[i] = ask(paths[(i+round)%len(paths)], i) })
		}
		work.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections and not 1", n)
	}
	for _, a := range log.Tally() {
		if a.Acted() != 18 {
			t.Errorf("%v acted on %d and not 18", a.Match, a.Acted())
		}
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// TestHTTP2DelayHoldsItsOwn: a request that waits is overtaken, and the server
// has not seen it meanwhile.
func TestHTTP2DelayHoldsItsOwn(t *testing.T) {
	server, served := webServer(t)
	addr, log := Front(t, h2.Protocol, server,
		intercept.Rule{Match: Match(t, h2.Protocol, "path", "/slow"), Fault: intercept.Fault{Delay: time.Hour}})
	Struck(t, h2.Protocol, server, "net/http", "delay holds its own stream alone")
	c := h2Client(t)
	ctx, cancel := context.WithCancel(t.Context())
	slow := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/slow", strings.NewReader("body"))
		_, err := c.Do(req)
		slow <- err
	}()
	for log.Tally()[0].Fired() == 0 {
		time.Sleep(time.Millisecond)
	}
	for i := range 20 {
		res, err := c.Get(fmt.Sprintf("http://%s/fast?%d", addr, i))
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := io.ReadAll(res.Body); !strings.Contains(string(b), fmt.Sprintf("/fast?%d ", i)) {
			t.Errorf("answer %d is %q", i, b)
		}
		res.Body.Close()
	}
	if n := served.Load(); n != 20 {
		t.Errorf("the server served %d requests and not 20", n)
	}
	cancel()
	if err := <-slow; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow one ended with %v", err)
	}
	log.Wait(t, "of another request after it", func(ev *intercept.Event) bool { return ev.Key == "/fast" })
}

// TestHTTP2LoadFaults: half of the requests of a load driver are answered, put
// off or refused by faults, and not one goes wrong otherwise.
func TestHTTP2LoadFaults(t *testing.T) {
	bin := lookPath(t, "h2load", "nghttp2-client")
	dir := files(t)
	nginx, nghttpd := Nginx(t, dir, ""), Nghttpd(t, dir)
	for _, c := range []struct {
		name  string
		fault intercept.Fault
		want  string
	}{
		{"error", httpError(503, "x"), "status codes: 5000 2xx, 0 3xx, 0 4xx, 5000 5xx"},
		{"error after", after(httpError(503, "x")), "status codes: 5000 2xx, 0 3xx, 0 4xx, 5000 5xx"},
		{"response", httpValue(200, strings.Repeat("x", 5000)), "status codes: 10000 2xx"},
		{"twice", intercept.Fault{Do: intercept.Twice}, "status codes: 10000 2xx"},
		{"delay", intercept.Fault{Delay: time.Millisecond}, "status codes: 10000 2xx"},
		{"delay after", after(intercept.Fault{Delay: time.Millisecond}), "status codes: 10000 2xx"},
	} {
		for name, server := range map[string]string{"nginx": nginx, "nghttpd": nghttpd} {
			t.Run(name+"/"+c.name, func(t *testing.T) {
				Struck(t, h2.Protocol, server, "h2load", "half of 10,000: "+c.name)
				addr, log := Front(t, h2.Protocol, server, intercept.Rule{Match: Match(t, h2.Protocol, "path", "/style.css"), Fault: c.fault})
				out, err := exec.CommandContext(t.Context(), bin, "-n", "10000", "-c", "2", "-m", "30", "http://"+addr+"/small.txt", "http://"+addr+"/style.css").CombinedOutput()
				if err != nil || !strings.Contains(string(out), "10000 done") || !strings.Contains(string(out), " 0 errored, 0 timeout") || !strings.Contains(string(out), c.want) {
					t.Errorf("%v\n%s", err, out)
				}
				if a := log.Tally()[0]; a.Fired() != 5000 {
					t.Errorf("fired %d times and not 5000", a.Fired())
				}
				if notes := log.Notes(); len(notes) > 0 {
					t.Errorf("notes: %q", notes)
				}
			})
		}
	}
}
