package drivers

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"faultbox/intercept/proxy"
	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

var recording = flag.Bool("record", false, "keep the beginning of what clients and servers say under protocols/*/testdata/captured, and remove what was there under the same names")

// Enough for a login and some dozen exchanges.
const recordedBytes = 4 << 10

// record has the liveliest connections of a front kept as captures for the
// torture test of its codec (protocoltest.Captures).
func record(t testing.TB, link *proxy.Link) {
	var mu sync.Mutex
	var conns []*recorder
	dial := link.Dial
	link.Dial = func(ctx context.Context) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, &recorder{Conn: c})
		return conns[len(conns)-1], nil
	}
	p := link.Protocol
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		slices.SortStableFunc(conns, func(a, b *recorder) int { return len(b.steps) - len(a.steps) })
		for i, c := range conns[:min(len(conns), 1+min(3, len(conns)/10))] { // several of a front that many clients share
			if len(c.steps) < 3 || t.Failed() || link.TLS {
				return // no exchange comes to its end
			}
			if err := c.write(p, t.Name(), i+1); err != nil {
				t.Error(err)
			}
		}
	})
}

// recorder is the relay's connection to a server.
type recorder struct {
	net.Conn
	mu    sync.Mutex
	steps []recorded
	total int
}

type recorded struct {
	dir protocols.Dir
	b   []byte
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.add(protocols.ToClient, b[:n])
	return n, err
}

func (r *recorder) Write(b []byte) (int, error) {
	r.add(protocols.ToServer, b) // before the server can answer
	return r.Conn.Write(b)
}

func (r *recorder) CloseWrite() error { return r.Conn.(*net.TCPConn).CloseWrite() }

func (r *recorder) add(d protocols.Dir, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b = b[:min(len(b), recordedBytes-r.total)]
	if len(b) == 0 {
		return
	}
	r.total += len(b)
	if last := len(r.steps) - 1; last < 0 || r.steps[last].dir != d {
		r.steps = append(r.steps, recorded{dir: d})
	}
	last := &r.steps[len(r.steps)-1]
	last.b = append(last.b, b...)
}

// write writes a script for the codec of p.
func (r *recorder) write(p *protocols.Protocol, test string, n int) error {
	codec := map[string]string{"http": "http1"}[p.Name]
	if codec == "" {
		codec = p.Name
	}
	dir := filepath.Join("../../protocols", codec, "testdata", protocoltest.Captured)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("keep a capture: %w", err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Recorded by %s. go test ./intercept/drivers -args -record makes it anew.\n", test)
	for _, s := range r.steps {
		fmt.Fprintf(&out, "%v %s\n", s.dir, notation(s.b))
	}
	name := regexp.MustCompile(`[^A-Za-z0-9.]+`).ReplaceAllString(strings.TrimPrefix(test, "Test"), "-") + fmt.Sprint("-", n)
	if err := os.WriteFile(filepath.Join(dir, name+".script"), out.Bytes(), 0o644); err != nil {
		return fmt.Errorf("keep a capture: %w", err)
	}
	return nil
}

// notation writes bytes as scripts have them: as text or in hexadecimal,
// whichever is shorter, in lines.
func notation(b []byte) string {
	var lines []string
	for len(b) > 0 {
		n := min(len(b), 90)
		text, digits := strconv.QuoteToASCII(string(b[:n])), `x"`+hex.EncodeToString(b[:n])+`"`
		if len(digits) < len(text) || !bytes.Equal([]byte(unquoted(text)), b[:n]) {
			text = digits
		}
		lines, b = append(lines, text), b[n:]
	}
	return strings.Join(lines, "\n  ")
}

func unquoted(s string) string {
	s, _ = strconv.Unquote(s)
	return s
}
