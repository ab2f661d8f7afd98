package mysql

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestCaptures(t *testing.T) {
	protocoltest.Captures(t, Protocol, "testdata", protocoltest.Rewrites)
}

func TestHostile(t *testing.T) { protocoltest.Hostile(t, Protocol, "testdata", protocoltest.Rewrites) }

// FuzzDecode sees connections that are never compressed: their bytes must come
// out as they went in.
func FuzzDecode(f *testing.F) {
	p := *Protocol
	p.New = func() protocols.Codec { return uncompressed{new(codec)} }
	protocoltest.Fuzz(f, &p, "testdata")
}

// uncompressed is a codec whose peers have not agreed on compression.
type uncompressed struct{ *codec }

func (c uncompressed) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if c.phase == handshake {
		c.caps.flags &^= clientCompress | clientZstd
	}
	return c.codec.Decode(d, buf)
}

func FuzzCompressed(f *testing.F) {
	protocoltest.Fuzz(f, Protocol, "testdata", protocoltest.Rewrites)
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		message, code, want, state string
		closes                     bool
	}{
		{"disk full", "", "1021", "HY000", false},
		{"Disk full (/tmp/x); waiting for someone to free some space...", "", "1021", "HY000", false},
		{"Deadlock found when trying to get lock; try restarting transaction", "", "1213", "40001", false},
		{"Lock wait timeout exceeded", "", "1205", "HY000", false},
		{"too many connections", "", "1040", "08004", true},
		{"The MySQL server is running with the --read-only option so it cannot execute this statement", "", "1290", "HY000", false},
		{"Table 't' is read only", "", "1036", "HY000", false},
		{"Cannot execute statement in a READ ONLY transaction.", "", "1792", "25006", false},
		{"Duplicate entry '1' for key 't.PRIMARY'", "", "1062", "23000", false},
		{"The table 't' is full", "", "1114", "HY000", false},
		{"Cannot add or update a child row: a foreign key constraint fails", "", "1452", "23000", false},
		{"Unknown column 'a' in 'field list'", "", "1054", "42S22", false},
		{"Table 'd.t' doesn't exist", "", "1146", "42S02", false},
		{"Query execution was interrupted", "", "1317", "70100", false},
		{"Server shutdown in progress", "", "1053", "08S01", true},
		{"MySQL server has gone away", "", "2006", "HY000", true},
		{"Out of memory", "", "1037", "HY001", false},
		{"FUNCTION shop.f does not exist", "", "1305", "42000", false},
		{"Table 'shop.function' doesn't exist", "", "1146", "42S02", false},
		{"CONSTRAINT `c` failed for `shop`.`t`", "", "4025", "23000", false},
		{"Incorrect date value: 'x' for column 'd' at row 1", "", "1292", "22007", false},
		{"BIGINT value is out of range in '(1 + 2)'", "", "1690", "22003", false},
		{"", "1055", "1055", "42000", false},
		{"", "42S21", "1060", "42S21", false},
		{"", "ER_DISK_FULL_NOWAIT", "3675", "HY000", false},
		{"something odd", "", "1105", "HY000", false},
		{"", "", "1105", "HY000", false},
		{"disk full", "1213", "1213", "40001", false},
		{"", "ER_LOCK_DEADLOCK", "1213", "40001", false},
		{"", "er_dup_entry", "1062", "23000", false},
		{"", "lock wait timeout", "1205", "HY000", false},
		{"", "40001", "1213", "40001", false},
		{"", "08s01", "1053", "08S01", true},
		{"", "HY000", "1105", "HY000", false},
		{"", "4711", "4711", "HY000", false},
	} {
		r := protocols.Reply{Error: true, Message: c.message, Code: c.code}
		err := Protocol.Check(&r)
		if err != nil || r.Code != c.want || r.Close != c.closes || r.Message == "" || !strings.Contains(string(errorPacket(1, &r)), "#"+c.state+r.Message) {
			t.Errorf("%q, code %q: got %+v (%v), want %s %s", c.message, c.code, r, err, c.want, c.state)
		}
	}
	for _, c := range []struct {
		reply protocols.Reply
		want  string
	}{
		{protocols.Reply{}, "use error("},
		{protocols.Reply{Error: true, Code: "12"}, "no error number"},
		{protocols.Reply{Error: true, Code: "99999"}, "SQLSTATE"},
		{protocols.Reply{Error: true, Code: "ER_LOCK_DEADLOK"}, `did you mean "ER_LOCK_DEADLOCK"?`},
		{protocols.Reply{Error: true, Code: "nonsense"}, "unknown code"},
		{protocols.Reply{Error: true, Status: 500}, "only"},
		{protocols.Reply{Error: true, Details: map[string]string{"severity": "FATAL"}}, "severity"},
		{protocols.Reply{Error: true, Message: "a\x00b"}, "zero byte"},
		{protocols.Reply{Error: true, Message: strings.Repeat("x", 513)}, "512"},
	} {
		if err := Protocol.Check(&c.reply); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v does not say %q", c.reply, err, c.want)
		}
	}
}

// started returns a codec whose client is logged in with those capabilities.
func started(t testing.TB, flags uint32) *codec {
	c := new(codec)
	hello := "\x0a9.7.4\x00" + strings.Repeat("\x00", 13) + "\xff\xff" + "\x2d\x02\x00" + "\xff\xdf" + strings.Repeat("\x00", 24)
	step(t, c, protocols.ToClient, packet(0, hello))
	step(t, c, protocols.ToServer, packet(1, string([]byte{byte(flags), byte(flags >> 8), byte(flags >> 16), byte(flags >> 24)}), strings.Repeat("\x00", 28), "root\x00"))
	step(t, c, protocols.ToClient, packet(2, "\x00\x00\x00\x02\x00\x00\x00"))
	return c
}

