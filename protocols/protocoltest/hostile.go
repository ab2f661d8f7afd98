package protocoltest

import (
	"bytes"
	"fmt"
	"math/rand"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"faultbox/protocols"
)

// What a codec may allocate for a capture of some kilobytes, however it has been
// spoilt: more than a window, and more than the largest message that it unpacks
// on the word of its header.
const maxHostile = 160 << 20

// hostile is how many places of a capture are spoilt.
const hostile = 40

// Hostile spoils every conversation in dir/captured: at many places it puts
// lengths that are far too large or negative, noise, or leaves bytes out. The
// codec must not panic, hang or fill the memory, and the bytes must come out as
// they went in, be they followed or given up on.
func Hostile(t *testing.T, p *protocols.Protocol, dir string, options ...string) {
	rewrites := slices.Contains(options, Rewrites)
	spoils := map[string]func(b []byte, at int) []byte{
		"all ones":    func(b []byte, at int) []byte { return overwrite(b, at, "\xff\xff\xff\xff\xff\xff\xff\xff") },
		"largest":     func(b []byte, at int) []byte { return overwrite(b, at, "\x7f\xff\xff\xff") },
		"negative":    func(b []byte, at int) []byte { return overwrite(b, at, "\x80\x00\x00\x00") },
		"little-end":  func(b []byte, at int) []byte { return overwrite(b, at, "\xff\xff\xff\x7f") },
		"zeros":       func(b []byte, at int) []byte { return overwrite(b, at, "\x00\x00\x00\x00") },
		"digits":      func(b []byte, at int) []byte { return overwrite(b, at, "-99999999999999999999\r\n") },
		"left out":    func(b []byte, at int) []byte { return slices.Delete(b, at, min(len(b), at+5)) },
		"interleaved": func(b []byte, at int) []byte { return slices.Insert(b, at, noise...) },
	}
	for _, path := range scriptsIn(t, filepath.Join(dir, Captured)) {
		s, err := parseScript(p, path)
		if err != nil {
			t.Fatal(err)
		}
		var places [][2]int
		for i, st := range s.steps {
			for at := range st.send {
				places = append(places, [2]int{i, at})
			}
		}
		stride := max(1, len(places)/hostile)
		for how, spoil := range spoils {
			for i := 0; i < len(places); i += stride {
				where := fmt.Sprintf("%s:%d: %s at %d", path, s.steps[places[i][0]].line, how, places[i][1])
				s.spoilt(t, p, rewrites, where, places[i][0], func(b []byte) []byte { return spoil(b, places[i][1]) })
			}
		}
	}
}

var noise = func() []byte {
	b := make([]byte, 300)
	rand.New(rand.NewSource(1)).Read(b)
	return b
}()

func overwrite(b []byte, at int, with string) []byte {
	return append(append(slices.Clone(b[:at]), with...), b[min(len(b), at+len(with)):]...)
}

// spoilt plays the script with one step spoilt.
func (s *script) spoilt(t *testing.T, p *protocols.Protocol, rewrites bool, where string, step int, spoil func([]byte) []byte) {
	t.Helper()
	var before, after runtime.MemStats
	var sent [2][]byte
	r := newRelay(p)
	r.saw = func(protocols.Dir, *protocols.Frame, string) {}
	runtime.ReadMemStats(&before)
	for i, st := range s.steps {
		b := st.send
		if i == step {
			b = spoil(slices.Clone(b))
		}
		sent[st.dir] = append(sent[st.dir], b...)
		r.feed(st.dir, b)
		if r.broken != nil {
			t.Fatalf("%s: the codec %v", where, r.broken)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > maxHostile {
		t.Errorf("%s: %d MB were allocated", where, n>>20)
	}
	for d := range sent {
		if got := slices.Concat(r.out[d], r.in[d]); !rewrites && !bytes.Equal(got, sent[d]) {
			t.Fatalf("%s: %v: forwarded\n\t%s\nand not\n\t%s", where, protocols.Dir(d), show(got), show(sent[d]))
		}
	}
}
