package redis

import (
	"strings"
	"testing"

	"faultbox/protocols"
)

// BenchmarkDecode follows a pipeline of SET and GET and its answers.
func BenchmarkDecode(b *testing.B) {
	const pairs = 64
	requests := []byte(strings.Repeat("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$3\r\nxxx\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n", pairs))
	answers := []byte(strings.Repeat("+OK\r\n$3\r\nxxx\r\n", pairs))
	c := Protocol.New()
	drain := func(d protocols.Dir, buf []byte) {
		for len(buf) > 0 {
			_, n, err := c.Decode(d, buf)
			if n == 0 || err != nil {
				b.Fatal(n, err)
			}
			buf = buf[n:]
		}
	}
	b.SetBytes(int64(len(requests) + len(answers)))
	b.ReportAllocs()
	for b.Loop() {
		drain(protocols.ToServer, requests)
		drain(protocols.ToClient, answers)
	}
}

// BenchmarkAnswer is the answers' side alone, of a list of 100 elements.
func BenchmarkAnswer(b *testing.B) {
	answer := []byte("*100\r\n" + strings.Repeat("$3\r\nxxx\r\n", 100))
	c := codec{proto: 2}
	b.SetBytes(int64(len(answer)))
	b.ReportAllocs()
	for b.Loop() {
		c.pending.push(&exchange{id: 1, slot: -1})
		if _, n, err := c.Decode(protocols.ToClient, answer); n != len(answer) || err != nil {
			b.Fatal(n, err)
		}
	}
}
