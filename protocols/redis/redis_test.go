package redis

import (
	"strings"
	"testing"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestCaptures(t *testing.T) { protocoltest.Captures(t, Protocol, "testdata") }

func TestHostile(t *testing.T) { protocoltest.Hostile(t, Protocol, "testdata") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		reply  protocols.Reply
		code   string // completed
		reason string // part of the error
	}{
		{protocols.Reply{Error: true, Message: "disk full"}, "ERR", ""},
		{protocols.Reply{Error: true, Message: "You can't write against a read only replica."}, "READONLY", ""},
		{protocols.Reply{Error: true, Message: "CLUSTERDOWN Hash slot not served"}, "CLUSTERDOWN", ""},
		{protocols.Reply{Error: true, Message: "READONLY"}, "READONLY", ""},
		{protocols.Reply{Error: true, Message: "I am down"}, "ERR", ""},
		{protocols.Reply{Error: true, Code: "OOM"}, "OOM", ""},
		{protocols.Reply{Error: true}, "ERR", ""},
		{protocols.Reply{Value: []any{"a", int64(1), 1.5, true, nil, map[string]any{"k": "v"}}}, "", ""},
		{protocols.Reply{Error: true, Message: "a\r\nb"}, "", "one line"},
		{protocols.Reply{Error: true, Code: "oom"}, "", "upper-case"},
		{protocols.Reply{Error: true, Status: 500}, "", "no status"},
		{protocols.Reply{Headers: []protocols.Attr{{Name: "a"}}}, "", "no headers"},
		{protocols.Reply{Value: "x", Message: "y"}, "", "value= alone"},
		{protocols.Reply{Value: []any{struct{}{}}}, "", "cannot write"},
	} {
		err := Protocol.Check(&c.reply)
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%+v: %v", c.reply, err)
		}
		if c.reason == "" && c.reply.Code != c.code {
			t.Errorf("%+v: the code is not %s", c.reply, c.code)
		}
	}
}

func TestContainer(t *testing.T) {
	for _, c := range []struct {
		pattern, op string
		want        bool
	}{{"config", "CONFIG GET", true}, {"CONF", "CONFIG GET", false}, {"CONFIG", "CONFIG", false}, {"CONFIG GET", "CONFIG", false}} {
		if got := container(c.pattern, c.op); got != c.want {
			t.Errorf("%s for %s: %v", c.pattern, c.op, got)
		}
	}
}
