package http2

import (
	"bytes"
	"testing"

	"faultbox/protocols"
)

// feed decodes the one frame that is b.
func feed(t *testing.T, c protocols.Codec, d protocols.Dir, b []byte) (f protocols.Frame, out []byte) {
	t.Helper()
	f, n, err := c.Decode(d, b)
	if n != len(b) || err != nil {
		t.Fatal(n, err)
	}
	if out = b; f.Raw != nil {
		out = f.Raw
	}
	return f, bytes.Clone(out)
}

func headersFrame(num uint32, flags byte, block ...byte) []byte {
	return append(appendHeader(nil, len(block), frameHeaders, flagEndHeaders|flags, num), block...)
}

func expect(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n\t%x and not\n\t%x", what, got, want)
	}
}

// TestHold: a request and an answer wait while others pass, and go out as they
// have to be then.
func TestHold(t *testing.T) {
	c := New(plain)
	settings := appendHeader(nil, 0, frameSettings, 0, 0)
	feed(t, c, protocols.ToServer, []byte(preface))
	feed(t, c, protocols.ToServer, settings)
	feed(t, c, protocols.ToClient, settings)

	// Stream 1 waits. What it puts into the dynamic table, stream 3 uses.
	get := []byte{0x82, 0x86, 0x84, 0x40, 1, 'a', 1, 'b'}
	f, out := feed(t, c, protocols.ToServer, headersFrame(1, 0, get...))
	held := c.Hold(protocols.ToServer, f.ID, out)
	again := []byte{0x20, 0x82, 0x86, 0x84, 0x00, 1, 'a', 1, 'b'}
	expect(t, "what waits", held, headersFrame(1, 0, again...))
	_, out = feed(t, c, protocols.ToServer, headersFrame(3, flagEndStream, 0x82, 0x86, 0x84, 0xbe))
	expect(t, "what overtakes it", out, headersFrame(1, flagEndStream, again...))
	_, out = feed(t, c, protocols.ToServer, appendData(nil, 1, []byte("body"), true))
	held = append(held, out...)
	expect(t, "the first, late", c.Release(protocols.ToServer, f.ID, held),
		append(headersFrame(3, 0, again...), appendData(nil, 3, []byte("body"), true)...))

	// The answers come back under the numbers that the client knows. The
	// first waits; the second needs what it puts into the table.
	f, out = feed(t, c, protocols.ToClient, headersFrame(1, 0, 0x88, 0x40, 1, 'x', 1, 'y'))
	held = c.Hold(protocols.ToClient, f.ID, out)
	expect(t, "the answer that waits", held, headersFrame(3, 0, 0x20, 0x88, 0x00, 1, 'x', 1, 'y'))
	if _, out = feed(t, c, protocols.ToClient, headersFrame(3, flagEndStream, 0x88, 0xbe)); f.ID != 2 {
		t.Errorf("the ID is %d", f.ID)
	}
	expect(t, "the answer that overtakes it", out, headersFrame(1, flagEndStream, 0x20, 0x88, 0x00, 1, 'x', 1, 'y'))
	_, out = feed(t, c, protocols.ToClient, appendData(nil, 1, []byte("late"), true))
	held = append(held, out...)
	expect(t, "the answer, late", c.Release(protocols.ToClient, 2, held),
		append(headersFrame(3, 0, 0x20, 0x88, 0x00, 1, 'x', 1, 'y'), appendData(nil, 3, []byte("late"), true)...))
	if n := len(c.(*codec).streams); n != 0 {
		t.Errorf("%d streams are left", n)
	}
}
