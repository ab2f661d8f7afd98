package dns

import (
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestStreamScripts(t *testing.T) { protocoltest.Run(t, Protocol.Stream, "testdata/tcp") }

func FuzzStream(f *testing.F) { protocoltest.Fuzz(f, Protocol.Stream, "testdata/tcp") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		reply protocols.Reply
		code  string
		ok    bool
	}{
		{protocols.Reply{Error: true}, "SERVFAIL", true},
		{protocols.Reply{Error: true, Message: "disk full"}, "SERVFAIL", true},
		{protocols.Reply{Error: true, Message: "Name or service not known"}, "NXDOMAIN", true},
		{protocols.Reply{Error: true, Message: "Connection refused"}, "REFUSED", true},
		{protocols.Reply{Error: true, Message: "refused", Code: "nxdomain"}, "NXDOMAIN", true},
		{protocols.Reply{Error: true, Code: "4"}, "NOTIMP", true},
		{protocols.Reply{Error: true, Code: "truncated"}, "TRUNCATED", true},
		{protocols.Reply{Error: true, Code: "0"}, "0", false},
		{protocols.Reply{Error: true, Code: "SERVFIAL"}, "SERVFIAL", false},
		{protocols.Reply{Error: true, Status: 500}, "", false},
		{protocols.Reply{}, "", true},
		{protocols.Reply{Value: "10.0.0.1"}, "", true},
		{protocols.Reply{Value: "10.0.0"}, "", false},
		{protocols.Reply{Value: "fe80::1%eth0"}, "", false},
		{protocols.Reply{Value: []any{"::1", int64(1)}}, "", false},
	} {
		err := Check(&c.reply)
		if (err == nil) != c.ok || c.reply.Code != c.code {
			t.Errorf("%+v: %v", c.reply, err)
		}
	}
}

// A client that sends and never listens must not take memory without end.
func TestPendingIsBounded(t *testing.T) {
	c := new(Codec)
	for range 10 * maxPending {
		c.Decode(protocols.ToServer, ask(t, "db.shop."))
	}
	if n := cap(c.pending); n > 2*maxPending {
		t.Errorf("%d queries are kept", n)
	}
}

func ask(tb testing.TB, name string) []byte {
	b := dnsmessage.NewBuilder(nil, dnsmessage.Header{ID: 7, RecursionDesired: true})
	b.StartQuestions()
	b.Question(dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET})
	msg, err := b.Finish()
	if err != nil {
		tb.Fatal(err)
	}
	return msg
}

func BenchmarkExchange(b *testing.B) {
	c := new(Codec)
	query := ask(b, "orders.internal.example.")
	answer := append([]byte(nil), query...)
	answer[2] |= 0x80
	b.ReportAllocs()
	for b.Loop() {
		c.Decode(protocols.ToServer, query)
		if f, _, _ := c.Decode(protocols.ToClient, answer); f.ID == 0 {
			b.Fatal("the answer was not known")
		}
	}
}
