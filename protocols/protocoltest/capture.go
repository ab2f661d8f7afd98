package protocoltest

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"faultbox/protocols"
)

// Captured is the folder below a codec's testdata that holds conversations of
// real clients and servers. The tests of intercept/drivers record them.
const Captured = "captured"

// Captures replays every conversation in dir/captured: whole, in pieces of one
// byte, and with each step cut at every offset. With no fault armed the codec
// must follow it without an error, the bytes must come out as they went in, and
// items, errors and ends must be the same however the bytes are cut.
//
// A capture is a script of > and < lines alone. It breaks off anywhere, also in
// the middle of a message.
func Captures(t *testing.T, p *protocols.Protocol, dir string, options ...string) {
	rewrites := slices.Contains(options, Rewrites)
	for _, path := range scriptsIn(t, filepath.Join(dir, Captured)) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".script"), func(t *testing.T) {
			s, err := parseScript(p, path)
			if err != nil {
				t.Fatal(err)
			}
			whole := s.replay(t, p, rewrites, 0)
			longest := 0
			for _, st := range s.steps {
				longest = max(longest, len(st.send))
			}
			if !slices.ContainsFunc(whole.gist, func(s string) bool { return strings.HasSuffix(s, " end") }) {
				t.Errorf("no exchange comes to its end:\n\t%s", strings.Join(whole.gist, "\n\t"))
			}
			for _, line := range whole.gist {
				if strings.Contains(line, " error \"") {
					t.Errorf("the codec can't follow: %s", line)
				}
			}
			for at := -1; at < longest && !t.Failed(); at++ { // -1: one byte at a time
				if at == 0 {
					continue
				}
				got := s.replay(t, p, rewrites, at)
				if !slices.Equal(got.gist, whole.gist) {
					t.Errorf("cut at %d: items, errors and ends are\n\t%s\nbut uncut\n\t%s", at, strings.Join(got.gist, "\n\t"), strings.Join(whole.gist, "\n\t"))
				}
				for d := range got.out {
					if !bytes.Equal(got.out[d], whole.out[d]) {
						t.Errorf("cut at %d: %v: heard\n\t%s\nbut uncut\n\t%s", at, protocols.Dir(d), show(got.out[d]), show(whole.out[d]))
					}
				}
			}
		})
	}
}

// replayed is what came of a capture.
type replayed struct {
	gist []string
	out  [2][]byte
}

// replay plays all steps on a new codec, each cut at an offset (0: not at all,
// -1: after every byte).
func (s *script) replay(t *testing.T, p *protocols.Protocol, rewrites bool, at int) replayed {
	t.Helper()
	var o outcome
	var sent [2][]byte
	r := newRelay(p)
	r.saw = o.add
	for _, st := range s.steps {
		sent[st.dir] = append(sent[st.dir], st.send...)
		switch {
		case at < 0:
			for i := range st.send {
				r.feed(st.dir, st.send[i:i+1])
			}
		case at < len(st.send):
			r.feed(st.dir, st.send[:at])
			r.feed(st.dir, st.send[at:])
		default:
			r.feed(st.dir, st.send)
		}
		if r.broken != nil {
			t.Fatalf("%s:%d: cut at %d: the codec %v", s.name, st.line, at, r.broken)
		}
	}
	for d := range sent {
		if got := slices.Concat(r.out[d], r.in[d]); !rewrites && !bytes.Equal(got, sent[d]) {
			t.Errorf("%s: cut at %d: %v: forwarded\n\t%s\nand not\n\t%s", s.name, at, protocols.Dir(d), show(got), show(sent[d]))
		}
	}
	return replayed{o.gist, r.out}
}
