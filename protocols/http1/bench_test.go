package http1

import (
	"testing"

	"faultbox/protocols"
)

// BenchmarkDecode follows a keep-alive GET and its answer.
func BenchmarkDecode(b *testing.B) {
	request := []byte("GET /api/v1/users/1?full=1 HTTP/1.1\r\nHost: api.test:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\nAccept-Encoding: gzip\r\n\r\n")
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sun, 22 Nov 2026 16:00:00 GMT\r\nContent-Length: 13\r\n\r\n{\"name\":\"x\"}\n")
	c := Protocol.New()
	b.SetBytes(int64(len(request) + len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := c.Decode(protocols.ToServer, request); n != len(request) || err != nil {
			b.Fatal(n, err)
		}
		if _, n, err := c.Decode(protocols.ToClient, answer); n != len(answer) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkPaths is BenchmarkDecode with requests that differ.
func BenchmarkPaths(b *testing.B) {
	requests := [2][]byte{
		[]byte("GET /api/v1/users/1?full=1 HTTP/1.1\r\nHost: api.test:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"),
		[]byte("GET /api/v1/users/2?full=1 HTTP/1.1\r\nHost: api.test:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"),
	}
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	c := Protocol.New()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, n, err := c.Decode(protocols.ToServer, requests[i&1]); n == 0 || err != nil {
			b.Fatal(n, err)
		}
		if _, n, err := c.Decode(protocols.ToClient, answer); n != len(answer) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkBody passes on a large body in windows.
func BenchmarkBody(b *testing.B) {
	buf := make([]byte, window)
	c := &codec{in: message{open: true, id: 1, body: body{hasLength: true, left: 1 << 60}}}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := c.Decode(protocols.ToServer, buf); n != len(buf) || err != nil {
			b.Fatal(n, err)
		}
	}
}
