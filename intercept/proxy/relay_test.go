package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

func both(t *testing.T, f func(t *testing.T, p *protocols.Protocol)) {
	t.Run("ordered", func(t *testing.T) { t.Parallel(); f(t, ordered) })
	t.Run("multiplexed", func(t *testing.T) { t.Parallel(); f(t, multiplexed) })
}

func TestPassing(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer)
		b.say("1 get a")
		b.expect("1 ok get")
		b.say("2 multi")
		b.expect("2+ one", "2+ two", "2 three")
		b.say("3 fail")
		b.expect("3 -E1")
		b.say("4 push news")
		b.expect("* news hello", "4 pushed")
		b.say("5 PUB x")
		b.say("6 blob 7\nabcdefg7 get b")
		b.expect("6 took 7", "7 ok get")
		b.client.CloseWrite()
		b.expect("0 eof")
		b.expectEnd("", false)
		b.finish("get a", "multi", "fail E1", "push news", "push news", "PUB x", "blob 7", "get b")
		b.expectHeard("1 get a", "2 multi", "3 fail", "4 push news", "5 PUB x", "6 blob 7", "7 get b", "EOF")
	})
}

// An injected answer takes its place among those of the server.
func TestPipelineOrder(t *testing.T) {
	rule := on("bad", intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Message: "no"}})
	b := newBed(t, ordered, answer, rule)
	var ask, want strings.Builder
	for i := 1; i <= 5000; i++ {
		if i%3 == 0 {
			fmt.Fprintf(&ask, "%d bad\n", i)
			fmt.Fprintf(&want, "%d no\n", i)
		} else {
			fmt.Fprintf(&ask, "%d get\n", i)
			fmt.Fprintf(&want, "%d ok get\n", i)
		}
	}
	go io.WriteString(b.client, ask.String())
	for line := range strings.Lines(want.String()) {
		b.expect(strings.TrimSuffix(line, "\n"))
	}
	b.client.CloseWrite()
	b.expect("0 eof")
	<-b.served
	if n := len(b.h.seen()); n != 5000 {
		t.Fatalf("%d events", n)
	}
}

// Earlier exchanges are answered before a fault ends the connection.
func TestPipelineThenClose(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		if p.Multiplexed {
			t.Skip("there is no order to keep")
		}
		b := newBed(t, p, answer, on("bad", intercept.Fault{Do: intercept.Close}))
		b.say("1 get a\n2 multi\n3 bad\n4 get b\n5 get c")
		b.expect("1 ok get", "2+ one", "2+ two", "2 three")
		b.expectEnd("", false)
		b.finish("get a", "multi", "bad dropped r0")
	})
}

// On a multiplexed connection a delay holds its own exchange alone.
func TestDelayHoldsItsOwn(t *testing.T) {
	for _, when := range []intercept.When{intercept.Before, intercept.After} {
		b := newBed(t, multiplexed, answer, on("slow", intercept.Fault{Delay: 50 * time.Millisecond, When: when}))
		b.say("1 slow")
		b.say("2 get")
		b.expect("2 ok get", "1 ok slow")
		b.client.CloseWrite()
		b.expect("0 eof")
		b.finish("get", "slow r0")
	}
}

// On an ordered one what follows waits behind it.
func TestDelayHoldsAll(t *testing.T) {
	for _, when := range []intercept.When{intercept.Before, intercept.After} {
		b := newBed(t, ordered, answer, on("slow", intercept.Fault{Delay: 20 * time.Millisecond, When: when}))
		b.say("1 slow\n2 get")
		b.expect("1 ok slow", "2 ok get")
		b.client.CloseWrite()
		b.expect("0 eof")
		b.finish("slow r0", "get")
	}
}

