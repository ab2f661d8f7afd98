package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// notes is a protocol of datagrams: "?x" asks, "=x" answers it, "!x" answers it
// with error x, all else is a message by itself.
var notesProtocol = &protocols.Protocol{
	Name: "notes", Fields: map[string]protocols.Field{"key": protocols.KeyField}, Datagram: true, Multiplexed: true, Lossy: true,
	New: func() protocols.Codec { return &notesCodec{ids: map[string]uint64{}} },
}

type notesCodec struct {
	ids  map[string]uint64
	last uint64
}

func (c *notesCodec) Decode(d protocols.Dir, b []byte) (protocols.Frame, int, error) {
	kind, rest := "", string(b)
	if len(b) > 0 {
		kind, rest = rest[:1], rest[1:]
	}
	switch {
	case kind == "#":
		return protocols.Frame{}, len(b), errors.New("no note")
	case d == protocols.ToServer && kind == "?":
		c.last++
		c.ids[rest] = c.last
		return protocols.Frame{ID: c.last, End: true, Items: []protocols.Item{{Op: "ask", Key: rest}}}, len(b), nil
	case d == protocols.ToClient && (kind == "=" || kind == "!") && c.ids[rest] != 0:
		f := protocols.Frame{ID: c.ids[rest], End: true, Err: strings.TrimPrefix(kind, "=")}
		delete(c.ids, rest)
		return f, len(b), nil
	}
	return protocols.Frame{Items: []protocols.Item{{Op: "note", Key: string(b)}}, Oneway: true, End: true}, len(b), nil
}

func (c *notesCodec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	switch fates[0].Act {
	case protocols.Lose:
		return nil, nil
	case protocols.Answer:
		if s, ok := fates[0].Reply.Value.(string); ok && d == protocols.ToServer {
			return nil, []byte(s)
		} else if ok {
			return []byte(s), nil
		}
	}
	return raw, nil
}

// flowBed is a flow between a client and a server of the test's own.
type flowBed struct {
	*Flow
	server *net.UDPConn // what the server has for the flow
	rules  *intercept.Rules

	mu     sync.Mutex
	heard  []string
	events []intercept.Event
}

func (b *flowBed) Send(p []byte) error { return b.hear(string(p)) }
func (b *flowBed) Refuse()             { b.hear("REFUSED") }

func (b *flowBed) hear(s string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, s)
	return nil
}

func (b *flowBed) Decide(ev *intercept.Event, it *protocols.Item) intercept.Decision {
	return b.rules.Decide(ev, it)
}

func (b *flowBed) Done(ev intercept.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, ev)
}

func newFlowBed(t testing.TB, faults ...intercept.Rule) *flowBed {
	t.Helper()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	up, err := net.DialUDP("udp4", nil, server.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	b := &flowBed{server: server, rules: intercept.NewRules(1)}
	for i := range faults {
		faults[i].To, faults[i].Proto, faults[i].Trigger = "b", "notes", intercept.Always
	}
	b.rules.Arm(faults...)
	b.Flow = NewFlow(b, up, Link{From: "a", To: "b", Protocol: notesProtocol, Handler: b})
	t.Cleanup(func() { b.Close(); server.Close() })
	return b
}

// gets returns the next n datagrams that the server gets, and answers those
// that ask.
func (b *flowBed) gets(t testing.TB, n int) (got []string) {
	t.Helper()
	buf := make([]byte, 1<<17)
	b.server.SetReadDeadline(time.Now().Add(20 * time.Second))
	for range n {
		n, from, err := b.server.ReadFromUDPAddrPort(buf)
		if err != nil {
			t.Fatalf("the server got %q: %v", got, err)
		}
		got = append(got, string(buf[:n]))
		if n > 0 && buf[0] == '?' {
			b.server.WriteToUDPAddrPort(append([]byte("="), buf[1:n]...), from)
		}
	}
	return got
}

// until waits until the client has heard n things, and the Handler of events.
func (b *flowBed) until(t testing.TB, n, events int) (heard []string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		b.mu.Lock()
		heard = slices.Clone(b.heard)
		enough := len(heard) >= n && len(b.events) >= events
		b.mu.Unlock()
		if enough {
			return heard
		}
	}
	t.Fatalf("the client heard %q; %d events", heard, len(b.events))
	return nil
}

