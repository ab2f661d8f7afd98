package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
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
	for _, c := range []struct{ message, code, want string }{
		{"not leader", "", "NOT_LEADER_OR_FOLLOWER"},
		{"timeout", "", "REQUEST_TIMED_OUT"},
		{"unknown topic", "", "UNKNOWN_TOPIC_OR_PARTITION"},
		{"rebalance", "", "REBALANCE_IN_PROGRESS"},
		{"The group is rebalancing, so a rejoin is needed.", "", "REBALANCE_IN_PROGRESS"},
		{"record too large", "", "MESSAGE_TOO_LARGE"},
		{"not enough replicas", "", "NOT_ENOUGH_REPLICAS"},
		{"leader not available", "", "LEADER_NOT_AVAILABLE"},
		{"disk full", "", "KAFKA_STORAGE_ERROR"},
		{"illegal sasl state", "", "ILLEGAL_SASL_STATE"},
		{"something odd", "", "UNKNOWN_SERVER_ERROR"},
		{"", "", "UNKNOWN_SERVER_ERROR"},
		{"disk full", "6", "NOT_LEADER_OR_FOLLOWER"},
		{"", "-1", "UNKNOWN_SERVER_ERROR"},
		{"", "136", "CONTROLLER_ID_NOT_REGISTERED"},
		{"", "133", "SHARE_SESSION_LIMIT_REACHED"},
		{"", "not_leader_for_partition", "NOT_LEADER_OR_FOLLOWER"},
		{"", "Not-Enough-Replicas", "NOT_ENOUGH_REPLICAS"},
	} {
		r := protocols.Reply{Error: true, Message: c.message, Code: c.code}
		if err := Protocol.Check(&r); err != nil || r.Code != c.want || r.Message == "" {
			t.Errorf("%q, code %q: got %s %q (%v), want %s", c.message, c.code, r.Code, r.Message, err, c.want)
		}
	}
	for _, c := range []struct {
		reply protocols.Reply
		want  string
	}{
		{protocols.Reply{}, "use error("},
		{protocols.Reply{Error: true, Code: "0"}, "success"},
		{protocols.Reply{Error: true, Code: "NONE"}, "success"},
		{protocols.Reply{Error: true, Code: "4711"}, "unknown code"},
		{protocols.Reply{Error: true, Code: "NOT_ENOUGH_REPLICA"}, `did you mean "NOT_ENOUGH_REPLICAS"?`},
		{protocols.Reply{Error: true, Status: 500}, "only"},
		{protocols.Reply{Error: true, Details: map[string]string{"x": "y"}}, "only"},
	} {
		if err := Protocol.Check(&c.reply); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v does not say %q", c.reply, err, c.want)
		}
	}
}

// Sequence numbers begin anew behind 2^31-1.
func TestSequenceWraps(t *testing.T) {
	var s sequence
	const last = sequenceMask
	s.add(last-1, -1)
	s.add(last, -1)
	s.add(0, 1)
	for _, c := range []struct{ number, want int32 }{{last - 1, last - 1}, {0, last - 1}, {1, 0}, {5, 4}} {
		if got := s.moved(c.number); got != c.want {
			t.Errorf("%d moved to %d, want %d", c.number, got, c.want)
		}
	}
	if s.at(last) != -1 || s.at(0) != 1 || s.at(7) != 0 {
		t.Errorf("at: %d %d %d", s.at(last), s.at(0), s.at(7))
	}
	for i := range int32(maxPoints) {
		s.add(1+i, -1)
	}
	if got := s.moved(maxPoints + 1); got != maxPoints+1-1-maxPoints&sequenceMask || len(s.points) > maxPoints {
		t.Errorf("after many points: %d, %d kept", got, len(s.points))
	}
}

// appendRecord appends a record without headers to the records of a batch.
func appendRecord(body []byte, delta int, key, value string) []byte {
	rec := binary.AppendVarint([]byte{0, 0}, int64(delta))
	rec = append(binary.AppendVarint(rec, int64(len(key))), key...)
	rec = append(binary.AppendVarint(rec, int64(len(value))), value...)
	rec = append(rec, 0)
	return append(binary.AppendVarint(body, int64(len(rec))), rec...)
}

// batchOf returns a batch with that body.
func batchOf(count, attributes int, body []byte) []byte {
	raw := append(make([]byte, batchHeader), body...)
	binary.BigEndian.PutUint32(raw[atLength:], uint32(len(raw)-12))
	raw[atMagic] = 2
	binary.BigEndian.PutUint16(raw[atAttributes:], uint16(attributes))
	binary.BigEndian.PutUint32(raw[atLastDelta:], uint32(count-1))
	binary.BigEndian.PutUint64(raw[atProducerID:], 1<<64-1)
	binary.BigEndian.PutUint32(raw[atCount:], uint32(count))
	return sum(raw)
}

