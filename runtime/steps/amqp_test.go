package steps

import (
	"reflect"
	"testing"

	"faultbox/intercept"
	"faultbox/intercept/drivers"
	"faultbox/protocols"
	"faultbox/protocols/amqp"
	"faultbox/runtime"
)

// TestAMQP is all there is to test with one server, which takes long to start.
func TestAMQP(t *testing.T) {
	addr := drivers.RabbitMQ(t)
	t.Run("Steps", func(t *testing.T) { amqpStepsWork(t, addr) })
	t.Run("Login", func(t *testing.T) { amqpLogin(t, addr) })
	t.Run("Faults", func(t *testing.T) { amqpFaults(t, addr) })
}

func amqpStepsWork(t *testing.T, addr string) {
	e := endpoint("amqp", addr)
	s := session(t, e)
	for _, c := range []struct {
		method string
		args   runtime.Args
		data   any
		body   string
	}{
		{"declare", runtime.Args{"queue": "q", "exchange": "e", "binding": "a.#"}, map[string]any{"queue": "q", "messages": int64(0), "consumers": int64(0)}, ""},
		{"declare", runtime.Args{"exchange": "fan", "kind": "fanout"}, nil, ""},
		{"get", runtime.Args{"queue": "q"}, nil, ""},
		{"publish", runtime.Args{"exchange": "e", "routing_key": "a.b", "data": "plain"}, nil, ""},
		{"publish", runtime.Args{"routing_key": "q", "data": map[string]any{"id": int64(7)}, "headers": map[string]any{"n": int64(1)}}, nil, ""},
		{"publish", runtime.Args{"exchange": "e", "routing_key": "nowhere"}, nil, ""},
		{"get", runtime.Args{"queue": "q"}, "plain", "plain"},
		{"get", runtime.Args{"queue": "q"}, map[string]any{"id": int64(7)}, `{"id":7}`},
	} {
		resp := do(t, s, e, c.method, c.args)
		if !resp.OK || !reflect.DeepEqual(resp.Data, c.data) || resp.Body != c.body {
			t.Errorf("%s %v: %+v", c.method, c.args, resp)
		}
	}
	for _, c := range []struct {
		method string
		args   runtime.Args
		code   string
	}{
		{"get", runtime.Args{"queue": "none"}, "404"},
		{"publish", runtime.Args{"exchange": "none", "routing_key": "x"}, "404"},
		{"publish", runtime.Args{"exchange": "e", "routing_key": "nowhere", "mandatory": true}, "312"},
		{"declare", runtime.Args{"queue": "q", "durable": false}, "406"},
		{"declare", runtime.Args{}, "EINVAL"},
		{"publish", runtime.Args{"headers": map[string]any{"x": nil}}, "EINVAL"},
	} {
		if resp := do(t, s, e, c.method, c.args); resp.OK || resp.ErrorCode != c.code || resp.Error == "" {
			t.Errorf("%s %v: %+v, want code %s", c.method, c.args, resp, c.code)
		}
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

func amqpLogin(t *testing.T, addr string) {
	for code, env := range map[string][]string{"": {"RABBITMQ_DEFAULT_USER=guest", "RABBITMQ_DEFAULT_PASS=guest"}, "403": {"RABBITMQ_DEFAULT_PASS=x"}} {
		e := endpoint("amqp", addr, env...)
		if resp := do(t, session(t, e), e, "declare", runtime.Args{"queue": "q"}); resp.ErrorCode != code {
			t.Errorf("%v: %+v, want code %q", env, resp, code)
		}
		if err := (amqpSteps{}).Ping(t.Context(), e.Endpoint); (err == nil) != (code == "") {
			t.Errorf("%v: ping says %v", env, err)
		}
	}
}

// amqpFaults tells what steps see of faults.
func amqpFaults(t *testing.T, server string) {
	fault := func(reply protocols.Reply) intercept.Fault {
		reply.Error = true
		return intercept.Fault{Do: intercept.Answer, Reply: &reply}
	}
	for _, c := range []struct {
		name  string
		fault intercept.Fault
		code  string
	}{
		{"nack", fault(protocols.Reply{Message: "disk full"}), "NACK"},
		{"refused", fault(protocols.Reply{Code: "403"}), "403"},
		{"connection closed", fault(protocols.Reply{Code: "320"}), "320"},
		{"reset", intercept.Fault{Do: intercept.Reset}, "ECONNRESET"},
		{"closed", intercept.Fault{Do: intercept.Close}, "EOF"},
		{"closed after", intercept.Fault{Do: intercept.Close, When: intercept.After}, "EOF"},
		{"lost", intercept.Fault{Do: intercept.Lose}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr, _ := drivers.Front(t, amqp.Protocol, server, intercept.Rule{Match: drivers.Match(t, amqp.Protocol, "topic", "a"), Fault: c.fault})
			e := endpoint("amqp", addr)
			s := session(t, e)
			if resp := do(t, s, e, "publish", runtime.Args{"routing_key": "a"}); resp.OK != (c.code == "") || resp.ErrorCode != c.code {
				t.Errorf("%+v, want code %s", resp, c.code)
			}
			if resp := do(t, s, e, "publish", runtime.Args{"routing_key": "b"}); !resp.OK {
				t.Errorf("the step after: %+v", resp)
			}
		})
	}
}
