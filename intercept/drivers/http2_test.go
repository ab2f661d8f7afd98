package drivers

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c" //lint:ignore SA1019 net/http has no server that takes the upgrade from HTTP/1.1

	"faultbox/intercept"
	h2 "faultbox/protocols/http2"
)

// upgradingServer is a net/http server that serves h2c, also after an upgrade
// from HTTP/1.1. It tells what it got.
func upgradingServer(t testing.TB) (addr string, served *atomic.Int64) {
	served = new(atomic.Int64)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		w.Header()["Date"] = nil
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q\n", r.Proto, r.Method, r.RequestURI, body)
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	//lint:ignore SA1019 see the import
	s := &http.Server{Handler: h2c.NewHandler(handler, &http2.Server{})}
	go s.Serve(ln)
	t.Cleanup(func() { s.Close() })
	serves(ln.Addr().String(), webProduct, "")
	return ln.Addr().String(), served
}

// h2Client is a net/http client that speaks h2c with prior knowledge.
func h2Client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true, Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: time.Minute}
}

// files makes a folder of files that nginx and nghttpd serve.
func files(t testing.TB) string {
	dir := folder(t, "")
	for name, size := range map[string]int{"index.html": 20, "small.txt": 100, "large.bin": 3 << 20, "style.css": 500} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("0123456789"), size/10), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// shorten leaves out the middle of what is long.
func shorten(s string) string {
	if len(s) > 120 {
		return s[:60] + "…" + s[len(s)-20:]
	}
	return s
}

// untouched checks that the rule which never matches left no trace.
func untouched(t testing.TB, log *Log) {
	t.Helper()
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	for _, ev := range log.Events() {
		if ev.Outcome != intercept.Answered {
			t.Errorf("%s %s ended as %q", ev.Op, ev.Key, ev.Outcome)
		}
	}
}

func TestHTTP2CurlUntouched(t *testing.T) {
	goServer, _ := webServer(t)
	upgrading, _ := upgradingServer(t)
	dir := files(t)
	nginx := Nginx(t, dir, "location /gone { return 410; } location /moved { return 302 /small.txt; }")
	nghttpd := Nghttpd(t, dir, "--trailer", "x-sum: 12")
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, bytes.Repeat([]byte("0123456789"), 300_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, server string
		args         []string
	}{
		{"go", goServer, []string{"-i", "http://ADDR/a/b?c=d", "http://ADDR/status?code=204", "http://ADDR/status?code=503", "http://ADDR/trailers"}},
		{"go", goServer, []string{"-I", "http://ADDR/bytes?n=1000"}},
		{"go", goServer, []string{"-i", "-d", "a=b", "-H", "x-odd:  value", "-b", "k=v; l=w", "http://ADDR/form"}},
		{"go", goServer, []string{"-i", "-T", upload, "http://ADDR/put"}},
		{"go", goServer, []string{"http://ADDR/bytes?n=3000000&chunk=1"}},
		{"go", goServer, []string{"http://ADDR/bytes?n=[100000-100016]"}},
		{"go", goServer, []string{"-i", "-H", "x-large: " + strings.Repeat("y", 60_000), "http://ADDR/"}}, // CONTINUATION
		{"nginx", nginx, []string{"-i", "http://ADDR/small.txt", "http://ADDR/none", "http://ADDR/gone", "http://ADDR/large.bin"}},
		{"nginx", nginx, []string{"-i", "-L", "-r", "0-9", "http://ADDR/moved"}},
		{"nghttpd", nghttpd, []string{"-i", "http://ADDR/small.txt", "http://ADDR/large.bin"}},
		{"upgrade", upgrading, []string{"--http2", "-i", "http://ADDR/one", "http://ADDR/two?x=y"}},
		{"upgrade", upgrading, []string{"--http2", "-i", "-d", "body", "http://ADDR/post"}},
		{"upgrade", upgrading, []string{"--http2", "-I", "http://ADDR/head"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			Compared(t, h2.Protocol, c.server, "curl", shorten(strings.ReplaceAll(strings.Join(c.args, " "), upload, "FILE")))
			addr, log := Front(t, h2.Protocol, c.server, never(t, h2.Protocol, "path"))
			run := func(addr string) []string {
				args := []string{"--http2-prior-knowledge"}
				if c.name == "upgrade" {
					args = nil
				}
				for _, a := range c.args {
					args = append(args, strings.ReplaceAll(a, "ADDR", addr))
				}
				out := strings.ReplaceAll(curl(t, append(args, "-H", "Host: same", "-w", "%{http_version} %{http_code} %{size_upload} %{size_download} %{num_connects}\n")...), addr, "ADDR")
				lines := strings.Split(regexp.MustCompile(`(?m)^(last-modified|date|etag):.*$`).ReplaceAllString(out, "$1"), "\n")
				return lines
			}
			equalLines(t, run(c.server), run(addr))
			untouched(t, log)
		})
	}
	// A server that does not upgrade, and one that speaks HTTP/1.1 alone, are relayed.
	addr, log := Front(t, h2.Protocol, goServer, never(t, h2.Protocol, "path"))
	if got := curl(t, "--http2", "http://"+addr+"/two"); !strings.HasPrefix(got, "HTTP/1.1 GET /two") {
		t.Errorf("upgrade: %s", got)
	}
	if got := curl(t, "http://"+addr+"/three"); !strings.HasPrefix(got, "HTTP/1.1 GET /three") {
		t.Errorf("HTTP/1.1: %s", got)
	}
	if notes := log.Notes(); len(notes) != 2 || !strings.Contains(notes[0], "HTTP/1.1") || !strings.Contains(notes[1], "HTTP/1.1") {
		t.Errorf("notes: %q", notes)
	}
}

