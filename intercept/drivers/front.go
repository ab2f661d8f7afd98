package drivers

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols"
)

// The edge that every connection through a front belongs to.
const (
	From      = "test"
	To        = "server"
	Interface = "main"
)

// onFront, if set, is told of every front before it serves.
var onFront func(testing.TB, *proxy.Link)

// Front listens on a free port of 127.0.0.1 and relays each connection to
// serverAddr, with rules armed. A rule needs Match and Fault only: an empty
// name, service, protocol or trigger is filled in, and its reply is completed
// as it is when a spec is loaded. At the end of the test all connections are
// closed and waited for.
func Front(t testing.TB, p *protocols.Protocol, serverAddr string, rules ...intercept.Rule) (addr string, log *Log) {
	return FrontLink(t, proxy.Link{
		Protocol: p,
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", serverAddr)
		},
	}, rules...)
}

// FrontLink is Front for a link of the caller's own making; the edge's names
// and Handler are filled in.
func FrontLink(t testing.TB, link proxy.Link, rules ...intercept.Rule) (addr string, log *Log) {
	t.Helper()
	log = &Log{Rules: intercept.NewRules(1), start: time.Now()}
	link.From, link.To, link.Interface, link.Handler = From, To, Interface, log
	link.Protocol = link.Protocol.OfSystem()
	log.Arm(t, link.Protocol, rules...)
	if onFront != nil {
		onFront(t, &link)
	}

	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { proxy.Serve(ctx, c, link) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		cancel()
		work.Wait()
	})
	return ln.Addr().String(), log
}

// Arm arms further rules, completed as Front completes them, and returns the
// function that takes them off.
func (l *Log) Arm(t testing.TB, p *protocols.Protocol, rules ...intercept.Rule) (disarm func()) {
	t.Helper()
	armed := make([]intercept.Rule, len(rules))
	for i, r := range rules {
		if r.Name == "" {
			r.Name = fmt.Sprintf("rule %d", i+1)
		}
		r.To, r.Proto = To, p.Name
		if r.Trigger == (intercept.Trigger{}) {
			r.Trigger = intercept.Always
		}
		if r.Fault.Reply != nil && p.Check != nil {
			reply := *r.Fault.Reply
			if err := p.Check(&reply); err != nil {
				t.Fatalf("rule %q: %v", r.Name, err)
			}
			r.Fault.Reply = &reply
		}
		armed[i] = r
	}
	return l.Rules.Arm(armed...)
}

// Match compiles a matcher from pairs of keyword and pattern.
func Match(t testing.TB, p *protocols.Protocol, pairs ...string) intercept.Match {
	t.Helper()
	var m intercept.Match
	for i := 0; i+1 < len(pairs); i += 2 {
		term, err := intercept.NewTerm(p, pairs[i], "", pairs[i+1])
		if err != nil {
			t.Fatal(err)
		}
		m = append(m, term)
	}
	return m
}
