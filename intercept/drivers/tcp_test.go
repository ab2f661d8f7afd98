package drivers

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/tcp"
)

// A Redis client and server on an edge that is raw TCP to the relay.

func TestTCPUntouched(t *testing.T) {
	server := Redis(t)
	Compared(t, tcp.Protocol, server, "go-redis", "1 MB each way")
	addr, log := Front(t, tcp.Protocol, server, intercept.Rule{
		Match: Match(t, tcp.Protocol, "bytes", "*no such bytes*"), Fault: intercept.Fault{Do: intercept.Reset},
	})
	client := redis.NewClient(&redis.Options{Addr: addr})
	defer client.Close()
	ctx := context.Background()
	big := strings.Repeat("0123456789", 100_000)
	if err := client.Set(ctx, "big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := client.Get(ctx, "big").Result(); got != big || err != nil {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if n := log.Tally()[0].Matched(); n != 0 {
		t.Errorf("the rule matched %d times", n)
	}
	sent := log.Wait(t, "of a SET", func(ev *intercept.Event) bool { return strings.Contains(ev.Text, `set\r\n$3\r\nbig`) })
	if sent.Op != "send" || sent.Outcome != intercept.Answered {
		t.Errorf("event %+v", sent)
	}
}

func TestTCPFaults(t *testing.T) {
	server := Redis(t)
	for _, c := range []struct {
		name  string
		match []string
		fault intercept.Fault
		want  string // what the client reads; "RST" ends it by a reset
	}{
		{"error", []string{"bytes", "PING*"}, intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true}}, "+OK\r\nRST"},
		{"response", []string{"bytes", "PING*"}, intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: "-BUSY\r\n"}}, "+OK\r\n-BUSY\r\n"},
		{"response instead of the server's bytes", []string{"bytes", "+PONG*", "direction", "from"},
			intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: "-LATE\r\n"}}, "+OK\r\n-LATE\r\n"},
		{"drop", []string{"bytes", "PING*", "direction", "to"}, intercept.Fault{Do: intercept.Close}, "+OK\r\n"},
		{"reset", []string{"bytes", "*PONG*"}, intercept.Fault{Do: intercept.Reset}, "+OK\r\nRST"},
		{"truncate", []string{"bytes", "*PONG*", "direction", "from"}, intercept.Fault{Do: intercept.Cut, Bytes: 3, When: intercept.After}, "+OK\r\n+PO"},
	} {
		t.Run(c.name, func(t *testing.T) {
			Struck(t, tcp.Protocol, server, "raw", c.name)
			addr, log := Front(t, tcp.Protocol, server, intercept.Rule{Match: Match(t, tcp.Protocol, c.match...), Fault: c.fault})
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReader(conn)
			io.WriteString(conn, "SET a 1\r\n")
			first, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, "PING\r\n")
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			rest, err := io.ReadAll(in)
			got := first + string(rest)
			if errors.Is(err, syscall.ECONNRESET) {
				got, err = got+"RST", nil
			}
			if got != c.want || err != nil {
				t.Fatalf("the client reads %q, %v; want %q", got, err, c.want)
			}
			log.Wait(t, "that the rule acted on", func(ev *intercept.Event) bool { return len(ev.Rules) == 1 })
			if n := log.Tally()[0].Acted(); n != 1 {
				t.Errorf("the rule acted %d times", n)
			}
		})
	}
}
