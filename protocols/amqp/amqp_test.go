package amqp

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

func TestWild(t *testing.T) {
	for _, c := range []struct {
		pattern, key string
		want         bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.*", "a.b", true}, {"a.*", "a", false}, {"a.*", "a.b.c", false},
		{"a.#", "a", true}, {"a.#", "a.b.c", true}, {"#", "", true}, {"#", "a.b", true}, {"#.c", "a.b.c", true}, {"#.c", "c", true},
		{"#.c", "a.c.b", false}, {"a.#.c", "a.c", true}, {"a.#.c", "a.b.b.c", true}, {"*.#.*", "a", false}, {"*.#.*", "a.b", true},
		{"#.b.#", "a.b.c", true}, {"#.b.#", "a.c", false}, {"*", "", false}, {"a#", "ab", false},
	} {
		if got := wild(c.pattern, c.key); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.key, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		give   protocols.Reply
		code   string
		status int
		err    string
	}{
		{protocols.Reply{}, "406", 0, ""},
		{protocols.Reply{Message: "disk full"}, "506", 0, ""},
		{protocols.Reply{Message: "NOT_FOUND - no exchange 'x' in vhost '/'"}, "404", 404, ""},
		{protocols.Reply{Code: "access_refused"}, "403", 403, ""},
		{protocols.Reply{Code: "connection-forced"}, "320", 320, ""},
		{protocols.Reply{Status: 530}, "530", 530, ""},
		{protocols.Reply{Code: "nack"}, "NACK", 0, ""},
		{protocols.Reply{Code: "312"}, "", 0, "no error of a channel"},
		{protocols.Reply{Code: "999"}, "", 0, "404 NOT_FOUND"},
		{protocols.Reply{Headers: []protocols.Attr{{}}}, "", 0, "no headers"},
	} {
		r := c.give
		r.Error = true
		err := check(&r)
		if err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)) || err == nil && (c.err != "" || r.Code != c.code || r.Status != c.status) {
			t.Errorf("%+v: %+v, %v", c.give, r, err)
		}
	}
}

// BenchmarkDecode follows publishes and their confirms.
func BenchmarkDecode(b *testing.B) {
	const n = 64
	var sent, got []byte
	for i := range n {
		sent = appendMethod(sent, 1, basicPublish, append([]byte("\x00\x00\x06events\x0eorders.created"), 0)...)
		sent = append(sent, "\x02\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x00\x00\xce"...)
		sent = append(sent, "\x03\x00\x01\x00\x00\x00\x100123456789abcdef\xce"...)
		if i%8 == 7 {
			got = appendAck(got, 1, basicAck, 0, true)
		}
	}
	c := Protocol.New()
	drain := func(d protocols.Dir, buf []byte) {
		for len(buf) > 0 {
			f, n, err := c.Decode(d, buf)
			if n == 0 && f.ID == 0 || err != nil {
				b.Fatal(n, err)
			}
			buf = buf[n:]
		}
	}
	drain(protocols.ToServer, []byte("AMQP\x00\x00\x09\x01"))
	drain(protocols.ToServer, appendMethod(nil, 1, confirmSelect, 0))
	b.SetBytes(int64(len(sent) + len(got)))
	b.ReportAllocs()
	for b.Loop() {
		drain(protocols.ToServer, sent)
		drain(protocols.ToClient, got)
	}
}
