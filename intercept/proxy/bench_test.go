package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/redis"
)

// never is a rule that matches nothing.
var never = on("nosuchop", intercept.Fault{Do: intercept.Reset})

// forget is a Handler that decides by rules and remembers nothing.
type forget struct{ *intercept.Rules }

func (forget) Done(intercept.Event) {}

// benchPair returns a client's connection that is relayed to a server's.
func benchPair(b *testing.B, p *protocols.Protocol) (client, server *net.TCPConn) {
	b.Helper()
	client, accepted := pair(b)
	server, upstream := pair(b)
	h := forget{intercept.NewRules(1)}
	rule := never
	rule.To, rule.Proto, rule.Trigger = "server", p.Name, intercept.Always
	h.Arm(rule)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		ended <- Serve(ctx, accepted, Link{
			From: "client", To: "server", Protocol: p, Handler: h,
			Dial: func(context.Context) (net.Conn, error) { return upstream, nil },
		})
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	return client, server
}

// BenchmarkRelay passes exchanges through an edge whose rule never matches,
// depth of them at a time. "direct" is the same without a relay.
func BenchmarkRelay(b *testing.B) {
	for _, depth := range []int{1, 16, 256} {
		for _, how := range []string{"direct", "relay"} {
			b.Run(fmt.Sprintf("%s/depth=%d", how, depth), func(b *testing.B) {
				client, server := pair(b)
				if how == "relay" {
					client, server = benchPair(b, ordered)
				}
				ask := bytes.Repeat([]byte("1 get k\n"), depth) // an ID may come again once it was answered
				answer := bytes.Repeat([]byte("1 ok\n"), depth)
				if depth > 1 {
					ask, answer = nil, nil
					for i := range depth {
						ask = fmt.Appendf(ask, "%d get k\n", i+1)
						answer = fmt.Appendf(answer, "%d ok\n", i+1)
					}
				}
				go func() {
					in := make([]byte, len(ask))
					for {
						if _, err := io.ReadFull(server, in); err != nil {
							return
						}
						server.Write(answer)
					}
				}()
				in := make([]byte, len(answer))
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					client.Write(ask)
					if _, err := io.ReadFull(client, in); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				b.ReportMetric(float64(b.N*depth)/b.Elapsed().Seconds(), "exchanges/s")
			})
		}
	}
}

// sink is a connection that takes everything.
type sink struct{ net.Conn }

func (sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkRoute is what a pipeline of 16 Redis commands and its answers cost
// without the system calls that move them.
func BenchmarkRoute(b *testing.B) {
	const depth = 16
	halves := [2][]byte{
		bytes.Repeat([]byte("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n"), depth),
		bytes.Repeat([]byte("$3\r\nxxx\r\n"), depth),
	}
	term, err := intercept.NewTerm(redis.Protocol, "key", "", "no such thing*")
	if err != nil {
		b.Fatal(err)
	}
	h := forget{intercept.NewRules(1)}
	h.Arm(intercept.Rule{To: "server", Proto: "redis", Match: intercept.Match{term}, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Close}})
	r := newRelay(sink{}, sink{}, Link{From: "client", To: "server", Protocol: redis.Protocol, Handler: h})
	r.mu.Lock()
	defer r.mu.Unlock()
	b.ReportAllocs()
	for b.Loop() {
		for i := range r.lanes {
			l := &r.lanes[i]
			l.busy = true
			l.room()
			l.hi += copy(l.buf[l.hi:], halves[i])
			l.route(false)
			l.drain()
			l.releaseBuffer()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*depth), "ns/exchange")
}

// BenchmarkBulk streams one large request.
func BenchmarkBulk(b *testing.B) {
	const size = 1 << 20
	for _, how := range []string{"direct", "relay"} {
		b.Run(how, func(b *testing.B) {
			client, server := pair(b)
			if how == "relay" {
				client, server = benchPair(b, ordered)
			}
			block := make([]byte, size)
			b.SetBytes(size)
			b.ResetTimer()
			fmt.Fprintf(client, "1 blob %d\n", b.N*size)
			go func() {
				for range b.N {
					client.Write(block)
				}
			}()
			head := len(fmt.Sprintf("1 blob %d\n", b.N*size))
			if _, err := io.CopyN(io.Discard, struct{ io.Reader }{server}, int64(head+b.N*size)); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkConnect sets up a connection, makes one exchange and ends it.
func BenchmarkConnect(b *testing.B) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				in := make([]byte, 64)
				c.Read(in)
				io.WriteString(c, "1 ok\n")
				c.Read(in)
				c.Close()
			}()
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer front.Close()
	h := forget{intercept.NewRules(1)}
	go func() {
		for {
			c, err := front.Accept()
			if err != nil {
				return
			}
			go Serve(context.Background(), c, Link{
				From: "client", To: "server", Protocol: ordered, Handler: h,
				Dial: func(ctx context.Context) (net.Conn, error) { return net.Dial("tcp", ln.Addr().String()) },
			})
		}
	}()
	for _, to := range []struct{ name, addr string }{{"direct", ln.Addr().String()}, {"relay", front.Addr().String()}} {
		b.Run(to.name, func(b *testing.B) {
			b.ReportAllocs()
			in := make([]byte, 64)
			for range b.N {
				c, err := net.Dial("tcp", to.addr)
				if err != nil {
					b.Fatal(err)
				}
				c.SetDeadline(time.Now().Add(time.Minute))
				io.WriteString(c, "1 get\n")
				c.Read(in)
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
}