// Behind a frame that says so the connection carries something else.
func TestTunnel(t *testing.T) {
	for _, delay := range []time.Duration{0, 5 * time.Millisecond} {
		b := newBed(t, ordered, answer, on("tunnel", intercept.Fault{Delay: delay, When: intercept.After}), on("bad", intercept.Fault{Do: intercept.Reset}))
		b.say("1 get\n2 tunnel")
		b.expect("1 ok get", "2 tunnel")
		b.say("3 bad\nanything")
		b.expect("3 bad", "anything")
		b.client.CloseWrite()
		b.expectEnd("", false)
		b.finish("get", "tunnel r0")
		if n := b.h.noted(); len(n) > 0 {
			t.Fatalf("notes %q", n)
		}
	}
}

// Where the client would take a FIN for the end of the answer, a cut resets.
func TestCutEndless(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		for _, c := range []struct {
			bytes int
			want  string
			event string
		}{{3, "1 r", "rest cut r0"}, {10, "1 rest\nxxx", "rest cut r0"}, {27, "1 rest\n" + strings.Repeat("x", 20), "rest untouched r0"}} {
			b := newBed(t, p, answer, on("rest", intercept.Fault{Do: intercept.Cut, Bytes: c.bytes}))
			b.say("1 rest")
			b.expectEnd(c.want, !strings.Contains(c.event, "untouched"))
			b.finish(c.event)
		}
	})
}

func TestTwoItems(t *testing.T) {
	term, err := intercept.NewTerm(ordered, "key", "", "b")
	if err != nil {
		t.Fatal(err)
	}
	rule := intercept.Rule{Match: intercept.Match{term}, Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Message: "no", Code: "X"}}}
	b := newBed(t, ordered, answer, rule)
	b.say("1 both a b")
	b.expect("1 no")
	b.finish("both a", "both b replaced X r0")
}

// The server passes over requests: an injected answer among them is told, a
// fault on an answer that never comes had nothing to act on.
func TestServerSkips(t *testing.T) {
	no := &protocols.Reply{Message: "no"}
	b := newBed(t, ordered, answer,
		on("bad", intercept.Fault{Do: intercept.Answer, Reply: no}),
		on("mute", intercept.Fault{Do: intercept.Answer, Reply: no, When: intercept.After}))
	b.say("1 mute\n2 bad\n3 mute\n4 multi")
	b.expect("2 no", "4+ one", "4+ two", "4 three")
	b.finish("mute untouched r1", "bad replaced r0", "mute untouched r1", "multi")
}

// A reply that ends the connection behind it.
func TestReplyThenEnd(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		for _, when := range []intercept.When{intercept.Before, intercept.After} {
			b := newBed(t, p, answer, on("bad", intercept.Fault{Do: intercept.Answer, When: when, Reply: &protocols.Reply{Message: "bye", Close: true}}))
			b.say("1 get")
			b.expect("1 ok get")
			b.say("2 bad")
			b.expect("2 bye")
			b.expectEnd("", false)
			b.finish("get", "bad replaced r0")

			b = newBed(t, p, answer, on("bad", intercept.Fault{Do: intercept.Answer, When: when, Reply: &protocols.Reply{Reset: true}}))
			b.say("1 bad")
			b.client.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.ReadAll(b.in); !isReset(err) {
				t.Fatalf("client reads %v, want a reset", err)
			}
			b.finish("bad reset r0")
		}
	})
}

func TestServerDies(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer)
		b.say("1 mute\n2 die")
		b.expect("2+ one")
		b.expectEnd("2 half", false)
		if p.Multiplexed {
			b.finish("mute broken", "die broken")
		} else { // answering 2 passes over 1
			b.finish("mute", "die broken")
		}
	})
}

func TestServerResets(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer)
		b.say("1 get a")
		b.expect("1 ok get")
		b.say("2 reset")
		b.expectEnd("", true)
		b.finish("get a", "reset broken")
	})
}

func TestClientResets(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer)
		b.say("1 get a")
		b.expect("1 ok get")
		b.say("2 mute")
		for len(b.heard()) < 2 {
			time.Sleep(time.Millisecond)
		}
		b.client.SetLinger(0)
		b.client.Close()
		<-b.served
		for len(b.heard()) < 3 {
			time.Sleep(time.Millisecond)
		}
		b.expectHeard("1 get a", "2 mute", "RST")
		b.expectEvents("get a", "mute broken")
	})
}

