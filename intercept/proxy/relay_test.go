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

func TestFaults(t *testing.T) {
	reply := &protocols.Reply{Error: true, Message: "no", Code: "C9"}
	answerIt := intercept.Fault{Do: intercept.Answer, Reply: reply}
	late := func(f intercept.Fault) intercept.Fault { f.When = intercept.After; return f }
	nothing := intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Message: "nothing"}}
	for _, c := range []struct {
		name  string
		fault intercept.Fault
		op    string // of request 2; requests 1 and 3 are "get"
		want  string // what the client reads for it; "FIN" and "RST" end the connection
		heard bool   // the server hears of it
		event string
	}{
		{"answer before", answerIt, "multi k", "2 no\n", false, "multi k replaced C9 r0"},
		{"answer after", late(answerIt), "multi k", "2 no\n", true, "multi k replaced C9 r0"},
		{"answer nothing before", nothing, "set k", "2 ok set\n", true, "set k untouched r0"},
		{"answer nothing after", late(nothing), "fail k", "2 -E1\n", true, "fail k untouched E1 r0"},
		{"lose before", intercept.Fault{Do: intercept.Lose}, "set k", "", false, "set k dropped r0"},
		{"lose after", late(intercept.Fault{Do: intercept.Lose}), "multi k", "", true, "multi k dropped r0"},
		{"twice", intercept.Fault{Do: intercept.Twice}, "multi k", "2+ one\n2+ two\n2 three\n", true, "multi k doubled r0"},
		{"close before", intercept.Fault{Do: intercept.Close}, "set k", "FIN", false, "set k dropped r0"},
		{"close after", late(intercept.Fault{Do: intercept.Close}), "multi k", "FIN", true, "multi k dropped r0"},
		{"reset before", intercept.Fault{Do: intercept.Reset}, "set k", "RST", false, "set k reset r0"},
		{"reset after", late(intercept.Fault{Do: intercept.Reset}), "multi k", "RST", true, "multi k reset r0"},
		{"cut", intercept.Fault{Do: intercept.Cut, Bytes: 9}, "multi k", "2+ one\n2+FIN", true, "multi k cut r0"},
		{"cut at nothing", intercept.Fault{Do: intercept.Cut}, "multi k", "FIN", true, "multi k cut r0"},
		{"cut behind the end", intercept.Fault{Do: intercept.Cut, Bytes: 900}, "multi k", "2+ one\n2+ two\n2 three\n", true, "multi k untouched r0"},
		{"delay before", intercept.Fault{Delay: 5 * time.Millisecond}, "multi k", "2+ one\n2+ two\n2 three\n", true, "multi k r0"},
		{"delay after", late(intercept.Fault{Delay: 5 * time.Millisecond}), "fail k", "2 -E1\n", true, "fail k E1 r0"},
		{"delay and answer", intercept.Fault{Delay: 5 * time.Millisecond, Do: intercept.Answer, Reply: reply}, "set k", "2 no\n", false, "set k replaced C9 r0"},
		{"delay and answer after", late(intercept.Fault{Delay: 5 * time.Millisecond, Do: intercept.Answer, Reply: reply}), "multi k", "2 no\n", true, "multi k replaced C9 r0"},
		{"delay and close", intercept.Fault{Delay: 5 * time.Millisecond, Do: intercept.Close}, "set k", "FIN", false, "set k dropped r0"},
		{"delay and cut after", late(intercept.Fault{Delay: 5 * time.Millisecond, Do: intercept.Cut, Bytes: 9}), "multi k", "2+ one\n2+FIN", true, "multi k cut r0"},
		{"delay and twice", intercept.Fault{Delay: 5 * time.Millisecond, Do: intercept.Twice}, "set k", "2 ok set\n", true, "set k doubled r0"},
		{"big request answered", answerIt, "blob 300000", "2 no\n", false, "blob 300000 replaced C9 r0"},
		{"big request twice", intercept.Fault{Do: intercept.Twice}, "blob 300000", "2 took 300000\n", true, "blob 300000 doubled r0"},
		{"big request delayed", intercept.Fault{Delay: 5 * time.Millisecond}, "blob 300000", "2 took 300000\n", true, "blob 300000 r0"},
		{"request too big to be done twice", intercept.Fault{Do: intercept.Twice}, "blob 17000000", "2 took 17000000\n", true, "blob 17000000 untouched r0"},
		{"big request delayed past the bound", intercept.Fault{Delay: 5 * time.Millisecond}, "blob 5000000", "2 took 5000000\n", true, "blob 5000000 r0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, p *protocols.Protocol) {
				op, key, _ := strings.Cut(c.op, " ")
				b := newBed(t, p, answer, on(op, c.fault))
				b.say("1 get a")
				b.expect("1 ok get")
				b.say("2 " + c.op)
				heard := []string{"1 get a"}
				if c.heard {
					heard = append(heard, "2 "+c.op)
				}
				if strings.Contains(c.event, "doubled") {
					heard = append(heard, "2 "+c.op)
				}
				if op == "blob" {
					var n int
					fmt.Sscan(key, &n)
					if _, err := b.client.Write(make([]byte, n)); err != nil {
						t.Fatal(err)
					}
				}
				if rest, ok := strings.CutSuffix(c.want, "FIN"); ok {
					b.expectEnd(rest, false)
					b.finish("get a", c.event)
					return
				}
				if rest, ok := strings.CutSuffix(c.want, "RST"); ok {
					b.expectEnd(rest, true)
					b.finish("get a", c.event)
					return
				}
				for line := range strings.Lines(c.want) {
					b.expect(strings.TrimSuffix(line, "\n"))
				}
				b.say("3 get b")
				b.expect("3 ok get")
				b.client.CloseWrite()
				b.expect("0 eof")
				b.finish("get a", c.event, "get b")
				b.expectHeard(append(heard, "3 get b", "EOF")...)
			})
		})
	}
}

