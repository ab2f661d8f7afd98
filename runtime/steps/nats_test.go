package steps

import (
	"context"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/drivers"
	"faultbox/protocols"
	"faultbox/protocols/nats"
	"faultbox/runtime"
)

func TestNATS(t *testing.T) {
	e := endpoint("nats", drivers.NATS(t))
	s := session(t, e)
	for _, subject := range []string{"orders.*", "_svc"} {
		if resp := do(t, s, e, "subscribe", runtime.Args{"subject": subject, "count": int64(0)}); !resp.OK {
			t.Fatal(resp)
		}
	}
	for _, args := range []runtime.Args{
		{"subject": "orders.new", "data": "plain"},
		{"subject": "orders.new", "data": map[string]any{"id": int64(7)}, "headers": map[string]any{"A": "b"}},
	} {
		if resp := do(t, s, e, "publish", args); !resp.OK {
			t.Errorf("publish %v: %+v", args, resp)
		}
	}
	resp := do(t, s, e, "subscribe", runtime.Args{"subject": "orders.*", "count": int64(2)})
	want := []any{
		map[string]any{"subject": "orders.new", "data": "plain", "headers": map[string]any{}},
		map[string]any{"subject": "orders.new", "data": map[string]any{"id": int64(7)}, "headers": map[string]any{"A": "b"}},
	}
	if !resp.OK || !reflect.DeepEqual(resp.Data, want) || resp.Body != `{"id":7}` {
		t.Errorf("subscribe: %#v", resp)
	}
	for _, c := range []struct {
		method string
		args   runtime.Args
		code   string
	}{
		{"subscribe", runtime.Args{"subject": "orders.*", "timeout": 50 * time.Millisecond}, "timeout"},
		{"request", runtime.Args{"subject": "nobody"}, "503"},
		{"request", runtime.Args{"subject": "_svc", "timeout": 50 * time.Millisecond}, "timeout"},
		{"request", runtime.Args{"subject": "$JS.API.STREAM.INFO.NONE"}, "10059"},
		{"publish", runtime.Args{"subject": "two words"}, "EINVAL"},
		{"publish", runtime.Args{"subject": "a", "data": string(make([]byte, 2<<20))}, "MAX_PAYLOAD_VIOLATION"},
	} {
		if resp := do(t, s, e, c.method, c.args); resp.OK || resp.ErrorCode != c.code {
			t.Errorf("%s %.100v: %+v, want code %s", c.method, c.args, resp, c.code)
		}
	}
	resp = do(t, s, e, "request", runtime.Args{"subject": "$JS.API.STREAM.CREATE.S", "data": map[string]any{"name": "S", "subjects": []any{"s"}}})
	if !resp.OK || resp.Data.(map[string]any)["config"] == nil {
		t.Errorf("request: %+v", resp)
	}
	if resp = do(t, s, e, "request", runtime.Args{"subject": "s", "data": "x"}); !resp.OK || !reflect.DeepEqual(resp.Data, map[string]any{"stream": "S", "seq": int64(1)}) {
		t.Errorf("request: %+v", resp)
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

// TestNATSFaults tells what steps see of faults.
func TestNATSFaults(t *testing.T) {
	server := drivers.NATS(t)
	fault := func(reply protocols.Reply) intercept.Fault {
		reply.Error = true
		return intercept.Fault{Do: intercept.Answer, Reply: &reply}
	}
	for _, c := range []struct {
		name   string
		fault  intercept.Fault
		method string
		code   string
	}{
		{"not permitted", fault(protocols.Reply{}), "publish", "PERMISSIONS_VIOLATION"},
		{"thrown out", fault(protocols.Reply{Message: "authorization violation"}), "publish", "AUTHORIZATION_VIOLATION"},
		{"something else", fault(protocols.Reply{Message: "on fire"}), "publish", "ERR"},
		{"no responders", fault(protocols.Reply{}), "request", "503"},
		{"disk full", fault(protocols.Reply{Message: "disk full"}), "request", "10047"},
		{"reset", intercept.Fault{Do: intercept.Reset}, "publish", "ECONNRESET"},
		{"closed", intercept.Fault{Do: intercept.Close}, "request", "EOF"},
		{"lost", intercept.Fault{Do: intercept.Lose}, "publish", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := drivers.Front(t, nats.Protocol, server, intercept.Rule{Match: drivers.Match(t, nats.Protocol, "topic", "a"), Fault: c.fault})
			e := endpoint("nats", addr)
			s := session(t, e)
			if resp := do(t, s, e, c.method, runtime.Args{"subject": "a"}); resp.OK != (c.code == "") || resp.ErrorCode != c.code {
				t.Errorf("%+v, want code %s", resp, c.code)
			}
			if resp := do(t, s, e, "publish", runtime.Args{"subject": "b"}); !resp.OK {
				t.Errorf("the step after: %+v", resp)
			}
		})
	}
}

func TestNATSLogin(t *testing.T) {
	addr := drivers.NATS(t, "--user", "u", "--pass", "p")
	for code, env := range map[string][]string{"": {"NATS_USER=u", "NATS_PASSWORD=p"}, "AUTHORIZATION_VIOLATION": {"NATS_USER=u", "NATS_PASSWORD=x"}} {
		e := endpoint("nats", addr, env...)
		if resp := do(t, session(t, e), e, "publish", runtime.Args{"subject": "a"}); resp.ErrorCode != code {
			t.Errorf("%v: %+v, want code %q", env, resp, code)
		}
		if err := (natsSteps{}).Ping(t.Context(), e.Endpoint); (err == nil) != (code == "") {
			t.Errorf("%v: ping says %v", env, err)
		}
	}
}

// TestNATSTransport: what a server that does not greet looks like.
func TestNATSTransport(t *testing.T) {
	greets := func(then func(net.Conn)) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, "INFO {\"max_payload\":1000}\r\n")
			c.Read(make([]byte, 1<<16)) // CONNECT and PING
			then(c)
		}
	}
	ends := func(c net.Conn) {
		c.(*net.TCPConn).CloseWrite()
		hangs(c)
	}
	for _, c := range []struct {
		code string
		addr string
	}{
		{"ECONNREFUSED", noListener(t)}, {"EOF", scripted(t, func(net.Conn) {})}, {"EOF", scripted(t, greets(ends))},
		{"ECONNRESET", scripted(t, greets(func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }))}, {"timeout", scripted(t, hangs)}, {"timeout", scripted(t, greets(hangs))},
	} {
		e := endpoint("nats", c.addr)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		if c.code == "timeout" {
			ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		}
		if resp := doCtx(t, ctx, session(t, e), e, "publish", runtime.Args{"subject": "a"}); resp.OK || resp.ErrorCode != c.code {
			t.Errorf("%+v, want code %s", resp, c.code)
		}
		cancel()
		if n := e.dials.Load(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
	}
}
