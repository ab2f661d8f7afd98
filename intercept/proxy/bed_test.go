package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// A recorder is a Handler that decides by rules and remembers.
type recorder struct {
	*intercept.Rules
	mu     sync.Mutex
	events []intercept.Event
	notes  []string
}

func (h *recorder) Done(ev intercept.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ev.Op == "" {
		h.notes = append(h.notes, ev.Note)
		return
	}
	h.events = append(h.events, ev)
}

// seen returns the events so far, as "op key outcome err rules".
func (h *recorder) seen() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, ev := range h.events {
		s := ev.Op
		for _, w := range []string{ev.Key, string(ev.Outcome), ev.Err, strings.Join(ev.Rules, ",")} {
			if w != "" {
				s += " " + w
			}
		}
		out = append(out, s)
	}
	return out
}

func (h *recorder) noted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.notes)
}

// bed is a client, the relay, and a server in one process.
type bed struct {
	t      testing.TB
	h      *recorder
	client *net.TCPConn
	in     *bufio.Reader // from the relay
	served chan error    // Serve has returned
	cancel context.CancelFunc

	mu  sync.Mutex
	got []string // the lines that the server heard
}

// newBed connects a client through the relay to serve.
func newBed(t testing.TB, p *protocols.Protocol, serve func(*bed, *net.TCPConn), rules ...intercept.Rule) *bed {
	t.Helper()
	b := &bed{t: t, h: &recorder{Rules: intercept.NewRules(1)}, served: make(chan error, 1)}
	for i := range rules {
		rules[i].Proto, rules[i].Name = p.Name, fmt.Sprint("r", i)
		rules[i].To = "server"
		if rules[i].Trigger == (intercept.Trigger{}) {
			rules[i].Trigger = intercept.Always
		}
	}
	b.h.Arm(rules...)
	server, upstream := pair(t)
	client, accepted := pair(t)
	b.client, b.in = client, bufio.NewReader(client)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() {
		b.served <- Serve(ctx, accepted, Link{
			From: "client", To: "server", Interface: "main", Protocol: p, Handler: b.h,
			Dial: func(context.Context) (net.Conn, error) { return upstream, nil },
		})
	}()
	var work sync.WaitGroup
	work.Go(func() { serve(b, server) })
	t.Cleanup(func() {
		cancel()
		client.Close()
		server.Close()
		work.Wait()
	})
	return b
}

// pair returns the two ends of a TCP connection.
func pair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dialled, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}

// answer is the usual server. "multi" has three lines, "fail" is an error,
// "push" makes it push, "mute" gets no answer, "die" half a one, "reset" an
// RST, and "bye" is answered with a FIN behind.
func answer(b *bed, c *net.TCPConn) {
	in := bufio.NewReaderSize(c, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			if err == io.EOF {
				b.hear("EOF")
				fmt.Fprintf(c, "0 eof\n")
			} else {
				b.hear("RST")
			}
			c.Close()
			return
		}
		line = strings.TrimSuffix(line, "\n")
		b.hear(line)
		id, rest, _ := strings.Cut(line, " ")
		op, key, _ := strings.Cut(rest, " ")
		switch {
		case op == "multi":
			fmt.Fprintf(c, "%[1]s+ one\n%[1]s+ two\n%[1]s three\n", id)
		case op == "fail":
			fmt.Fprintf(c, "%s -E1\n", id)
		case op == "push":
			fmt.Fprintf(c, "* %s hello\n%s pushed\n", key, id)
		case op == "mute" || op != "" && op[0] < 'a':
		case op == "die":
			fmt.Fprintf(c, "%s+ one\n%[1]s half", id)
			c.Close()
			return
		case op == "reset":
			c.SetLinger(0)
			c.Close()
			return
		case op == "tunnel":
			fmt.Fprintf(c, "%s tunnel\n", id)
			io.Copy(c, in)
			c.CloseWrite()
			return
		case op == "rest":
			fmt.Fprintf(c, "%s rest\n%s", id, strings.Repeat("x", 20))
			c.Close()
			return
		case op == "bye":
			fmt.Fprintf(c, "%s bye\n", id)
			c.CloseWrite()
		case op == "blob":
			n, _ := strconv.Atoi(key)
			io.CopyN(io.Discard, in, int64(n))
			fmt.Fprintf(c, "%s took %d\n", id, n)
		default:
			fmt.Fprintf(c, "%s ok %s\n", id, op)
		}
	}
}

func (b *bed) hear(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, line)
}

func (b *bed) heard() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *bed) say(format string, args ...any) {
	b.t.Helper()
	if _, err := fmt.Fprintf(b.client, format+"\n", args...); err != nil {
		b.t.Fatalf("client writes: %v", err)
	}
}

// expect reads one line for each of want.
func (b *bed) expect(want ...string) {
	b.t.Helper()
	for _, w := range want {
		b.client.SetReadDeadline(time.Now().Add(20 * time.Second))
		got, err := b.in.ReadString('\n')
		if got = strings.TrimSuffix(got, "\n"); err != nil || got != w {
			b.t.Fatalf("client reads %q, %v; want %q; events %q notes %q", got, err, w, b.h.seen(), b.h.noted())
		}
	}
}

// expectEnd reads to the end of the connection: rest, then FIN or RST.
func (b *bed) expectEnd(rest string, rst bool) {
	b.t.Helper()
	b.client.SetReadDeadline(time.Now().Add(20 * time.Second))
	got, err := io.ReadAll(b.in)
	if string(got) != rest || isReset(err) != rst || !rst && err != nil {
		b.t.Fatalf("client reads %q, %v; want %q, reset %v", got, err, rest, rst)
	}
}

// finish waits until the relay has ended and compares all events.
func (b *bed) finish(events ...string) {
	b.t.Helper()
	b.client.CloseWrite()
	select {
	case <-b.served:
	case <-time.After(20 * time.Second):
		b.t.Fatalf("Serve does not return; events %q", b.h.seen())
	}
	b.expectEvents(events...)
}

// expectEvents compares all events; the two directions report independently of
// each other, so their order is left aside.
func (b *bed) expectEvents(events ...string) {
	b.t.Helper()
	got := b.h.seen()
	slices.Sort(got)
	slices.Sort(events)
	if !slices.Equal(got, events) {
		b.t.Fatalf("events\n%q, want\n%q (notes %q)", got, events, b.h.noted())
	}
}

func (b *bed) expectHeard(want ...string) {
	b.t.Helper()
	if got := b.heard(); !slices.Equal(got, want) {
		b.t.Fatalf("server heard %q, want %q", got, want)
	}
}

// match compiles a rule's matcher for op.
func match(op string) intercept.Match {
	term, err := intercept.NewTerm(ordered, "op", "", op)
	if err != nil {
		panic(err)
	}
	return intercept.Match{term}
}

func on(op string, f intercept.Fault) intercept.Rule {
	return intercept.Rule{Match: match(op), Fault: f}
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
