package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
)

// upgrading is lines with an in-band upgrade: behind a client's line
// "starttls!", or behind the server's answer "starttls" to it, both speak TLS.
type upgrading struct{ lines }

func (c *upgrading) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	for line, by := range map[string]protocols.Dir{"starttls!\n": protocols.ToServer, "go ahead\n": protocols.ToClient} {
		if d == by && strings.HasPrefix(string(buf), line) {
			return protocols.Frame{StartTLS: true}, len(line), nil
		}
	}
	if string(buf) == "starttls?\n" {
		return f, len(buf), nil
	}
	return c.lines.Decode(d, buf)
}

// tlsBed relays one connection of a client to serve; the relay has a CA of its
// own, which the client trusts if trusts is set.
func tlsBed(t *testing.T, l Link, serve func(net.Conn, *tls.Config)) (client net.Conn, config *tls.Config, h *recorder, served chan error) {
	t.Helper()
	origin := httptest.NewUnstartedServer(nil) // for its certificate
	origin.StartTLS()
	t.Cleanup(origin.Close)
	own := origin.TLS.Certificates[0]

	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	roots, origins := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca.PEM()) {
		t.Fatal("the CA's certificate is not one")
	}
	origins.AddCert(origin.Certificate())
	c, accepted := pair(t)
	server, upstream := pair(t)
	go serve(server, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"lines/1"}})
	h = &recorder{Rules: intercept.NewRules(1)}
	rule := on("bad", intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Message: "no"}})
	rule.To, rule.Proto, rule.Trigger, rule.Name = "server", "lines", intercept.Always, "r0"
	h.Arm(rule)
	l.From, l.To, l.Handler = "client", "server", h
	if l.TLSConfig != nil {
		l.TLSConfig = &TLS{CA: ca, Client: &tls.Config{RootCAs: origins}}
	}
	l.Dial = func(context.Context) (net.Conn, error) { return upstream, nil }
	ctx, cancel := context.WithCancel(context.Background())
	served = make(chan error, 1)
	go func() { served <- Serve(ctx, accepted, l) }()
	t.Cleanup(func() {
		cancel()
		c.Close()
		server.Close()
	})
	return c, &tls.Config{RootCAs: roots, ServerName: "example.com", NextProtos: []string{"other", "lines/1"}}, h, served
}

// talk has an exchange that passes and one that is answered by the fault, and
// ends the connection.
func talk(t *testing.T, c net.Conn, h *recorder, served chan error) {
	t.Helper()
	in := bufio.NewReader(c)
	for _, step := range [][2]string{{"1 get\n", "1 ok\n"}, {"2 bad\n", "2 no\n"}, {"3 get\n", "3 ok\n"}} {
		io.WriteString(c, step[0])
		if got, err := in.ReadString('\n'); got != step[1] {
			t.Fatalf("client reads %q, %v, notes %q", got, err, h.noted())
		}
	}
	closeWrite(c)
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		t.Fatalf("client reads %q, %v", rest, err)
	}
	<-served
	if got := fmt.Sprint(h.seen()); got != "[get bad replaced r0 get]" {
		t.Fatal(got)
	}
}

// oks answers each line with "ok", and the end with its end.
func oks(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			closeWrite(c)
			c.Close()
			return
		}
		id, _, _ := strings.Cut(line, " ")
		fmt.Fprintf(c, "%s ok\n", id)
	}
}

func TestTLSFromTheFirstByte(t *testing.T) {
	c, config, h, served := tlsBed(t, Link{Protocol: ordered, TLS: true, TLSConfig: &TLS{}}, func(c net.Conn, config *tls.Config) {
		oks(tls.Server(c, config))
	})
	client := tls.Client(c, config)
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	if got := client.ConnectionState().NegotiatedProtocol; got != "lines/1" {
		t.Fatalf("ALPN agreed on %q", got)
	}
	talk(t, client, h, served)
}

