package postgres

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
	for _, c := range []struct{ message, code, want, severity string }{
		{"disk full", "", "53100", "ERROR"},
		{"could not extend file \"base/1\": No space left on device", "", "53100", "ERROR"},
		{"deadlock detected", "", "40P01", "ERROR"},
		{"could not serialize access due to concurrent update", "", "40001", "ERROR"},
		{"sorry, too many clients already", "", "53300", "FATAL"},
		{"out of memory", "", "53200", "ERROR"},
		{"duplicate key value violates unique constraint \"users_pkey\"", "", "23505", "ERROR"},
		{"canceling statement due to statement timeout", "", "57014", "ERROR"},
		{"canceling statement due to lock timeout", "", "55P03", "ERROR"},
		{"terminating connection due to administrator command", "", "57P01", "FATAL"},
		{"cannot execute INSERT in a read-only transaction", "", "25006", "ERROR"},
		{"the database system is starting up", "", "57P03", "FATAL"},
		{"relation \"users\" does not exist", "", "42P01", "ERROR"},
		{"column \"a\" of relation \"users\" does not exist", "", "42703", "ERROR"},
		{"relation \"users\" already exists", "", "42P07", "ERROR"},
		{"permission denied for table users", "", "42501", "ERROR"},
		{"relation \"user_roles\" does not exist", "", "42P01", "ERROR"},
		{"constraint \"c\" of relation \"f\" does not exist", "", "42704", "ERROR"},
		{"could not read block 0 in file \"base/1\": read only 0 of 8192 bytes", "", "XX001", "ERROR"},
		{"canceling statement due to conflict with recovery", "", "40001", "ERROR"},
		{"terminating connection due to conflict with recovery", "", "40001", "FATAL"},
		{"cannot execute LOCK TABLE during recovery", "", "25006", "ERROR"},
		{"the database system is not yet accepting connections", "", "57P03", "FATAL"},
		{"query_wait_timeout", "", "08P01", "FATAL"},
		{"", "protocol_violation", "08P01", "ERROR"},
		{"Disk Full", "", "53100", "ERROR"},
		{"lock not available", "", "55P03", "ERROR"},
		{"something odd", "", "XX000", "ERROR"},
		{"", "", "XX000", "ERROR"},
		{"disk full", "40001", "40001", "ERROR"},
		{"", "disk_full", "53100", "ERROR"},
		{"", "Serialization_Failure", "40001", "ERROR"},
		{"", "P0001", "P0001", "ERROR"},
	} {
		r := protocols.Reply{Error: true, Message: c.message, Code: c.code}
		if err := Protocol.Check(&r); err != nil || r.Code != c.want || r.Details["severity"] != c.severity || r.Close != (c.severity == "FATAL") || r.Message == "" {
			t.Errorf("%q, code %q: got %s %s %q (%v), want %s %s", c.message, c.code, r.Details["severity"], r.Code, r.Message, err, c.severity, c.want)
		}
	}
	for _, c := range []struct {
		reply protocols.Reply
		want  string
	}{
		{protocols.Reply{}, "use error("},
		{protocols.Reply{Error: true, Code: "1213"}, "unknown code"},
		{protocols.Reply{Error: true, Code: "serialisation_failure"}, `did you mean "serialization_failure"?`},
		{protocols.Reply{Error: true, Code: "00000"}, "not an error"},
		{protocols.Reply{Error: true, Code: "abcde"}, "unknown code"},
		{protocols.Reply{Error: true, Status: 500}, "only"},
		{protocols.Reply{Error: true, Message: "a\x00b"}, "zero byte"},
		{protocols.Reply{Error: true, Details: map[string]string{"severity": "loud"}}, "unknown severity"},
		{protocols.Reply{Error: true, Details: map[string]string{"details": "x"}}, "unknown part"},
	} {
		if err := Protocol.Check(&c.reply); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v does not say %q", c.reply, err, c.want)
		}
	}
}

// started returns a codec after its connection's startup.
func started() protocols.Codec {
	c := Protocol.New()
	c.Decode(protocols.ToServer, []byte("\x00\x00\x00\x08\x00\x03\x00\x00"))
	c.Decode(protocols.ToClient, []byte("Z\x00\x00\x00\x05I"))
	return c
}

func bench(b *testing.B, request, answer []byte) {
	c := started()
	step := func(d protocols.Dir, buf []byte) {
		for len(buf) > 0 {
			_, n, err := c.Decode(d, buf)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			buf = buf[n:]
		}
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(request) + len(answer)))
	for b.Loop() {
		step(protocols.ToServer, request)
		step(protocols.ToClient, answer)
	}
}

var row = message('D', "\x00\x01\x00\x00\x00\x0a0123456789")

func BenchmarkDecode(b *testing.B) {
	done := string(message('C', "SELECT 100\x00")) + string(message('Z', "I"))
	rows := strings.Repeat(string(row), 100) + done
	b.Run("simple", func(b *testing.B) {
		bench(b, query("SELECT abalance FROM pgbench_accounts WHERE aid = 1"), []byte(string(message('T', "\x00\x00"))+rows))
	})
	b.Run("extended", func(b *testing.B) {
		bench(b, []byte(string(message('P', "\x00SELECT abalance FROM pgbench_accounts WHERE aid = $1\x00\x00\x00"))+
			string(message('B', "\x00\x00\x00\x00\x00\x01\x00\x00\x00\x011\x00\x00"))+string(message('D', "P\x00"))+string(execute(""))+string(message('S'))),
			[]byte(string(message('1'))+string(message('2'))+string(message('T', "\x00\x00"))+rows))
	})
	b.Run("prepared", func(b *testing.B) {
		bench(b, []byte(string(message('B', "\x00s1\x00\x00\x00\x00\x01\x00\x00\x00\x011\x00\x00"))+string(execute(""))+string(message('S'))),
			[]byte(string(message('2'))+string(row)+done))
	})
}