// request returns a Produce request, version 3, with one batch.
func request(correlation int, batch []byte) []byte {
	b := []byte{0, 0, 0, 0, 0, 0, 0, 3}
	b = binary.BigEndian.AppendUint32(b, uint32(correlation))
	b = append(b, "\x00\x01c\xff\xff\xff\xff\x00\x00\x03\xe8\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(batch)))
	return sized32(append(b, batch...))
}

// A batch that would fill the memory counts as one message and can be lost whole.
func TestBomb(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	zeros := make([]byte, 1<<20)
	for range 4 * maxBody / len(zeros) {
		w.Write(zeros)
	}
	w.Close()
	c := newCodec(newShared())
	raw := request(1, batchOf(7, 1, bomb.Bytes()))
	f, n, err := c.Decode(protocols.ToServer, raw)
	if err != nil || n != len(raw) || len(f.Items) != 1 {
		t.Fatalf("%d of %d bytes, %d items, %v", n, len(raw), len(f.Items), err)
	}
	forward, back := c.Apply(protocols.ToServer, f, raw, []protocols.Fate{{Act: protocols.Lose}})
	if forward != nil || back == nil {
		t.Error("the batch was not lost")
	}
}

// A message that is longer than what is looked at whole passes in pieces.
func TestLong(t *testing.T) {
	c := newCodec(newShared())
	raw := request(1, batchOf(1, 0, appendRecord(nil, 0, "k", strings.Repeat("v", Window))))
	f, n, err := c.Decode(protocols.ToServer, raw[:Window])
	if err != nil || n != Window || !f.More || f.End {
		t.Fatalf("%d bytes, %+v, %v", n, f, err)
	}
	f, n, err = c.Decode(protocols.ToServer, raw[Window:])
	if err != nil || n != len(raw)-Window || f.More || !f.End {
		t.Fatalf("%d bytes, %+v, %v", n, f, err)
	}
}

// A fault that comes to nothing beside others that do not is told so.
func TestComesToNothing(t *testing.T) {
	batch := batchOf(2, 0, appendRecord(appendRecord(nil, 0, "a", "1"), 1, "b", "2"))
	answer := []byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 20))
	answer = sized32(append(binary.BigEndian.AppendUint32(answer, uint32(len(batch))), batch...))
	ask := sized32([]byte("\x00\x00\x00\x00\x00\x01\x00\x04\x00\x00\x00\x01\x00\x01c\xff\xff\xff\xff\x00\x00\x01\xf4\x00\x00\x00\x01\x00\x00\x03\xe8\x00\x00\x00\x00\x00"))
	c := newCodec(newShared())
	c.Decode(protocols.ToServer, ask)
	f, n, err := c.Decode(protocols.ToClient, answer)
	fates := []protocols.Fate{{Act: protocols.Lose}, {Act: protocols.Twice}}
	if forward, _ := c.Apply(protocols.ToClient, f, answer[:n], fates); err != nil || len(forward) >= len(answer) {
		t.Fatalf("%d bytes of %d, %v", len(forward), len(answer), err)
	}
	if fates[0].Act != protocols.Lose || fates[1].Act != protocols.Pass {
		t.Errorf("fates %v", fates)
	}
}

func BenchmarkDecode(b *testing.B) {
	var plain []byte
	for i := range 100 {
		plain = appendRecord(plain, i, fmt.Sprint("key", i), strings.Repeat("v", 100))
	}
	for _, c := range []struct {
		name string
		raw  []byte
	}{
		{"produce", request(1, batchOf(100, 0, plain))},
		{"produce-gzip", request(1, batchOf(100, 1, deflate(plain)))},
		{"produce-one", request(1, batchOf(1, 0, appendRecord(nil, 0, "key", "value")))},
	} {
		answer := []byte("\x00\x00\x00\x2a\x00\x00\x00\x01\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 8) + strings.Repeat("\xff", 8) + "\x00\x00\x00\x00")
		binary.BigEndian.PutUint32(answer, uint32(len(answer)-4))
		b.Run(c.name, func(b *testing.B) {
			codec := newCodec(newShared())
			b.ReportAllocs()
			b.SetBytes(int64(len(c.raw)))
			for b.Loop() {
				for d, raw := range [][]byte{c.raw, answer} {
					if _, n, err := codec.Decode(protocols.Dir(d), raw); n != len(raw) || err != nil {
						b.Fatal(n, err)
					}
				}
			}
		})
	}
	b.Run("fetch", func(b *testing.B) {
		batch := batchOf(100, 0, plain)
		answer := []byte("\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 20))
		answer = sized32(append(binary.BigEndian.AppendUint32(answer, uint32(len(batch))), batch...))
		ask := []byte("\x00\x00\x00\x00\x00\x01\x00\x04\x00\x00\x00\x01\x00\x01c\xff\xff\xff\xff\x00\x00\x01\xf4\x00\x00\x00\x01\x00\x00\x03\xe8\x00\x00\x00\x00\x00")
		sized32(ask)
		codec := newCodec(newShared())
		b.ReportAllocs()
		b.SetBytes(int64(len(answer)))
		for b.Loop() {
			codec.Decode(protocols.ToServer, ask)
			if f, n, err := codec.Decode(protocols.ToClient, answer); n != len(answer)-1 || err != nil || len(f.Items) != 100 {
				b.Fatal(n, err, len(f.Items))
			}
			codec.Decode(protocols.ToClient, answer[len(answer)-1:])
		}
	})
}

// TestShared: what one connection learns of topic ids the others of the same
// system know, and no other.
func TestShared(t *testing.T) {
	one, other := Protocol.OfSystem(), Protocol.OfSystem()
	id := [16]byte{1, 2, 3}
	one.New().(*codec).names.learn(id, "orders")
	if got := one.New().(*codec).topic("", id); got != "orders" {
		t.Errorf("a connection of the same system calls it %q", got)
	}
	for _, p := range []*protocols.Protocol{other, Protocol} {
		if got := p.New().(*codec).topic("", id); got != "AQIDAAAAAAAAAAAAAAAAAA" {
			t.Errorf("a connection of another system calls it %q", got)
		}
	}
}
