package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Every fault, before and after, between two exchanges that pass.
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
		{"a fault of system calls", intercept.Fault{Do: intercept.Deny}, "multi k", "2+ one\n2+ two\n2 three\n", true, "multi k untouched r0"},
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

// The delay of an answer counts when there is an answer, also one that a fault
// gives in the server's place.
func TestDelayAfterNeedsAnAnswer(t *testing.T) {
	const wait = 30 * time.Millisecond
	late := intercept.Fault{Delay: wait, When: intercept.After}
	no := intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "no", Code: "C9"}}
	for _, c := range []struct {
		name, op string
		rules    []intercept.Fault
		ends     bool // the connection ends without an answer
		want     time.Duration
	}{
		{"answered", "get", []intercept.Fault{late}, false, wait},
		{"answered by a fault", "get", []intercept.Fault{late, no}, false, wait},
		{"never answered", "mute", []intercept.Fault{late}, true, 0},
		{"nothing to answer", "PUB", []intercept.Fault{late}, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, p *protocols.Protocol) {
				var rules []intercept.Rule
				for _, f := range c.rules {
					rules = append(rules, on(c.op, f))
				}
				b := newBed(t, p, answer, rules...)
				b.say("1 %s k", c.op)
				if !c.ends {
					if _, err := b.in.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				b.client.CloseWrite()
				<-b.served
				b.h.mu.Lock()
				defer b.h.mu.Unlock()
				for _, ev := range b.h.events {
					if ev.Decision.DelayAfter != c.want || c.want > 0 && ev.Took < c.want {
						t.Errorf("%s took %s, was delayed %s; want %s", ev.Op, ev.Took, ev.Decision.DelayAfter, c.want)
					}
				}
				if len(b.h.events) == 0 {
					t.Error("no event")
				}
			})
		})
	}
}
