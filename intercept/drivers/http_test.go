package drivers

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/websocket"

	"faultbox/intercept"
	"faultbox/protocols/http1"
)

// webServer is a net/http server; it counts what it has served.
func webServer(t testing.TB) (addr string, served *atomic.Int64) {
	served = new(atomic.Int64)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { // tells what it got
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%s %s %s %d bytes %x %v\n", r.Proto, r.Method, r.RequestURI, n, sum.Sum(nil)[:4], err)
		for _, h := range []string{"X-Odd", "Cookie", "Content-Type"} {
			fmt.Fprintf(w, "%s: %q\n", h, r.Header[h])
		}
		fmt.Fprintln(w, r.Trailer)
	})
	mux.HandleFunc("/bytes", func(w http.ResponseWriter, r *http.Request) {
		var n, chunk int
		fmt.Sscan(r.FormValue("n"), &n)
		fmt.Sscan(r.FormValue("chunk"), &chunk)
		if chunk == 0 {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		buf := bytes.Repeat([]byte("0\r\n\r\n"), 13_000)
		for n > 0 {
			k, err := w.Write(buf[:min(n, len(buf))])
			if n -= k; err != nil {
				return
			}
			if chunk != 0 {
				w.(http.Flusher).Flush()
			}
		}
	})
	mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
		var code int
		fmt.Sscan(r.FormValue("code"), &code)
		w.WriteHeader(code)
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "body")
		w.Header().Set("X-Sum", "1234")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) { // does not read the body
		http.Error(w, "no", http.StatusForbidden)
	})
	mux.Handle("/ws", websocket.Server{Handler: func(c *websocket.Conn) {
		for m := ""; websocket.Message.Receive(c, &m) == nil; {
			websocket.Message.Send(c, m)
		}
	}})
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		w.Header()["Date"] = nil
		switch {
		case r.Method == http.MethodConnect:
			tunnel(w, r)
		case r.RequestURI == "*": // net/http's own answer would have a Date
			w.Header().Set("Allow", "GET, PUT, POST, OPTIONS")
		default:
			mux.ServeHTTP(w, r)
		}
	}), Protocols: new(http.Protocols), DisableGeneralOptionsHandler: true}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	serves(ln.Addr().String(), webProduct, "")
	return ln.Addr().String(), served
}

// webProduct is what webServer runs on.
var webProduct = "net/http, " + runtime.Version()

// tunnel serves CONNECT.
func tunnel(w http.ResponseWriter, r *http.Request) {
	server, err := net.Dial("tcp", r.Host)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, buffered, _ := http.NewResponseController(w).Hijack()
	defer client.Close()
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		io.Copy(server, buffered)
		server.(*net.TCPConn).CloseWrite()
	}()
	io.Copy(client, server)
}

// curl runs curl and returns what it printed, its exit code at the end.
func curl(t testing.TB, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), lookPath(t, "curl", "curl"), append([]string{"-sS", "-m", "60"}, args...)...)
	out, _ := cmd.CombinedOutput()
	return fmt.Sprintf("%s[exit %d]", out, cmd.ProcessState.ExitCode())
}