func TestFlowFaults(t *testing.T) {
	answer := func(value any) *protocols.Reply { return &protocols.Reply{Value: value} }
	for _, c := range []struct {
		name          string
		fault         intercept.Fault
		send          string
		server, heard string // in order, between commas
		outcome       intercept.Outcome
	}{
		{"nothing", intercept.Fault{}, "?a", "?a", "=a", intercept.Answered},
		{"delay", intercept.Fault{Delay: time.Millisecond}, "?a", "?a", "=a", intercept.Answered},
		{"delay of the answer", intercept.Fault{Delay: time.Millisecond, When: intercept.After}, "?a", "?a", "=a", intercept.Answered},
		{"lost", intercept.Fault{Do: intercept.Lose}, "?a", "", "", intercept.Dropped},
		{"lost answer", intercept.Fault{Do: intercept.Close, When: intercept.After}, "?a", "?a", "", intercept.Dropped},
		{"answered", intercept.Fault{Do: intercept.Answer, Reply: answer("no")}, "?a", "", "no", intercept.Replaced},
		{"answered late", intercept.Fault{Do: intercept.Answer, Reply: answer("no"), Delay: time.Millisecond}, "?a", "", "no", intercept.Replaced},
		{"answer replaced", intercept.Fault{Do: intercept.Answer, Reply: answer("no"), When: intercept.After}, "?a", "?a", "no", intercept.Replaced},
		{"nothing to act on", intercept.Fault{Do: intercept.Answer, Reply: answer(1)}, "?a", "?a", "=a", intercept.Untouched},
		{"nothing to act on after", intercept.Fault{Do: intercept.Answer, Reply: answer(1), When: intercept.After}, "?a", "?a", "=a", intercept.Untouched},
		{"twice", intercept.Fault{Do: intercept.Twice}, "?a", "?a,?a", "=a,=a", intercept.Doubled},
		{"reset", intercept.Fault{Do: intercept.Reset}, "?a", "", "REFUSED", intercept.WasReset},
		{"reset after", intercept.Fault{Do: intercept.Reset, When: intercept.After}, "?a", "?a", "REFUSED", intercept.WasReset},
		{"cut", intercept.Fault{Do: intercept.Cut, Bytes: 1, When: intercept.After}, "?a", "?a", "=", intercept.WasCut},
		{"cut of what is shorter", intercept.Fault{Do: intercept.Cut, Bytes: 2, When: intercept.After}, "?a", "?a", "=a", intercept.Untouched},

		{"message", intercept.Fault{}, "a", "a", "", intercept.Answered},
		{"message lost", intercept.Fault{Do: intercept.Lose}, "a", "", "", intercept.Dropped},
		{"message lost after", intercept.Fault{Do: intercept.Close, When: intercept.After}, "a", "a", "", intercept.Untouched},
		{"message delayed", intercept.Fault{Delay: time.Millisecond, When: intercept.After}, "a", "a", "", intercept.Answered},
		{"message answered", intercept.Fault{Do: intercept.Answer, Reply: answer("no")}, "a", "", "no", intercept.Replaced},
		{"message answered after", intercept.Fault{Do: intercept.Answer, Reply: answer("no"), When: intercept.After}, "a", "a", "", intercept.Untouched},
		{"message twice", intercept.Fault{Do: intercept.Twice}, "a", "a,a", "", intercept.Doubled},
		{"message reset", intercept.Fault{Do: intercept.Reset}, "a", "", "REFUSED", intercept.WasReset},
		{"message reset after", intercept.Fault{Do: intercept.Reset, When: intercept.After}, "a", "a", "REFUSED", intercept.WasReset},
		{"message cut", intercept.Fault{Do: intercept.Cut, Bytes: 0, When: intercept.After}, "a", ",", "", intercept.WasCut},
		{"message cut of what is shorter", intercept.Fault{Do: intercept.Cut, Bytes: 1, When: intercept.After}, "a", "a", "", intercept.Untouched},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newFlowBed(t, intercept.Rule{Match: mustMatch(t, "key", "a"), Fault: c.fault})
			b.Take([]byte(c.send))
			var server, heard []string
			if c.server != "" {
				server = strings.Split(strings.TrimSuffix(c.server, ","), ",")
			}
			if c.heard != "" {
				heard = strings.Split(c.heard, ",")
			}
			if got := b.gets(t, len(server)); !slices.Equal(got, server) {
				t.Errorf("the server got %q, want %q", got, server)
			}
			b.until(t, len(heard), 1)
			if ev := b.events[0]; ev.Outcome != c.outcome || ev.Key != "a" || c.name != "nothing" && c.name != "message" && ev.Rules == nil {
				t.Errorf("event %+v", ev)
			}
			b.Take([]byte("?other")) // the flow goes on
			if got := b.gets(t, 1); got[0] != "?other" {
				t.Errorf("then the server got %q", got)
			}
			if got := b.until(t, len(heard)+1, 2); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(append(heard, "=other")))) {
				t.Errorf("the client heard %q", got)
			}
		})
	}
}

func mustMatch(t testing.TB, name, pattern string) intercept.Match {
	term, err := intercept.NewTerm(notesProtocol, name, "", pattern)
	if err != nil {
		t.Fatal(err)
	}
	return intercept.Match{term}
}

// TestFlowOrder: what has the same delay keeps its order; others pass.
func TestFlowOrder(t *testing.T) {
	b := newFlowBed(t, intercept.Rule{Match: mustMatch(t, "key", "slow*"), Fault: intercept.Fault{Delay: 20 * time.Millisecond}})
	var want []string
	for i := range 200 {
		want = append(want, fmt.Sprint("slow", i))
		b.Take([]byte(want[i]))
	}
	b.Take([]byte("fast"))
	if got := b.gets(t, 201); got[0] != "fast" || !slices.Equal(got[1:], want) {
		t.Errorf("the server got %q", got)
	}
	if b.Idle() > 10*time.Second {
		t.Error("it counts as idle")
	}
}

