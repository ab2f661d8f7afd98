package memcached

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
		message, code, wantCode, wantMessage string
		status                               int
	}{
		{"out of memory storing object", "", "SERVER_ERROR", "out of memory storing object", 0x82},
		{"Out Of Memory", "", "SERVER_ERROR", "Out Of Memory", 0x82},
		{"SERVER_ERROR busy", "", "SERVER_ERROR", "busy", 0x85},
		{"CLIENT_ERROR bad data chunk", "", "CLIENT_ERROR", "bad data chunk", 0x04},
		{"ERROR", "", "ERROR", "", 0x81},
		{"anything", "", "SERVER_ERROR", "anything", 0x84},
		{"anything", "CLIENT_ERROR", "CLIENT_ERROR", "anything", 0x04},
		{"out of memory", "SERVER_ERROR", "SERVER_ERROR", "out of memory", 0x82},
		{"", "", "SERVER_ERROR", "internal error", 0x84},
		{"", "ENOMEM", "SERVER_ERROR", "out of memory storing object", 0x82},
		{"ERROR Too many open connections", "", "ERROR", "Too many open connections", 0x85},
		{"unknown command", "", "ERROR", "", 0x81},
		{"", "EBUSY", "SERVER_ERROR", "Server is busy", 0x85},
		{"", "0x86", "SERVER_ERROR", "Temporary failure", 0x86},
		{"", "server_error", "SERVER_ERROR", "internal error", 0x84},
	} {
		r := protocols.Reply{Error: true, Message: c.message, Code: c.code}
		if err := Protocol.Check(&r); err != nil || r.Code != c.wantCode || r.Message != c.wantMessage || r.Status != c.status || r.Close != strings.Contains(r.Message, "open connections") {
			t.Errorf("%q, code %q: got %+v (%v)", c.message, c.code, r, err)
		}
	}
	for _, c := range []struct {
		reply protocols.Reply
		want  string
	}{
		{protocols.Reply{Error: true, Code: "nonsense"}, "unknown code"},
		{protocols.Reply{Error: true, Message: "a\r\nb"}, "one line"},
		{protocols.Reply{Message: "x"}, "value= alone"},
		{protocols.Reply{Status: 500}, "no status"},
		{protocols.Reply{Value: []any{}}, "cannot write"},
		{protocols.Reply{Value: map[string]any{"a": map[string]any{}}}, "is a dict"},
		{protocols.Reply{Error: true, Headers: []protocols.Attr{{Name: "a"}}}, "headers"},
	} {
		if err := Protocol.Check(&c.reply); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v does not say %q", c.reply, err, c.want)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, c := range map[string][2]string{
		"get":    {"get some-key-or-other\r\n", "VALUE some-key-or-other 0 10\r\n0123456789\r\nEND\r\n"},
		"set":    {"set some-key-or-other 0 0 1000\r\n" + strings.Repeat("x", 1000) + "\r\n", "STORED\r\n"},
		"mg":     {"mg some-key-or-other v\r\n", "VA 10\r\n0123456789\r\n"},
		"binary": {"\x80\x00\x00\x03" + strings.Repeat("\x00", 7) + "\x03" + strings.Repeat("\x00", 12) + "key", "\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x08" + strings.Repeat("\x00", 16) + "1234"},
	} {
		b.Run(name, func(b *testing.B) {
			codec := Protocol.New()
			halves := [2][]byte{[]byte(c[0]), []byte(c[1])}
			b.ReportAllocs()
			b.SetBytes(int64(len(c[0]) + len(c[1])))
			for b.Loop() {
				for d, buf := range halves {
					for len(buf) > 0 {
						_, n, err := codec.Decode(protocols.Dir(d), buf)
						if n == 0 || err != nil {
							b.Fatal(n, err)
						}
						buf = buf[n:]
					}
				}
			}
		})
	}
}
