package nats

import (
	"strconv"
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
		pattern, subject string
		want             bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.b", "a", false}, {"a", "a.b", false},
		{"a.*", "a.b", true}, {"a.*", "a.b.c", false}, {"a.*", "a", false}, {"*.b", "a.b", true}, {"*.b", "a.b.b", false},
		{"a.>", "a.b", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {">", "a", true}, {">", "a.b", true},
		{"*.>", "a.b", true}, {"*.>", "a", false}, {">.a", "b.a", false}, {"a*.b", "ab.b", false}, {"a.*", "a.", false},
	} {
		if got := wild(c.pattern, c.subject); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.subject, got)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		give protocols.Reply
		want string // code, message, status, close; or an error's part
	}{
		{protocols.Reply{}, "503||0|false"},
		{protocols.Reply{Message: "no responders"}, "503|no responders|0|false"},
		{protocols.Reply{Message: "Permissions Violation for Publish to \"x\""}, "PERMISSIONS_VIOLATION|Permissions Violation for Publish to \"x\"|0|false"},
		{protocols.Reply{Message: "unauthorized"}, "AUTHORIZATION_VIOLATION|Authorization Violation|0|true"},
		{protocols.Reply{Message: "disk full"}, "10047|disk full|0|false"},
		{protocols.Reply{Code: "stale connection"}, "STALE_CONNECTION|Stale Connection|0|true"},
		{protocols.Reply{Code: "10059"}, "10059|stream not found|404|false"},
		{protocols.Reply{Status: 503}, "503||503|false"},
		{protocols.Reply{Code: "10999"}, "give message="},
		{protocols.Reply{Code: "10999", Message: "x"}, "10999|x|500|false"},
		{protocols.Reply{Code: "ENOSPC"}, "must be a status such as 503"},
		{protocols.Reply{Message: "a\nb"}, "must be one line"},
	} {
		r := c.give
		r.Error = true
		got := ""
		if err := check(&r); err != nil {
			got = err.Error()
			if strings.Contains(got, c.want) {
				continue
			}
		} else {
			got = strings.Join([]string{r.Code, r.Message, strconv.Itoa(r.Status), map[bool]string{true: "true", false: "false"}[r.Close]}, "|")
		}
		if got != c.want {
			t.Errorf("%+v: %s, want %s", c.give, got, c.want)
		}
	}
	if err := check(&protocols.Reply{Value: "x"}); err == nil {
		t.Error("a response was taken")
	}
}

// BenchmarkDecode follows messages that are published and delivered.
func BenchmarkDecode(b *testing.B) {
	const n = 64
	sent := []byte(strings.Repeat("PUB orders.created 16\r\n0123456789abcdef\r\n", n))
	got := []byte(strings.Repeat("MSG orders.created 1 16\r\n0123456789abcdef\r\n", n))
	c := &codec{}
	drain := func(d protocols.Dir, buf []byte) {
		for len(buf) > 0 {
			_, n, err := c.Decode(d, buf)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			buf = buf[n:]
		}
	}
	drain(protocols.ToServer, []byte("SUB orders.* 1\r\n"))
	b.SetBytes(int64(len(sent) + len(got)))
	b.ReportAllocs()
	for b.Loop() {
		drain(protocols.ToServer, sent)
		drain(protocols.ToClient, got)
	}
}