// TestFlowBounds: a flow that is never answered, and one that is delayed for
// ever, take so much memory and no more.
func TestFlowBounds(t *testing.T) {
	b := newFlowBed(t, intercept.Rule{Match: mustMatch(t, "key", "late*"), Fault: intercept.Fault{Delay: time.Hour}})
	for i := range 3 * maxWaiting {
		b.Take(fmt.Append(nil, "?", i))
	}
	if n := b.waiting.n; n > maxWaiting {
		t.Errorf("%d exchanges are kept", n)
	}
	large := append([]byte("late"), bytes.Repeat([]byte("x"), 60000)...)
	for range 200 {
		b.Take(large)
	}
	if b.later.size > maxDelayed {
		t.Errorf("%d bytes are kept", b.later.size)
	}
	if b.Idle() != 0 {
		t.Error("it counts as idle though something is delayed")
	}
	b.Close()
	var cut, notes int
	for _, ev := range b.events {
		if ev.Kind == intercept.Note {
			notes++
		} else if ev.Outcome == intercept.Broken {
			cut++
		}
	}
	if cut != 3*maxWaiting+200 || notes != 1 {
		t.Errorf("%d exchanges and messages were cut off, %d notes", cut, notes)
	}
	if b.Take([]byte("x")) {
		t.Error("a closed flow takes datagrams")
	}
}

// TestFlowRefused: that nobody listens is passed on, and the flow works when
// somebody does.
func TestFlowRefused(t *testing.T) {
	b := newFlowBed(t)
	addr := b.server.LocalAddr().(*net.UDPAddr)
	b.server.Close()
	b.Take([]byte("a"))
	if got := b.until(t, 1, 1); got[0] != "REFUSED" {
		t.Errorf("the client heard %q", got)
	}
	var err error
	if b.server, err = net.ListenUDP("udp4", addr); err != nil {
		t.Skip("somebody took the port: ", err)
	}
	defer b.server.Close()
	b.Take([]byte("?b"))
	b.gets(t, 1)
	b.until(t, 2, 2)
}

// TestFlowWithoutCodec: what the codec does not follow goes through, with one note.
func TestFlowWithoutCodec(t *testing.T) {
	b := newFlowBed(t)
	for range 3 {
		b.Take([]byte("#"))
	}
	b.gets(t, 3)
	if len(b.events) != 1 || !strings.Contains(b.events[0].Note, "no note") {
		t.Errorf("events %+v", b.events)
	}
}

// TestFlowsBounded: however many clients there are, so many flows are kept, and
// all their goroutines end.
func TestFlowsBounded(t *testing.T) {
	before := runtime.NumGoroutine()
	server, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	b := &flowBed{rules: intercept.NewRules(1)}
	var d net.Dialer
	scarce, failed := 100, 0
	flows := &Flows{}
	take := func(port uint16) error {
		key := FlowKey{Client: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
		return flows.Take(key, []byte("a"), func() (*Flow, error) {
			if flows.count() >= scarce {
				failed++
				return nil, errors.New("too many open files")
			}
			up, err := d.DialContext(context.Background(), "udp4", server.LocalAddr().String())
			if err != nil {
				return nil, err
			}
			return NewFlow(b, up, Link{From: "a", To: "b", Protocol: notesProtocol, Handler: b}), nil
		})
	}
	for port := range uint16(300) {
		if err := take(port + 1); err != nil {
			t.Fatal(err)
		}
		take(1) // speaks all the time, so it stays
	}
	if n := flows.count(); n > scarce || failed == 0 {
		t.Errorf("%d flows, %d failures", n, failed)
	}
	if failed > 10 {
		t.Errorf("room was made %d times for 300 flows", failed)
	}
	if flows.find(FlowKey{Client: netip.AddrPortFrom(netip.IPv4Unspecified(), 1)}) == nil {
		t.Error("the flow in use was ended")
	}
	flows.Close()
	if err := take(1000); err != nil || flows.count() != 0 {
		t.Errorf("after Close: %d flows, %v", flows.count(), err)
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines are left", runtime.NumGoroutine()-before)
		}
	}
}

func BenchmarkFlow(b *testing.B) {
	bed := newFlowBed(b)
	bed.server.SetReadBuffer(1 << 20)
	go func() { // nobody listens to it
		buf := make([]byte, 100)
		for {
			if _, err := bed.server.Read(buf); err != nil {
				return
			}
		}
	}()
	note := []byte("checkout.latency:12|ms")
	b.SetBytes(int64(len(note)))
	b.ReportAllocs()
	for b.Loop() {
		bed.Take(note)
		bed.events = bed.events[:0]
	}
}
