package proxy

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// streamed is the protocol of these tests with streams: a request whose key
// ends in a digit belongs to the stream of that number; the op END is of no
// exchange and waits for all; "N ok all" answers every request up to N.
var streamed = &protocols.Protocol{
	Name: "lines", Multiplexed: true, Fields: ordered.Fields,
	New: func() protocols.Codec { return &streamedLines{} },
}

type streamedLines struct {
	lines
	told uint64
}

func (c *streamedLines) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	line, _, whole := bytes.Cut(buf, []byte("\n"))
	if whole && d == protocols.ToClient && bytes.HasSuffix(line, []byte(" ok all")) && c.told+1 < uint64(line[0]-'0') {
		c.told++
		return protocols.Frame{ID: c.told, End: true}, 0, nil
	}
	f, n, err := c.lines.Decode(d, buf)
	if len(f.Items) > 0 {
		if key := f.Items[0].Key; key != "" {
			f.Stream = uint64(key[len(key)-1] - '0')
		}
		if f.Items[0].Op == "END" {
			return protocols.Frame{Stream: protocols.AllStreams}, n, err
		}
	}
	return f, n, err
}

// TestStreams: nothing overtakes a delayed frame within its stream, and the
// last frame of all waits for every stream.
func TestStreams(t *testing.T) {
	slow := func(op string, d time.Duration) intercept.Rule { return on(op, intercept.Fault{Delay: d}) }
	b := newBed(t, streamed, answer, slow("SLOW", 100*time.Millisecond), slow("SLOWER", 300*time.Millisecond))
	for _, line := range []string{"1 SLOWER a1", "2 SLOW b1", "3 NOW c1", "4 SLOW d2", "5 NOW e2", "6 NOW f3", "7 END", "8 NOW g3"} {
		b.say("%s", line)
	}
	b.client.CloseWrite()
	b.expect("0 eof")
	b.expectHeard("6 NOW f3", "4 SLOW d2", "5 NOW e2", "1 SLOWER a1", "2 SLOW b1", "3 NOW c1", "7 END", "8 NOW g3", "EOF")
	b.finish("SLOWER a1 r1", "SLOW b1 r0", "NOW c1", "SLOW d2 r0", "NOW e2", "NOW f3", "NOW g3")
}

// TestImpliedAnswers: one line answers four requests, of which faults replace
// the second's part and find nothing to do on the third's.
func TestImpliedAnswers(t *testing.T) {
	replace := func(text string) intercept.Fault {
		return intercept.Fault{Do: intercept.Answer, When: intercept.After, Reply: &protocols.Reply{Message: text}}
	}
	b := newBed(t, streamed, func(b *bed, c *net.TCPConn) {
		io.ReadFull(c, make([]byte, len("1 a\n2 b\n3 c\n4 d\n")))
		io.WriteString(c, "4 ok all\n")
		io.Copy(io.Discard, c)
		c.Close()
	}, on("b", replace("no")), on("c", replace("nothing")))
	for _, line := range []string{"1 a", "2 b", "3 c", "4 d"} {
		b.say("%s", line)
	}
	b.expect("2 no", "4 ok all")
	b.client.CloseWrite()
	b.expectEnd("", false)
	if got := b.h.seen(); !slices.Contains(got, "b replaced r0") || !slices.Contains(got, "c untouched r1") || !slices.Contains(got, "a") || !slices.Contains(got, "d") {
		t.Errorf("events %q", got)
	}
}