func TestStartTLS(t *testing.T) {
	p := &protocols.Protocol{Name: "lines", Fields: ordered.Fields, New: func() protocols.Codec { return new(upgrading) }}
	for _, first := range []protocols.Dir{protocols.ToServer, protocols.ToClient} {
		t.Run(first.String(), func(t *testing.T) {
			c, config, h, served := tlsBed(t, Link{Protocol: p, TLSConfig: &TLS{}}, func(c net.Conn, config *tls.Config) {
				line := make([]byte, 10)
				io.ReadFull(c, line)
				if string(line) == "starttls?\n" {
					io.WriteString(c, "go ahead\n")
				}
				oks(tls.Server(c, config))
			})
			if first == protocols.ToServer {
				io.WriteString(c, "starttls!\n")
			} else {
				io.WriteString(c, "starttls?\n")
				io.ReadFull(c, make([]byte, len("go ahead\n")))
			}
			client := tls.Client(c, config)
			if err := client.Handshake(); err != nil {
				t.Fatal(err, h.noted())
			}
			talk(t, client, h, served)
		})
	}
}

// Without a configuration TLS passes as it comes, and a note says so.
func TestTLSOpaque(t *testing.T) {
	c, _, h, served := tlsBed(t, Link{Protocol: ordered, TLS: true}, func(c net.Conn, config *tls.Config) {
		oks(tls.Server(c, config))
	})
	client := tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(client, "2 bad\n")
	if got, err := bufio.NewReader(client).ReadString('\n'); got != "2 ok\n" {
		t.Fatal(got, err)
	}
	client.Close()
	<-served
	if n := h.noted(); len(h.seen()) != 0 || len(n) != 1 || n[0] != encrypted {
		t.Fatalf("events %q, notes %q", h.seen(), n)
	}
}

// Plain text where TLS was declared passes as it comes.
func TestTLSDeclaredButPlain(t *testing.T) {
	c, _, h, served := tlsBed(t, Link{Protocol: ordered, TLS: true, TLSConfig: &TLS{}}, func(c net.Conn, _ *tls.Config) { oks(c) })
	io.WriteString(c, "2 bad\n")
	if got, err := bufio.NewReader(c).ReadString('\n'); got != "2 ok\n" {
		t.Fatal(got, err)
	}
	c.Close()
	<-served
	if n := h.noted(); len(n) != 1 || n[0] != notTLS {
		t.Fatalf("notes %q", n)
	}
}

// A client that trusts no CA but its own refuses; the note says what to do.
func TestTLSRefused(t *testing.T) {
	c, config, h, served := tlsBed(t, Link{Protocol: ordered, TLS: true, TLSConfig: &TLS{}}, func(c net.Conn, config *tls.Config) {
		oks(tls.Server(c, config))
	})
	config.RootCAs = x509.NewCertPool()
	if err := tls.Client(c, config).Handshake(); err == nil {
		t.Fatal("the client accepts")
	}
	<-served
	if n := h.noted(); len(n) != 1 || !strings.Contains(n[0], "must trust the CA of this run") {
		t.Fatalf("notes %q", n)
	}
}

// net/http on both sides: certificates, ALPN and session ends as they are.
func TestTLSWithHTTP(t *testing.T) {
	origin := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }))
	defer origin.Close()
	ca, err := NewCA()
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h := &recorder{Rules: intercept.NewRules(1)}
	whole := &protocols.Protocol{Name: "whole", New: func() protocols.Codec { return whole{} }}
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			go Serve(ctx, c, Link{Protocol: whole, Handler: h, TLS: true, TLSConfig: &TLS{CA: ca},
				Dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", origin.Listener.Addr().String()) }})
		}
	}()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	for range 3 {
		res, err := (&http.Client{Transport: transport}).Get("https://" + front.Addr().String() + "/path")
		if err != nil {
			t.Fatal(err, h.noted())
		}
		if body, err := io.ReadAll(res.Body); string(body) != "/path" || err != nil {
			t.Fatalf("%q, %v", body, err)
		}
		res.Body.Close()
	}
	if n := h.noted(); len(n) > 0 {
		t.Fatalf("notes %q", n)
	}
}

// whole is a codec that takes what comes.
type whole struct{}

func (whole) Decode(_ protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	return protocols.Frame{}, len(buf), nil
}

func (whole) Apply(_ protocols.Dir, _ protocols.Frame, raw []byte, _ []protocols.Fate) ([]byte, []byte) {
	return raw, nil
}
