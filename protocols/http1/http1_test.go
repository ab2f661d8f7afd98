package http1

import (
	"strings"
	"testing"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

// A client that waits for 100 is told to go on while its request is gathered.
func TestGather(t *testing.T) {
	for head, want := range map[string]string{
		"PUT / HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n": "HTTP/1.1 100 Continue\r\n\r\n",
		"PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\n":                         "",
		"PUT / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n": "",
	} {
		c := new(codec)
		f, _, err := c.Decode(protocols.ToServer, []byte(head))
		if got := string(c.Gather(f)); got != want || err != nil {
			t.Errorf("%q: %q, %v", head, got, err)
		}
	}
}

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestCaptures(t *testing.T) { protocoltest.Captures(t, Protocol, "testdata") }

func TestHostile(t *testing.T) { protocoltest.Hostile(t, Protocol, "testdata") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestCheck(t *testing.T) {
	header := func(name, value string) []protocols.Attr { return []protocols.Attr{{Name: name, Value: value}} }
	for _, c := range []struct {
		reply  protocols.Reply
		status int    // completed
		reason string // part of the error
	}{
		{protocols.Reply{Error: true}, 500, ""},
		{protocols.Reply{Error: true, Code: "503"}, 503, ""},
		{protocols.Reply{Error: true, Status: 404, Message: "x"}, 404, ""},
		{protocols.Reply{}, 200, ""},
		{protocols.Reply{Status: 302, Headers: header("Location", "/x")}, 302, ""},
		{protocols.Reply{Error: true, Status: 200}, 0, "400 to 599"},
		{protocols.Reply{Status: 101}, 0, "200 to 599"},
		{protocols.Reply{Error: true, Code: "UNAVAILABLE"}, 0, "no code"},
		{protocols.Reply{Status: 204, Value: "x"}, 0, "no body"},
		{protocols.Reply{Message: "x"}, 0, "body="},
		{protocols.Reply{Headers: header("a b", "")}, 0, "not a header's name"},
		{protocols.Reply{Headers: header("a", "b\r\nc: d")}, 0, "one line"},
		{protocols.Reply{Headers: header("content-length", "5")}, 0, "leave it out"},
		{protocols.Reply{Error: true, Details: map[string]string{"a": "b"}}, 0, "no details"},
	} {
		err := Protocol.Check(&c.reply)
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%+v: %v", c.reply, err)
		}
		if c.reason == "" && c.reply.Status != c.status {
			t.Errorf("%+v: the status is not %d", c.reply, c.status)
		}
	}
}
