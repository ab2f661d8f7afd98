package tcp

import (
	"strings"
	"testing"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"GET /\r\n":                  `GET /\r\n`,
		"\x00\x7f\xff":               `\x00\x7f\xff`,
		strings.Repeat("a", 64):      strings.Repeat("a", 64),
		strings.Repeat("\x00", 9999): strings.Repeat(`\x00`, 64) + "…",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("text(%.10q…) is %q, want %q", in, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		reply protocols.Reply
		ok    bool
	}{
		{protocols.Reply{Error: true}, true},
		{protocols.Reply{Value: "bye"}, true},
		{protocols.Reply{}, true},
		{protocols.Reply{Error: true, Message: "no"}, false},
		{protocols.Reply{Error: true, Code: "X"}, false},
		{protocols.Reply{Status: 500}, false},
		{protocols.Reply{Value: 5}, false},
	} {
		err := Protocol.Check(&c.reply)
		if (err == nil) != c.ok || err == nil && (c.reply.Reset != c.reply.Error || c.reply.Close == c.reply.Error) {
			t.Errorf("%+v: %v", c.reply, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c := Protocol.New()
	buf := make([]byte, 32<<10)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		c.Decode(protocols.ToServer, buf)
	}
}
