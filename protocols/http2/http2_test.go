package http2

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
	header := func(name, value string) []protocols.Attr { return []protocols.Attr{{Name: name, Value: value}} }
	for _, c := range []struct {
		reply  protocols.Reply
		status int    // completed
		code   string // completed
		reason string // part of the error
	}{
		{protocols.Reply{Error: true}, 500, "500", ""},
		{protocols.Reply{Error: true, Code: "503"}, 503, "503", ""},
		{protocols.Reply{Error: true, Status: 404, Message: "x"}, 404, "404", ""},
		{protocols.Reply{}, 200, "", ""},
		{protocols.Reply{Error: true, Code: "refused_stream"}, 0, "REFUSED_STREAM", ""},
		{protocols.Reply{Error: true, Code: "ENHANCE_YOUR_CALM", Message: "x"}, 0, "ENHANCE_YOUR_CALM", ""},
		{protocols.Reply{Error: true, Code: "REFUSED_STREAM", Status: 503}, 0, "", "no status"},
		{protocols.Reply{Error: true, Code: "NO_ERROR"}, 0, "", "it is none"},
		{protocols.Reply{Error: true, Code: "UNAVAILABLE"}, 0, "", "PROTOCOL_ERROR, INTERNAL_ERROR"},
		{protocols.Reply{Error: true, Status: 200}, 0, "", "400 to 599"},
		{protocols.Reply{Status: 204, Value: "x"}, 0, "", "no body"},
		{protocols.Reply{Headers: header("Connection", "close")}, 0, "", "no such header"},
		{protocols.Reply{Headers: header("content-length", "5")}, 0, "", "leave it out"},
		{protocols.Reply{Error: true, Details: map[string]string{"a": "b"}}, 0, "", "no details"},
	} {
		for range 2 { // a completed reply stays as it is
			err := Protocol.Check(&c.reply)
			if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%+v: %v", c.reply, err)
			}
			if c.reason == "" && (c.reply.Status != c.status || c.reply.Code != c.code) {
				t.Errorf("%+v: want status %d, code %q", c.reply, c.status, c.code)
			}
		}
	}
}
