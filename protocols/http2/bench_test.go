package http2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2/hpack"

	"faultbox/protocols"
)

// opened returns a codec behind the prefaces.
func opened(b *testing.B) protocols.Codec {
	c := Protocol.New()
	empty := appendHeader(nil, 0, frameSettings, 0, 0)
	for _, step := range []struct {
		d   protocols.Dir
		buf []byte
	}{{protocols.ToServer, []byte(preface)}, {protocols.ToServer, empty}, {protocols.ToClient, empty}} {
		if _, n, err := c.Decode(step.d, step.buf); n != len(step.buf) || err != nil {
			b.Fatal(n, err)
		}
	}
	return c
}

// block encodes the same header block twice: what it is at first, and later.
func block(fields ...Field) (first, later []byte) {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, to := range []*[]byte{&first, &later} {
		b.Reset()
		for _, f := range fields {
			e.WriteField(f)
		}
		*to = bytes.Clone(b.Bytes())
	}
	return first, later
}

// BenchmarkDecode follows a GET and its answer with a body, as they are once
// the dynamic tables are filled.
func BenchmarkDecode(b *testing.B) {
	c := opened(b)
	first, later := block(Field{Name: ":method", Value: "GET"}, Field{Name: ":scheme", Value: "http"}, Field{Name: ":path", Value: "/api/v1/users/1?full=1"},
		Field{Name: ":authority", Value: "api.test:8080"}, Field{Name: "user-agent", Value: "curl/7.88.1"}, Field{Name: "accept", Value: "*/*"})
	answer, answers := block(Field{Name: ":status", Value: "200"}, Field{Name: "content-type", Value: "application/json"}, Field{Name: "content-length", Value: "13"})
	num := uint32(1)
	request := func(block []byte) []byte {
		return append(appendHeader(nil, len(block), frameHeaders, flagEndHeaders|flagEndStream, num), block...)
	}
	respond := func(block []byte) []byte {
		return append(appendHeader(nil, len(block), frameHeaders, flagEndHeaders, num), block...)
	}
	data := appendData(nil, num, []byte("{\"name\":\"x\"}\n"), true)
	frames := [2][]byte{request(first), respond(answer)}
	exchange := func() {
		for d, f := range frames {
			renumber(f, num)
			if _, n, err := c.Decode(protocols.Dir(d), f); n != len(f) || err != nil {
				b.Fatal(n, err)
			}
		}
		renumber(data, num)
		if f, n, err := c.Decode(protocols.ToClient, data); n != len(data) || err != nil || !f.End {
			b.Fatal(n, err)
		}
		num += 2
	}
	exchange()
	frames = [2][]byte{request(later), respond(answers)}
	b.SetBytes(int64(len(frames[0]) + len(frames[1]) + len(data)))
	b.ReportAllocs()
	for b.Loop() {
		exchange()
	}
}

// BenchmarkData passes on a large body.
func BenchmarkData(b *testing.B) {
	c := opened(b)
	first, _ := block(Field{Name: ":method", Value: "POST"}, Field{Name: ":path", Value: "/"})
	request := append(appendHeader(nil, len(first), frameHeaders, flagEndHeaders, 1), first...)
	if _, n, err := c.Decode(protocols.ToServer, request); n != len(request) || err != nil {
		b.Fatal(n, err)
	}
	data := appendData(nil, 1, make([]byte, maxFrame), false)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := c.Decode(protocols.ToServer, data); n != len(data) || err != nil {
			b.Fatal(n, err)
		}
	}
}