func TestCurlUntouched(t *testing.T) {
	server, _ := webServer(t)
	addr, log := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, bytes.Repeat([]byte("GET / HTTP/1.1\r\n\r\n"), 200_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-i", "http://ADDR/a/b?c=d"},
		{"-I", "http://ADDR/bytes?n=1000"},
		{"-i", "-X", "DELETE", "http://ADDR/x"},
		{"-i", "-X", "OPTIONS", "--request-target", "*", "http://ADDR/"},
		{"-i", "-d", "a=b", "-H", "x-oDD:  value", "-b", "k=v", "http://ADDR/form"},
		{"-i", "-T", file, "http://ADDR/put"}, // Expect: 100-continue
		{"-i", "-T", file, "-H", "Transfer-Encoding: chunked", "http://ADDR/put"},
		{"-i", "-T", file, "-H", "Expect:", "http://ADDR/put"},
		{"-i", "-T", file, "--expect100-timeout", "30", "http://ADDR/early"},
		{"-i", "--http1.0", "-d", "a=b", "http://ADDR/old"},
		{"-i", "--http1.0", "http://ADDR/bytes?n=300000&chunk=1"}, // up to the end of the connection
		{"-i", "http://ADDR/bytes?n=300000&chunk=1"},
		{"-i", "http://ADDR/bytes?n=300000", "http://ADDR/status?code=204", "http://ADDR/status?code=304", "http://ADDR/trailers", "http://ADDR/last"},
		{"-i", "-H", "Connection: close", "http://ADDR/"},
		{"-p", "-x", "http://ADDR", "http://" + server + "/through-the-tunnel"},
		{"-x", "http://ADDR", "http://" + server + "/absolute-form"},
		{"-i", "-r", "0-9", "http://ADDR/range"},
	} {
		run := func(addr string) []string {
			filled := slices.Clone(args)
			for i := range filled {
				filled[i] = strings.ReplaceAll(filled[i], "ADDR", addr)
			}
			out := curl(t, append(filled, "-H", "Host: same", "-w", "%{http_code} %{size_upload} %{size_download} %{num_connects}\n")...)
			return strings.Split(out, "\n")
		}
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			Compared(t, http1.Protocol, server, "curl", strings.ReplaceAll(strings.ReplaceAll(strings.Join(args, " "), file, "FILE"), server, "SERVER"))
			equalLines(t, run(server), run(addr))
		})
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	for _, ev := range log.Events() {
		if ev.Outcome != intercept.Answered {
			t.Errorf("%s %s ended as %q", ev.Op, ev.Key, ev.Outcome)
		}
	}
	// What is not HTTP/1 goes on untouched, and a note says so.
	addr, log = Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	if got := curl(t, "--http2-prior-knowledge", "http://"+addr+"/two"); !strings.HasPrefix(got, "HTTP/2.0 GET /two") {
		t.Errorf("with HTTP/2: %s", got)
	}
	if notes := log.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "HTTP/2") {
		t.Errorf("notes: %q", notes)
	}
}

func TestPythonServerUntouched(t *testing.T) {
	python := lookPath(t, "python3", "python3")
	dir := folder(t, "")
	os.WriteFile(filepath.Join(dir, "file.txt"), bytes.Repeat([]byte("line\n"), 50_000), 0o644)
	port := FreePort(t)
	server := "127.0.0.1:" + port
	cmd := exec.Command(python, "-m", "http.server", "--bind", "127.0.0.1", port) // HTTP/1.0
	cmd.Dir = dir
	run(t, cmd, syscall.SIGTERM, func() error { return accepts(server) })
	serves(server, "http.server, Python", python, "--version")
	Compared(t, http1.Protocol, server, "curl", "HTTP/1.0 server, answers up to the end")
	addr, log := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	for _, path := range []string{"/", "/file.txt", "/none"} {
		run := func(addr string) []string {
			return slices.DeleteFunc(strings.Split(curl(t, "-i", "http://"+addr+path), "\n"), func(s string) bool { return strings.HasPrefix(s, "Date:") })
		}
		equalLines(t, run(server), run(addr))
	}
	log.Wait(t, "of a missing file", func(ev *intercept.Event) bool { return ev.Key == "/none" && ev.Err == "404" })
}