// TestHTTP2NetHTTPUntouched uses one connection for many streams at once.
func TestHTTP2NetHTTPUntouched(t *testing.T) {
	server, _ := webServer(t)
	Compared(t, h2.Protocol, server, "net/http", "300 streams at once", "uploads, downloads, trailers", "streams taken back")
	addr, log := Front(t, h2.Protocol, server, never(t, h2.Protocol, "path"))
	do := func(c *http.Client, addr string) []string {
		lines := make([]string, 300)
		var work sync.WaitGroup
		for i := range lines {
			work.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var body io.Reader
				method := "GET"
				if i%3 == 0 {
					body, method = pattern(int64(i)*1000), "POST"
				}
				path := []string{"/a/b?i=%d", "/bytes?n=%d0", "/bytes?n=%d00&chunk=1", "/status?code=404", "/trailers"}[i%5]
				if strings.Contains(path, "%d") {
					path = fmt.Sprintf(path, i*100)
				}
				req, _ := http.NewRequestWithContext(ctx, method, "http://"+addr+path, body)
				req.Host = "same"
				res, err := c.Do(req)
				if err != nil {
					lines[i] = err.Error()
					return
				}
				defer res.Body.Close()
				if i%7 == 0 { // taken back
					io.ReadFull(res.Body, make([]byte, 10))
					cancel()
					lines[i] = res.Status
					return
				}
				b, err := io.ReadAll(res.Body)
				lines[i] = fmt.Sprint(res.Status, len(b), string(b[:min(len(b), 100)]), err, res.Trailer)
			})
		}
		work.Wait()
		return lines
	}
	equalLines(t, do(h2Client(t), server), do(h2Client(t), addr))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
	log.Wait(t, "of a missing page", func(ev *intercept.Event) bool { return ev.Err == "404" && ev.Outcome == intercept.Answered })
}

// TestHTTP2Load: no request of a load driver fails.
func TestHTTP2Load(t *testing.T) {
	bin := lookPath(t, "h2load", "nghttp2-client")
	dir := files(t)
	goServer, _ := webServer(t)
	for name, server := range map[string]string{"nginx": Nginx(t, dir, ""), "nghttpd": Nghttpd(t, dir), "go": goServer} {
		t.Run(name, func(t *testing.T) {
			Compared(t, h2.Protocol, server, "h2load", "20,000 requests without an error")
			addr, log := Front(t, h2.Protocol, server, never(t, h2.Protocol, "path"))
			cmd := exec.CommandContext(t.Context(), bin, "-n", "20000", "-c", "4", "-m", "50", "http://"+addr+"/small.txt", "http://"+addr+"/style.css")
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), "20000 succeeded, 0 failed, 0 errored, 0 timeout") {
				t.Errorf("%v\n%s", err, out)
			}
			untouched(t, log)
		})
	}
}

// TestHTTP2Nghttp: push, priorities, padding and PING as nghttp makes them.
func TestHTTP2Nghttp(t *testing.T) {
	bin := lookPath(t, "nghttp", "nghttp2-client")
	dir := files(t)
	server := Nghttpd(t, dir, "--push", "/index.html=/style.css,/small.txt", "--padding", "100")
	Compared(t, h2.Protocol, server, "nghttp", "server push, priorities, padding, PING")
	addr, log := Front(t, h2.Protocol, server, never(t, h2.Protocol, "path"))
	do := func(addr string) []string {
		cmd := exec.CommandContext(t.Context(), bin, "-v", "--padding", "77", "-m", "3", "http://"+addr+"/index.html", "http://"+addr+"/large.bin")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, tail(out))
		}
		var seen []string
		for line := range strings.SplitSeq(string(out), "\n") {
			if m := regexp.MustCompile(`^\[ *[0-9.]+\] (recv|send) (?:\(stream_id=\d+\) )?(.*)`).FindStringSubmatch(line); m != nil && !strings.Contains(line, "WINDOW_UPDATE") &&
				!strings.Contains(line, "DATA frame") && !strings.Contains(m[2], "date:") && !strings.Contains(m[2], "authority") && !strings.Contains(m[2], "host:") {
				seen = append(seen, m[1]+" "+regexp.MustCompile(`length=\d+`).ReplaceAllString(m[2], "length"))
			}
		}
		slices.Sort(seen)
		return seen
	}
	direct := do(server)
	if !slices.ContainsFunc(direct, func(s string) bool { return strings.Contains(s, "PUSH_PROMISE") }) {
		t.Fatalf("the server pushes nothing: %q", direct)
	}
	equalLines(t, direct, do(addr))
	untouched(t, log)
}
