package steps

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"faultbox/runtime"
)

func TestTCP(t *testing.T) {
	e := endpoint("tcp", scripted(t, func(c net.Conn) { io.Copy(c, c) }))
	s := session(t, e)
	tests := []struct {
		args       runtime.Args
		body, hexa string
	}{
		{runtime.Args{"data": "hello\n"}, "hello\n", "68656c6c6f0a"},
		{runtime.Args{"hex": "00 ff\n7F"}, "\x00\xff\x7f", "00ff7f"},
		{runtime.Args{"data": strings.Repeat("x", 1<<20)}, strings.Repeat("x", 1<<20), strings.Repeat("78", 1<<20)},
	}
	for _, tt := range tests {
		resp := do(t, s, e, "send", tt.args)
		if !resp.OK || resp.Body != tt.body || resp.Data != tt.hexa {
			t.Errorf("got %.200s", fmt.Sprintf("%+v", resp))
		}
	}
	if resp := do(t, s, e, "send", runtime.Args{"data": "late", "timeout": time.Duration(0)}); !resp.OK || resp.Body != "" {
		t.Errorf("send that waits for nothing: %+v", resp)
	}
	if resp := do(t, s, e, "send", nil); !resp.OK || resp.Body != "late" {
		t.Errorf("read on its own: %+v", resp)
	}
	if resp := do(t, s, e, "send", runtime.Args{"timeout": 30 * time.Millisecond}); resp.ErrorCode != "timeout" || resp.Error != "no answer within 30ms" {
		t.Errorf("nothing to read: %+v", resp)
	}
	if resp := do(t, s, e, "send", runtime.Args{"data": "again"}); !resp.OK || resp.Body != "again" {
		t.Errorf("after a timeout: %+v", resp)
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	for _, bad := range []runtime.Args{{"hex": "xyz"}, {"hex": "0"}, {"hex": "00", "data": "x"}} {
		if resp := do(t, s, e, "send", bad); resp.ErrorCode != "EINVAL" {
			t.Errorf("%v: %+v", bad, resp)
		}
	}
}

func TestTCPEnds(t *testing.T) {
	e := endpoint("tcp", scripted(t, speaks("bye")))
	s := session(t, e)
	for n := range 3 { // the server ends the connection after each answer
		if resp := do(t, s, e, "send", runtime.Args{"data": "x"}); !resp.OK || resp.Body != "bye" {
			t.Errorf("send %d: %+v", n, resp)
		}
	}
	slow := endpoint("tcp", scripted(t, func(c net.Conn) {
		for _, part := range []string{"a", "b", "c"} {
			io.WriteString(c, part)
			time.Sleep(5 * time.Millisecond)
		}
		hangs(c)
	}))
	if resp := do(t, session(t, slow), slow, "send", runtime.Args{"data": "x"}); resp.Body != "abc" {
		t.Errorf("an answer in parts: %+v", resp)
	}
	if err := (tcpSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
	e.Addr = noListener(t)
	if err := (tcpSteps{}).Ping(context.Background(), e.Endpoint); err == nil {
		t.Error("nobody counts as ready")
	}
}

func TestUDP(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, from, err := server.ReadFrom(buf)
			if err != nil {
				return
			}
			if string(buf[:n]) != "silence" {
				server.WriteTo(buf[:n], from)
			}
		}
	}()
	e := endpoint("udp", server.LocalAddr().String())
	s := session(t, e)
	for _, args := range []runtime.Args{{"data": "hello"}, {"hex": "68656c6c6f"}} {
		if resp := do(t, s, e, "send", args); !resp.OK || resp.Body != "hello" || resp.Data != "68656c6c6f" {
			t.Errorf("%v: %+v", args, resp)
		}
	}
	if resp := do(t, s, e, "send", runtime.Args{"data": "silence", "timeout": 30 * time.Millisecond}); resp.OK || resp.ErrorCode != "timeout" {
		t.Errorf("no answer: %+v", resp)
	}
	if resp := do(t, s, e, "send", runtime.Args{"data": "silence", "timeout": time.Duration(0)}); !resp.OK {
		t.Errorf("no answer wanted: %+v", resp)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(30*time.Millisecond, cancel)
	if resp := doCtx(t, ctx, s, e, "send", runtime.Args{"data": "silence", "timeout": time.Hour}); resp.ErrorCode != "canceled" {
		t.Errorf("canceled: %+v", resp)
	}
	server.Close()
	if resp := do(t, s, e, "send", runtime.Args{"data": "x"}); resp.ErrorCode != "ECONNREFUSED" {
		t.Errorf("nobody there: %+v", resp)
	}
	if resp := do(t, s, e, "send", runtime.Args{"data": strings.Repeat("x", 70000)}); resp.ErrorCode != "EMSGSIZE" {
		t.Errorf("too large: %+v", resp)
	}
}