// Requests that nothing answers, and messages that the server pushes.
func TestOneway(t *testing.T) {
	reply := &protocols.Reply{Message: "no", Error: true}
	for _, c := range []struct {
		name  string
		fault intercept.Fault
		op    string
		want  string
		heard []string
		event string
	}{
		{"lose", intercept.Fault{Do: intercept.Lose}, "PUB", "", nil, "PUB k dropped r0"},
		{"answer", intercept.Fault{Do: intercept.Answer, Reply: reply}, "PUB", "1 no\n", nil, "PUB k replaced r0"},
		{"answer after", intercept.Fault{Do: intercept.Answer, Reply: reply, When: intercept.After}, "PUB", "", []string{"1 PUB k"}, "PUB k untouched r0"},
		{"twice", intercept.Fault{Do: intercept.Twice}, "PUB", "", []string{"1 PUB k", "1 PUB k"}, "PUB k doubled r0"},
		{"delay", intercept.Fault{Delay: time.Millisecond}, "PUB", "", []string{"1 PUB k"}, "PUB k r0"},
		{"close", intercept.Fault{Do: intercept.Close}, "PUB", "FIN", nil, "PUB k dropped r0"},
		{"close after", intercept.Fault{Do: intercept.Close, When: intercept.After}, "PUB", "FIN", []string{"1 PUB k"}, "PUB k dropped r0"},
		{"cut", intercept.Fault{Do: intercept.Cut}, "PUB", "", []string{"1 PUB k"}, "PUB k untouched r0"},

		{"pushed, lose", intercept.Fault{Do: intercept.Lose}, "push", "1 pushed\n", nil, "push k dropped r0"},
		{"pushed, answer", intercept.Fault{Do: intercept.Answer, Reply: reply}, "push", "1 pushed\n", []string{"0 NACK"}, "push k replaced r0"},
		{"pushed, twice", intercept.Fault{Do: intercept.Twice}, "push", "* k hello\n* k hello\n1 pushed\n", nil, "push k doubled r0"},
		{"pushed, close", intercept.Fault{Do: intercept.Close}, "push", "FIN", nil, "push k dropped r0"},
		{"pushed, close after", intercept.Fault{Do: intercept.Close, When: intercept.After}, "push", "* k hello\nFIN", nil, "push k dropped r0"},
		{"pushed, reset", intercept.Fault{Do: intercept.Reset}, "push", "RST", nil, "push k reset r0"},
		{"pushed, cut", intercept.Fault{Do: intercept.Cut, Bytes: 3}, "push", "* kFIN", nil, "push k cut r0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, p *protocols.Protocol) {
				rule := on(c.op, c.fault)
				if c.op == "push" { // not on the request of that name
					rule.Trigger = intercept.Trigger{After: 1, Prob: 1}
				}
				b := newBed(t, p, answer, rule)
				b.say("1 %s k", c.op)
				ends := strings.HasSuffix(c.want, "FIN") || strings.HasSuffix(c.want, "RST")
				if ends {
					b.expectEnd(c.want[:len(c.want)-3], strings.HasSuffix(c.want, "RST"))
				} else {
					for line := range strings.Lines(c.want) {
						b.expect(strings.TrimSuffix(line, "\n"))
					}
					b.say("2 get b")
					b.expect("2 ok get")
				}
				b.client.CloseWrite()
				if !ends {
					b.expect("0 eof")
				}
				<-b.served
				if got := strings.Join(b.h.seen(), "\n"); !strings.Contains(got, c.event) {
					t.Fatalf("events %q, want %q", got, c.event)
				}
				got := strings.Join(b.heard(), "\n")
				for _, w := range c.heard {
					if !ends && !strings.Contains(got, w) {
						t.Fatalf("server heard %q, want %q", got, w)
					}
				}
				if c.op == "PUB" && c.heard == nil && strings.Contains(got, "PUB") {
					t.Fatalf("server heard %q", got)
				}
			})
		})
	}
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
	both(t, func(t *testing.T, p *protocols.Protocol) {
		for _, delay := range []time.Duration{0, 5 * time.Millisecond} {
			b := newBed(t, p, answer, on("tunnel", intercept.Fault{Delay: delay, When: intercept.After}), on("bad", intercept.Fault{Do: intercept.Reset}))
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
	})
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
