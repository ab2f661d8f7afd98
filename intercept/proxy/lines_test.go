package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// The protocol of these tests. A request is a line "id op [key]", an op in
// upper case is not answered, and "id blob N" is followed by N bytes. An answer
// is any number of lines "id+ text" and one line "id text" ("id -code" is an
// error, "id blob N" is followed by N bytes, "id rest" by all that comes until
// the connection ends; "id tunnel" is the last thing in this protocol). A line "* subject text" is pushed.
// A line that is none of these loses the codec's place.
type lines struct {
	left  [2]int // bytes of a blob
	blob  [2]uint64
	rest  bool           // the server's last answer goes on to the end
	swall map[uint64]int // answers to swallow
	item  [1]protocols.Item
	two   [2]protocols.Item
}

var (
	ordered = &protocols.Protocol{
		Name:   "lines",
		Fields: map[string]protocols.Field{"op": protocols.OpField, "key": protocols.KeyField},
		New:    func() protocols.Codec { return new(lines) },
	}
	multiplexed = &protocols.Protocol{
		Name: "lines", Multiplexed: true, Fields: ordered.Fields, New: ordered.New,
	}
)

func (c *lines) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	if c.left[d] > 0 {
		n = min(len(buf), c.left[d])
		c.left[d] -= n
		f.ID, f.More, f.End = c.blob[d], c.left[d] > 0, c.left[d] == 0
		if d == protocols.ToClient {
			c.swallow(&f)
		}
		return f, n, nil
	}
	if c.rest && d == protocols.ToClient {
		return protocols.Frame{More: true}, len(buf), nil
	}
	n = bytes.IndexByte(buf, '\n') + 1
	if n == 0 {
		return f, 0, nil
	}
	word := func(b []byte) (w, rest []byte) {
		w, rest, _ = bytes.Cut(b, []byte(" "))
		return w, rest
	}
	id, rest := word(buf[:n-1])
	if d == protocols.ToClient && string(id) == "*" {
		subject, _ := word(rest)
		c.item[0] = protocols.Item{Op: "push", Key: string(subject)}
		return protocols.Frame{Items: c.item[:], Oneway: true, End: true}, n, nil
	}
	more := bytes.HasSuffix(id, []byte("+"))
	number, err := strconv.ParseUint(string(bytes.TrimSuffix(id, []byte("+"))), 10, 64)
	if err != nil {
		return f, 0, errors.New("not a line of this protocol")
	}
	op, key := word(rest)
	f.ID, f.End = number, !more
	if string(op) == "blob" {
		c.left[d], _ = strconv.Atoi(string(key))
		c.blob[d] = f.ID
		f.More, f.End = c.left[d] > 0, c.left[d] == 0
	}
	if d == protocols.ToClient {
		f.Tunnel = string(op) == "tunnel"
		if string(op) == "rest" {
			c.rest, f.More = true, true
		}
		if len(rest) > 0 && rest[0] == '-' {
			f.Err = string(rest[1:])
		}
		c.swallow(&f)
		return f, n, nil
	}
	f.Oneway = len(op) > 0 && op[0] < 'a'
	c.item[0] = protocols.Item{Op: string(op), Key: string(key)}
	f.Items = c.item[:]
	if string(op) == "both" { // two things at once: "both a b"
		a, b := word(key)
		c.two = [2]protocols.Item{{Op: "both", Key: string(a)}, {Op: "both", Key: string(b)}}
		f.Items = c.two[:]
	}
	return f, n, nil
}

// swallow takes out the first of two answers to a request done twice.
func (c *lines) swallow(f *protocols.Frame) {
	if c.swall[f.ID] > 0 {
		f.Raw = []byte{}
		if f.End {
			c.swall[f.ID]--
			f.End = false
		}
	}
}

func (c *lines) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	var reply *protocols.Reply
	act := protocols.Pass
	for _, fate := range fates {
		if act == protocols.Pass {
			act, reply = fate.Act, fate.Reply
		}
	}
	switch {
	case reply != nil && reply.Message == "nothing":
		return raw, nil
	case act == protocols.Answer && f.ID == 0: // a pushed message: the server is told
		return nil, []byte("0 NACK\n")
	case act == protocols.Answer:
		b := fmt.Appendf(nil, "%d %s\n", f.ID, reply.Message)
		if d == protocols.ToClient {
			return b, nil
		}
		return nil, b
	case act == protocols.Twice && d == protocols.ToServer:
		if c.swall == nil {
			c.swall = map[uint64]int{}
		}
		if !f.Oneway {
			c.swall[f.ID]++
		}
		return slices.Concat(raw, raw), nil
	case act == protocols.Twice:
		return slices.Concat(raw, raw), nil
	case act == protocols.Lose:
		return nil, nil
	}
	return raw, nil
}

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