func httpClient(t testing.TB) *http.Client {
	tr := &http.Transport{ExpectContinueTimeout: time.Minute, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// pattern reads n bytes of a fixed pattern.
func pattern(n int64) io.Reader { return io.LimitReader(endless{}, n) }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

// TestHTTPLargeBodies streams a gigabyte each way, with a length and in chunks.
func TestHTTPLargeBodies(t *testing.T) {
	server, _ := webServer(t)
	addr, log := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	Compared(t, http1.Protocol, server, "net/http", "bodies of 1 GB each way, with a length and chunked")
	c := httpClient(t)
	const size = 1 << 30
	var before, peak runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, length := range []int64{size, -1} {
		req, _ := http.NewRequest("POST", "http://"+addr+"/bytes?n=5", pattern(size))
		req.ContentLength = length
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	for _, query := range []string{"", "&chunk=1"} {
		res, err := c.Get(fmt.Sprint("http://", addr, "/bytes?n=", size, query))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); n != size || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		res.Body.Close()
	}
	runtime.ReadMemStats(&peak)
	if grown := int64(peak.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap grew by %d MB", grown>>20)
	}
	if n := log.Notes(); len(n) > 0 {
		t.Errorf("notes: %q", n)
	}
}

func TestHTTPInterimAnswersAndTrailers(t *testing.T) {
	server, _ := webServer(t)
	addr, _ := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	Compared(t, http1.Protocol, server, "net/http", "103 and 100, trailers")
	var interim []int
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { interim = append(interim, code); return nil },
	})
	req, _ := http.NewRequestWithContext(ctx, "POST", "http://"+addr+"/trailers", strings.NewReader("abc"))
	res, err := httpClient(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	if string(body) != "body" || res.Trailer.Get("X-Sum") != "1234" || !slices.Equal(interim, []int{103}) {
		t.Errorf("body %q, trailer %v, interim answers %v", body, res.Trailer, interim)
	}
}

// rawHTTP sends text in one go and returns all that comes until the server, or
// the relay, closes. It never closes first.
func rawHTTP(t testing.TB, addr, text string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	go io.WriteString(c, text)
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v after %q", err, b)
	}
	return string(b)
}

func TestHTTPPipelining(t *testing.T) {
	server, _ := webServer(t)
	Compared(t, http1.Protocol, server, "raw", "a pipeline of 601 requests")
	Struck(t, http1.Protocol, server, "raw", "error in a pipeline")
	var text strings.Builder
	for i := range 300 {
		fmt.Fprintf(&text, "POST /bad/%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcHEAD /h%d HTTP/1.1\r\nHost: a\r\n\r\n", i, i)
	}
	text.WriteString("GET /last HTTP/1.0\r\n\r\n")
	addr, _ := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	equalLines(t, strings.Split(rawHTTP(t, server, text.String()), "\n"), strings.Split(rawHTTP(t, addr, text.String()), "\n"))

	addr, _ = Front(t, http1.Protocol, server, intercept.Rule{Match: Match(t, http1.Protocol, "path", "/bad/*7"), Fault: httpError(503, "x")})
	r := bufio.NewReader(strings.NewReader(rawHTTP(t, addr, text.String())))
	for i := range 601 {
		method, want := "POST", 200
		if i%2 == 1 || i == 600 {
			method = "HEAD"
		} else if i/2%10 == 7 {
			want = 503
		}
		if i == 600 {
			method = "GET"
		}
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatal(i, err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != want || want == 200 && method == "POST" && !strings.Contains(string(body), fmt.Sprintf("/bad/%d ", i/2)) {
			t.Errorf("answer %d is %d %q", i, res.StatusCode, body)
		}
	}
}

func TestWebSocketUntouched(t *testing.T) {
	server, _ := webServer(t)
	addr, log := Front(t, http1.Protocol, server, never(t, http1.Protocol, "path"))
	Compared(t, http1.Protocol, server, "ws (Node)", "WebSocket")
	Struck(t, http1.Protocol, server, "ws (Node)", "WebSocket refused")
	modules := npm(t, "ws", "ws")
	script := `const WebSocket = require('ws');
const ws = new WebSocket('ws://' + process.argv[2] + '/ws', { origin: 'http://x' });
ws.on('open', () => { ws.send('hello'); ws.send('GET / HTTP/1.1\r\n\r\n'); ws.send('x'.repeat(300000)); });
let n = 0;
ws.on('message', m => { console.log(m.length, m.toString().slice(0, 20)); if (++n == 3) ws.close(); });
ws.on('close', c => console.log('closed', c));
ws.on('error', e => console.log('error', e.message));`
	equalLines(t, node(t, modules, script, server), node(t, modules, script, addr))
	log.Wait(t, "of the upgrade", func(ev *intercept.Event) bool { return ev.Key == "/ws" && ev.Outcome == intercept.Answered })

	addr, _ = Front(t, http1.Protocol, server, intercept.Rule{Match: Match(t, http1.Protocol, "path", "/ws"), Fault: httpError(503, "")})
	if got := node(t, modules, script, addr); got[0] != "error Unexpected server response: 503" {
		t.Errorf("%q", got)
	}
}
