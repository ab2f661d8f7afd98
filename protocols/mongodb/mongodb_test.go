package mongodb

import (
	"bytes"
	"compress/zlib"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/wiremessage"

	"faultbox/protocols"
	"faultbox/protocols/protocoltest"
)

func TestScripts(t *testing.T) { protocoltest.Run(t, Protocol, "testdata") }

func TestCaptures(t *testing.T) { protocoltest.Captures(t, Protocol, "testdata") }

func TestHostile(t *testing.T) { protocoltest.Hostile(t, Protocol, "testdata") }

func FuzzDecode(f *testing.F) { protocoltest.Fuzz(f, Protocol, "testdata") }

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		reply   protocols.Reply
		code    string // completed
		message string
		reason  string // part of the error
	}{
		{protocols.Reply{Error: true, Message: "not primary"}, "10107", "not primary", ""},
		{protocols.Reply{Error: true, Message: "NotWritablePrimary"}, "10107", "NotWritablePrimary", ""},
		{protocols.Reply{Error: true, Message: "write conflict"}, "112", "write conflict", ""},
		{protocols.Reply{Error: true, Message: "WriteConflict error: this operation conflicted"}, "112", "WriteConflict error: this operation conflicted", ""},
		{protocols.Reply{Error: true, Message: "exceeded time limit"}, "262", "exceeded time limit", ""},
		{protocols.Reply{Error: true, Message: "timeout"}, "262", "timeout", ""},
		{protocols.Reply{Error: true, Message: "operation exceeded time limit"}, "50", "operation exceeded time limit", ""},
		{protocols.Reply{Error: true, Message: "E11000 duplicate key error collection: a.b"}, "11000", "E11000 duplicate key error collection: a.b", ""},
		{protocols.Reply{Error: true, Message: "disk full"}, "14031", "disk full", ""},
		{protocols.Reply{Error: true, Message: "not authorized on db to execute command"}, "13", "not authorized on db to execute command", ""},
		{protocols.Reply{Error: true, Message: "cursor id 123 not found"}, "43", "cursor id 123 not found", ""},
		{protocols.Reply{Error: true, Message: "primary stepped down"}, "189", "primary stepped down", ""},
		{protocols.Reply{Error: true, Message: "InterruptedDueToReplStateChange"}, "11602", "InterruptedDueToReplStateChange", ""},
		{protocols.Reply{Error: true, Message: "interrupted at shutdown"}, "11600", "interrupted at shutdown", ""},
		{protocols.Reply{Error: true, Message: "Unable to acquire lock"}, "24", "Unable to acquire lock", ""},
		{protocols.Reply{Error: true, Message: "ns not found"}, "26", "ns not found", ""},
		{protocols.Reply{Error: true, Message: "whatever"}, "1", "whatever", ""},
		{protocols.Reply{Error: true}, "1", "injected fault", ""},
		{protocols.Reply{Error: true, Message: "x", Code: "writeconflict"}, "112", "x", ""},
		{protocols.Reply{Error: true, Code: "189"}, "189", "primary stepped down", ""},
		{protocols.Reply{Error: true, Code: "12345"}, "12345", "Location12345", ""},
		{protocols.Reply{Error: true, Code: "0"}, "", "", "greater than 0"},
		{protocols.Reply{Error: true, Code: "NoSuch"}, "", "", "WriteConflict"},
		{protocols.Reply{Error: true, Status: 500}, "", "", "no status"},
		{protocols.Reply{Error: true, Message: "a\x00b"}, "", "", "NUL"},
		{protocols.Reply{Value: "x"}, "", "", "no response"},
	} {
		r := c.reply
		err := Protocol.Check(&r)
		if (err == nil) != (c.reason == "") || err != nil && !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%+v: %v", c.reply, err)
		}
		if c.reason == "" && (r.Code != c.code || r.Message != c.message) {
			t.Errorf("%+v: completed to %s %q", c.reply, r.Code, r.Message)
		}
	}
}

