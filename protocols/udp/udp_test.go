package udp

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
		"":                         "",
		"a.b:1|c\n":                `a.b:1|c\n`,
		"\x00\x7f\xff":             `\x00\x7f\xff`,
		strings.Repeat("a", 64):    strings.Repeat("a", 64),
		strings.Repeat("\x01", 70): strings.Repeat(`\x01`, 64) + "…",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("text(%.10q…) is %q, want %q", in, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		reply protocols.Reply
		code  string
		ok    bool
	}{
		{protocols.Reply{Error: true}, "SERVFAIL", true},
		{protocols.Reply{Error: true, Message: "no such host"}, "NXDOMAIN", true},
		{protocols.Reply{Error: true, Code: "500"}, "500", false},
		{protocols.Reply{Value: "bye"}, "", true},
		{protocols.Reply{Value: []any{"10.0.0.1", "fd00::1"}}, "", true},
		{protocols.Reply{Value: []any{"db"}}, "", false},
		{protocols.Reply{}, "", true},
		{protocols.Reply{Status: 500}, "", false},
		{protocols.Reply{Value: int64(5)}, "", false},
	} {
		err := Protocol.Check(&c.reply)
		if (err == nil) != c.ok || c.reply.Code != c.code {
			t.Errorf("%+v: %v", c.reply, err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c := Protocol.New()
	buf := []byte("checkout.latency:12|ms|#env:test")
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		c.Decode(protocols.ToServer, buf)
	}
}