// step feeds buf and returns what is forwarded of it, and the last frame.
func step(t testing.TB, c *codec, d protocols.Dir, buf []byte) (out []byte, last protocols.Frame) {
	t.Helper()
	for len(buf) > 0 {
		f, n, err := c.Decode(d, buf[:min(len(buf), window)])
		if n == 0 || err != nil {
			t.Fatalf("%d bytes are left: %v", len(buf), err)
		}
		if f.Raw == nil {
			out = append(out, buf[:n]...)
		}
		out = append(out, f.Raw...)
		buf, last = buf[n:], f
	}
	return out, last
}

const plain = clientProtocol41 | clientDeprecateEOF

// TestLarge: packets that continue others may look like anything.
func TestLarge(t *testing.T) {
	c := started(t, plain)
	step(t, c, protocols.ToServer, packet(0, "\x03SELECT big"))
	definition := packet(2, "\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x0b\x00\x00\x00\x08\x81\x00\x00\x00\x00")
	row := packet(3, "\xfe\x00\x00\x00\x01\x00\x00\x00\x00", strings.Repeat("y", maxPayload-9))
	answer := bytes.Join([][]byte{packet(1, "\x01"), definition, row, packet(4, "\xff\xff\xff", "y"), packet(5, "\xfe\x00\x00\x02\x00\x00\x00")}, nil)
	if out, f := step(t, c, protocols.ToClient, answer); !bytes.Equal(out, answer) || f.ID != 1 || !f.End || f.Err != "" {
		t.Errorf("the answer ends with %+v", f)
	}
	for _, tt := range []struct{ code, instead string }{{"1205", "\x0e"}, {"1213", "\x03ROLLBACK"}} {
		statement := bytes.Join([][]byte{packet(0, "\x03SELECT '", strings.Repeat("x", maxPayload-9)), packet(1, "x'")}, nil)
		f, n, err := c.Decode(protocols.ToServer, statement[:window])
		if err != nil || len(f.Items) != 1 || len(f.Items[0].Text) < 60000 || !f.More {
			t.Fatalf("%+v %v", f, err)
		}
		r := &protocols.Reply{Error: true, Code: tt.code}
		check(r)
		forward, back := c.Apply(protocols.ToServer, f, statement[:n], []protocols.Fate{{Act: protocols.Answer, Reply: r}})
		if forward == nil || len(forward) > 0 || back != nil {
			t.Errorf("refused: %q %q", forward, back)
		}
		if _, f := step(t, c, protocols.ToServer, statement[n:]); string(f.Raw) != string(packet(0, tt.instead)) || !f.End {
			t.Errorf("the server hears %q in the end", f.Raw)
		}
		if out, f := step(t, c, protocols.ToClient, packet(1, "\x00\x00\x00\x02\x00\x00\x00")); !bytes.Equal(out, errorPacket(2, r)) || !f.End {
			t.Errorf("the client hears %q", out)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	bench := func(request []byte, answers ...[]byte) func(*testing.B) {
		return func(b *testing.B) {
			c := started(b, plain)
			prepare := packet(0, "\x16SELECT c FROM sbtest1 WHERE id=?")
			step(b, c, protocols.ToServer, prepare)
			step(b, c, protocols.ToClient, packet(1, "\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
			answer := bytes.Join(answers, nil)
			b.ReportAllocs()
			b.SetBytes(int64(len(request) + len(answer)))
			for b.Loop() {
				for _, half := range []struct {
					d   protocols.Dir
					buf []byte
				}{{protocols.ToServer, request}, {protocols.ToClient, answer}} {
					for buf := half.buf; len(buf) > 0; {
						_, n, err := c.Decode(half.d, buf)
						if n == 0 || err != nil {
							b.Fatal(n, err)
						}
						buf = buf[n:]
					}
				}
			}
		}
	}
	columns := bytes.Join([][]byte{packet(1, "\x01"), packet(2, "\x03def\x00\x00\x00\x01a\x00\x0c\x3f\x00\x0b\x00\x00\x00\x08\x81\x00\x00\x00\x00")}, nil)
	row := packet(3, "\x0a0123456789")
	end := packet(4, "\xfe\x00\x00\x02\x00\x00\x00")
	b.Run("query", bench(packet(0, "\x03SELECT c FROM sbtest1 WHERE id=4711"), columns, row, end))
	b.Run("100 rows", bench(packet(0, "\x03SELECT c FROM sbtest1 WHERE id BETWEEN 4711 AND 4810"), columns, bytes.Repeat(row, 100), end))
	b.Run("prepared", bench(packet(0, "\x17\x01\x00\x00\x00\x00\x01\x00\x00\x00"), columns, row, end))
	b.Run("OK", bench(packet(0, "\x03COMMIT"), packet(1, "\x00\x00\x00\x02\x00\x00\x00")))
}

// A compressed packet that would fill the memory is unpacked as far as it may
// be long, or not at all.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 16*maxPayload)
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	w.Write(zeros)
	w.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for flags, content := range map[uint32][]byte{clientCompress: deflated.Bytes(), clientZstd: encoder.EncodeAll(zeros, nil)} {
		n := len(content)
		packet := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, 0xff, 0xff, 0xff}, content...)
		out, err := newPacking(flags).unpack(nil, packet)
		if len(out) > maxPayload || flags == clientZstd && err == nil {
			t.Errorf("flags %x: %d bytes, %v", flags, len(out), err)
		}
	}
}