// A name stands for one code and a code for one name.
func TestCodes(t *testing.T) {
	seen := map[any]bool{}
	for _, c := range codes {
		if seen[c.number] || seen[strings.ToLower(c.name)] {
			t.Errorf("%d %s is there twice", c.number, c.name)
		}
		seen[c.number], seen[strings.ToLower(c.name)] = true, true
		for _, w := range c.words {
			if w != strings.ToLower(w) {
				t.Errorf("%q is not lower case", w)
			}
		}
		r := protocols.Reply{Error: true, Message: c.name}
		if c.number != 8 && (Protocol.Check(&r) != nil || codeName(number32(r.Code)) != c.name) {
			t.Errorf("%s means %s", c.name, r.Code)
		}
	}
}

// What the driver's own code compresses is read.
func TestCompressors(t *testing.T) {
	insert := bsoncore.BuildDocument(nil, bsoncore.AppendStringElement(bsoncore.AppendStringElement(nil, "insert", "c"), "text", strings.Repeat("some text ", 5000)))
	msg := finish(append(append(begin(nil, 1, 0, 0), 0), insert...))
	for _, id := range []wiremessage.CompressorID{wiremessage.CompressorSnappy, wiremessage.CompressorZLib, wiremessage.CompressorZstd} {
		payload, err := driver.CompressPayload(msg[headerLen:], driver.CompressionOpts{Compressor: id, ZlibLevel: wiremessage.DefaultZlibLevel, ZstdLevel: wiremessage.DefaultZstdLevel})
		if err != nil {
			t.Fatal(err)
		}
		at, compressed := wiremessage.AppendHeaderStart(nil, 7, 0, wiremessage.OpCompressed)
		compressed = wiremessage.AppendCompressedOriginalOpCode(compressed, wiremessage.OpMsg)
		compressed = wiremessage.AppendCompressedUncompressedSize(compressed, int32(len(msg)-headerLen))
		compressed = wiremessage.AppendCompressedCompressorID(compressed, id)
		compressed = bsoncore.UpdateLength(append(compressed, payload...), at, int32(len(compressed)+len(payload)))
		f, n, err := Protocol.New().Decode(protocols.ToServer, compressed)
		if err != nil || n != len(compressed) || len(f.Items) != 1 || f.Items[0].Op != "insert" || f.Items[0].Key != "c" {
			t.Errorf("%v: %+v, %d of %d bytes, %v", id, f, n, len(compressed), err)
		}
	}
}

// BenchmarkDecode follows finds and their answers.
func BenchmarkDecode(b *testing.B) {
	at, doc := bsoncore.AppendDocumentStart(nil)
	doc = bsoncore.AppendStringElement(doc, "find", "orders")
	doc = bsoncore.AppendDocumentElement(doc, "filter", bsoncore.BuildDocument(nil, bsoncore.AppendInt32Element(nil, "_id", 7)))
	doc = bsoncore.AppendStringElement(doc, "$db", "shop")
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	request := finish(append(append(begin(nil, 1, 0, 0), 0), doc...))
	at, doc = bsoncore.AppendDocumentStart(nil)
	doc = bsoncore.AppendStringElement(doc, "cursor", strings.Repeat("x", 200))
	doc = bsoncore.AppendDoubleElement(doc, "ok", 1)
	doc, _ = bsoncore.AppendDocumentEnd(doc, at)
	answer := finish(append(append(begin(nil, 2, 1, 0), 0), doc...))

	c := Protocol.New()
	b.SetBytes(int64(len(request) + len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		for d, msg := range [][]byte{request, answer} {
			if f, n, err := c.Decode(protocols.Dir(d), msg); n != len(msg) || err != nil || f.ID == 0 {
				b.Fatal(f, n, err)
			}
		}
	}
}

// A compressed message that would fill the memory passes unread.
func TestBomb(t *testing.T) {
	zeros := make([]byte, 4*maxMessage)
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	w.Write(zeros)
	w.Close()
	encoder, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	contents := [][]byte{1: snappy.Encode(nil, zeros), 2: deflated.Bytes(), 3: encoder.EncodeAll(zeros, nil)}
	for compressor := byte(1); compressor <= 3; compressor++ {
		for _, size := range []int{100, maxMessage} {
			out, ok := new(inflater).inflate(nil, compressor, contents[compressor], size)
			if ok || len(out) > maxMessage+1 {
				t.Errorf("compressor %d, said to be %d bytes: %d bytes, %v", compressor, size, len(out), ok)
			}
		}
	}
}