// The server ends its side; the client may still speak.
func TestServerHalfCloses(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer)
		b.say("1 bye")
		b.expect("1 bye")
		b.expectEnd("", false)
		b.say("2 PUB x")
		b.finish("bye", "PUB x")
		for len(b.heard()) < 3 {
			time.Sleep(time.Millisecond)
		}
		b.expectHeard("1 bye", "2 PUB x", "EOF")
	})
}

func TestClientGoneDuringDelay(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer, on("slow", intercept.Fault{Delay: 30 * time.Millisecond}))
		b.say("1 slow")
		b.client.SetLinger(0)
		b.client.Close()
		<-b.served
		b.expectEvents("slow broken r0")
	})
}

func TestRunEndsDuringDelay(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, answer, on("slow", intercept.Fault{Delay: time.Hour}))
		b.say("1 slow")
		for b.h.Tally()[0].Fired() == 0 {
			time.Sleep(time.Millisecond)
		}
		b.cancel()
		<-b.served
		b.expectEvents("slow broken r0")
	})
}

// A codec that lost its place: one note, and everything passes as it comes,
// bytes that awaited decoding on the other side included.
func TestGarbage(t *testing.T) {
	both(t, func(t *testing.T, p *protocols.Protocol) {
		b := newBed(t, p, func(b *bed, c *net.TCPConn) {
			io.WriteString(c, "1 unfinished")
			got := make([]byte, len("garbage\nmore"))
			io.ReadFull(c, got)
			b.hear(string(got))
			io.WriteString(c, " line\nrest")
			c.Close()
		}, on("*", intercept.Fault{Do: intercept.Reset}))
		time.Sleep(5 * time.Millisecond) // for the unfinished line to arrive first, as a rule
		io.WriteString(b.client, "garbage\nmore")
		b.expectEnd("1 unfinished line\nrest", false)
		b.finish()
		b.expectHeard("garbage\nmore")
		if n := b.h.noted(); len(n) != 1 || !strings.Contains(n[0], "not a line of this protocol") {
			t.Fatalf("notes %q", n)
		}
	})
}

// What is on hold, or withheld, when the codec loses its place is not lost.
func TestGarbageWithHeldFrames(t *testing.T) {
	b := newBed(t, multiplexed, answer, on("slow", intercept.Fault{Delay: time.Hour}))
	b.say("1 slow\n2 get\ngarbage")
	b.expect("2 ok get", "1 ok slow", "garbage ok ")
	b.client.CloseWrite()
	b.expect("0 eof")
	<-b.served
	b.expectHeard("2 get", "1 slow", "garbage", "EOF")
}

func TestWindow(t *testing.T) {
	b := newBed(t, ordered, func(b *bed, c *net.TCPConn) {
		n, _ := io.Copy(io.Discard, c)
		b.hear(fmt.Sprint(n))
		c.Close()
	})
	long := strings.Repeat("x", 3*protocols.DefaultWindow)
	io.WriteString(b.client, long)
	b.client.CloseWrite()
	b.expectEnd("", false)
	b.finish()
	b.expectHeard(fmt.Sprint(len(long)))
	if n := b.h.noted(); len(n) != 1 || !strings.Contains(n[0], "no end of message") {
		t.Fatalf("notes %q", n)
	}
}

func TestDialFails(t *testing.T) {
	client, accepted := pair(t)
	h := &recorder{Rules: intercept.NewRules(1)}
	err := Serve(context.Background(), accepted, Link{
		From: "a", To: "b", Protocol: ordered, Handler: h,
		Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("refused") },
	})
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !isReset(err) {
		t.Fatalf("client reads %v, want a reset", err)
	}
	if n := h.noted(); len(n) != 1 {
		t.Fatalf("notes %q", n)
	}
}
