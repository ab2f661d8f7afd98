package steps

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/drivers"
	"faultbox/protocols"
	"faultbox/protocols/kafka"
	"faultbox/runtime"
)

// told sums up a response: its data's messages as key=value, or its code.
func told(resp runtime.Response) string {
	list, _ := resp.Data.([]any)
	out := []string{}
	for _, m := range list {
		key, _ := m.(map[string]any)["key"].(string)
		value, _ := m.(map[string]any)["value"].(string)
		out = append(out, key+"="+value)
	}
	if !resp.OK {
		out = append(out, resp.ErrorCode)
	}
	return strings.Join(out, " ")
}

func TestKafka(t *testing.T) {
	var log *drivers.Log
	_, addr := drivers.KafkaBehind(t, func(inner string) (outer string) {
		outer, log = drivers.Front(t, kafka.Protocol, inner)
		return outer
	})
	e := endpoint("kafka", addr)
	if err := (kafkaSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Fatal(err)
	}
	s := session(t, e)
	sent := do(t, s, e, "publish", runtime.Args{"topic": "orders", "data": "v1", "key": "k1", "headers": map[string]any{"h": int64(1)}})
	if data, _ := sent.Data.(map[string]any); !sent.OK || data["offset"] != int64(0) || sent.Body != `{"offset":0,"partition":0}` {
		t.Fatalf("publish: %+v", sent)
	}
	do(t, s, e, "publish", runtime.Args{"topic": "orders", "data": map[string]any{"id": int64(2)}})
	all := do(t, s, e, "consume", runtime.Args{"topic": "orders"})
	if got := told(all); got != `k1=v1 ={"id":2}` {
		t.Fatalf("consume: %s, %+v", got, all)
	}
	first, second := all.Data.([]any)[0].(map[string]any), all.Data.([]any)[1].(map[string]any)
	if first["headers"].(map[string]any)["h"] != "1" || second["key"] != nil || second["json"].(map[string]any)["id"] != int64(2) {
		t.Errorf("messages are %v and %v", first, second)
	}
	short := 500 * time.Millisecond
	for _, step := range []struct {
		args runtime.Args
		want string
	}{
		{runtime.Args{"topic": "orders", "group": "g", "count": int64(1)}, "k1=v1"},
		{runtime.Args{"topic": "orders", "group": "g"}, `={"id":2}`},
		{runtime.Args{"topic": "orders", "group": "g"}, ""},
		{runtime.Args{"topic": "orders", "group": "g", "count": int64(1), "timeout": short}, "timeout"},
		{runtime.Args{"topic": "orders", "count": int64(3), "timeout": short}, `k1=v1 ={"id":2} timeout`},
		{runtime.Args{"topic": "none"}, "UNKNOWN_TOPIC_OR_PARTITION"},
		{runtime.Args{"topic": "none", "count": int64(1), "timeout": short}, "timeout"},
		{runtime.Args{"topic": "orders", "count": int64(0)}, "EINVAL"},
	} {
		if resp := do(t, s, e, "consume", step.args); told(resp) != step.want {
			t.Errorf("consume %v: %q (%s), want %q", step.args, told(resp), resp.Error, step.want)
		}
	}

	t.Run("faults", func(t *testing.T) {
		for _, f := range []struct {
			fault intercept.Fault
			want  string
			tried uint64
		}{
			{intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "not leader"}}, "NOT_LEADER_OR_FOLLOWER", 1},
			{intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "too large"}}, "MESSAGE_TOO_LARGE", 1},
			{intercept.Fault{Do: intercept.Reset}, "ECONNRESET", 1},
			{intercept.Fault{Do: intercept.Close}, "EOF", 1},
			{intercept.Fault{Do: intercept.Lose}, "", 1},
		} {
			disarm := log.Arm(t, kafka.Protocol, intercept.Rule{Match: drivers.Match(t, kafka.Protocol, "topic", "orders", "method", "Produce"), Fault: f.fault})
			resp := do(t, s, e, "publish", runtime.Args{"topic": "orders", "data": "x"})
			tally := log.Tally()
			if got := told(resp); got != f.want || tally[len(tally)-1].Matched() != f.tried {
				t.Errorf("%v: %q (%s) after %d tries, want %q after 1", f.fault.Do, got, resp.Error, tally[len(tally)-1].Matched(), f.want)
			}
			disarm()
		}
	})

	t.Run("what is dropped on its way is not waited for", func(t *testing.T) {
		for _, v := range []string{"a", "b", "c"} {
			do(t, s, e, "publish", runtime.Args{"topic": "tail", "data": v, "key": v})
		}
		for pattern, want := range map[string]string{"c": "a=a b=b", "?": "", "a": "b=b c=c"} {
			disarm := log.Arm(t, kafka.Protocol, intercept.Rule{Match: drivers.Match(t, kafka.Protocol, "topic", "tail", "method", "Fetch", "key", pattern), Fault: intercept.Fault{Do: intercept.Lose}})
			if got := do(t, s, e, "consume", runtime.Args{"topic": "tail"}); told(got) != want {
				t.Errorf("without %s: %q (%s), want %q", pattern, told(got), got.Error, want)
			}
			if got := do(t, s, e, "consume", runtime.Args{"topic": "tail", "group": "without " + pattern}); told(got) != want {
				t.Errorf("a group without %s: %q (%s), want %q", pattern, told(got), got.Error, want)
			}
			disarm()
		}
	})

	t.Run("nobody", func(t *testing.T) {
		e := endpoint("kafka", "127.0.0.1:"+drivers.FreePort(t))
		if resp := do(t, session(t, e), e, "publish", runtime.Args{"topic": "a", "data": "x"}); resp.ErrorCode != "ECONNREFUSED" {
			t.Errorf("%+v", resp)
		}
	})
	t.Run("silence", func(t *testing.T) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		e := endpoint("kafka", ln.Addr().String())
		if resp := do(t, session(t, e), e, "publish", runtime.Args{"topic": "a", "data": "x", "timeout": short}); resp.ErrorCode != "timeout" {
			t.Errorf("%+v", resp)
		}
	})
}
