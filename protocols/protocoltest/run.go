package protocoltest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"faultbox/protocols"
)

// A step of more than maxWhole bytes is cut at its first and last edge
// offsets and at as many between.
const (
	maxWhole = 2000
	edge     = 20
)

// Run runs every *.script in dir, each as a subtest. See the package comment.
func Run(t *testing.T, p *protocols.Protocol, dir string) {
	for _, path := range scriptsIn(t, dir) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".script"), func(t *testing.T) {
			s, err := parseScript(p, path)
			if err != nil {
				t.Fatal(err)
			}
			whole := s.play(t, p, "whole", nil)
			if t.Failed() {
				return
			}
			s.compareFrames(t, whole)
			if p.Datagram { // comes whole or not at all
				return
			}
			replay := func(how string, pieces func(step int, b []byte) [][]byte) {
				got := s.play(t, p, how, pieces)
				for i := range s.steps {
					if !slices.Equal(got[i].gist, whole[i].gist) {
						t.Errorf("%s:%d: %s: items, errors and ends are\n\t%s\nbut uncut\n\t%s", path, s.steps[i].line, how,
							strings.Join(got[i].gist, "\n\t"), strings.Join(whole[i].gist, "\n\t"))
					}
				}
			}
			replay("in pieces of one byte", func(_ int, b []byte) [][]byte { return slices.Collect(slices.Chunk(b, 1)) })
			for i, st := range s.steps {
				for _, at := range cuts(len(st.send)) {
					if t.Failed() {
						return
					}
					replay(fmt.Sprintf("with the step of line %d cut at %d", st.line, at), func(j int, b []byte) [][]byte {
						if i != j {
							return [][]byte{b}
						}
						return [][]byte{b[:at], b[at:]}
					})
				}
			}
		})
	}
}

func scriptsIn(t testing.TB, dir string) []string {
	paths, err := filepath.Glob(filepath.Join(dir, "*.script"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts in %s (%v)", dir, err)
	}
	return paths
}

// cuts returns every offset inside n bytes, or the first, the last and some
// between if there are many.
func cuts(n int) (at []int) {
	for i := 1; i < n; i++ {
		if n > maxWhole && i > edge && i < n-edge {
			i = min(i+n/edge, n-edge)
		}
		at = append(at, i)
	}
	return at
}

// outcome is what came of one step.
type outcome struct {
	frames []string // in the notation of = lines
	gist   []string // what must not depend on how the bytes are cut
}

// play runs the script on a new codec and checks what both sides hear in each
// step. pieces cuts the bytes of a step; nil: they come whole.
func (s *script) play(t *testing.T, p *protocols.Protocol, how string, pieces func(int, []byte) [][]byte) []outcome {
	t.Helper()
	out := make([]outcome, len(s.steps))
	r := newRelay(p)
	var fates []fateLine
	r.decide = func(f *protocols.Frame) (bool, []protocols.Fate) {
		if len(fates) == 0 {
			return false, nil
		}
		line := fates[0]
		fates = fates[1:]
		list := make([]protocols.Fate, len(f.Items))
		for i := range list {
			list[i] = line.fates[0]
			if fate, ok := line.fates[i+1]; ok {
				list[i] = fate
			}
		}
		return line.after, list
	}
	for i, st := range s.steps {
		fates = append(fates, st.fates...)
		r.saw = func(d protocols.Dir, f *protocols.Frame, note string) { out[i].add(d, f, note) }
		r.out = [2][]byte{}
		parts := [][]byte{st.send}
		if pieces != nil {
			parts = pieces(i, st.send)
		}
		for _, b := range parts {
			r.feed(st.dir, b)
		}
		if r.broken != nil {
			t.Fatalf("%s:%d: %s: the codec %v", s.name, st.line, how, r.broken)
		}
		for d, who := range []string{"server", "client"} {
			if !bytes.Equal(r.out[d], st.heard[d]) {
				t.Errorf("%s:%d: %s: the %s hears\n\t%s\nand not\n\t%s\nframes:\n\t= %s", s.name, st.line, how, who,
					show(r.out[d]), show(st.heard[d]), strings.Join(out[i].frames, "\n\t= "))
			}
		}
	}
	if len(fates) > 0 && !t.Failed() {
		t.Errorf("%s:%d: %s: no frame was left for this fate", s.name, fates[0].line, how)
	}
	return out
}

func (o *outcome) add(d protocols.Dir, f *protocols.Frame, note string) {
	s := describe(f, note)
	if s == "" {
		return
	}
	o.frames = append(o.frames, s)
	gist := protocols.Frame{ID: f.ID, Items: f.Items, Err: f.Err}
	if f.Items != nil || f.Err != "" || strings.HasPrefix(note, "error") {
		o.gist = append(o.gist, d.String()+" "+describe(&gist, note))
	}
	if f.End && f.ID != 0 {
		o.gist = append(o.gist, fmt.Sprintf("%v %d end", d, f.ID))
	}
}

func (s *script) compareFrames(t *testing.T, got []outcome) {
	for i, st := range s.steps {
		same := slices.EqualFunc(st.frames, got[i].frames, func(want, got string) bool {
			if part, ok := strings.CutPrefix(want, "error "); ok {
				return strings.HasPrefix(got, "error ") && strings.Contains(got, strings.Trim(part, `"`))
			}
			return want == got
		})
		if st.frames != nil && !same {
			t.Errorf("%s:%d: frames are\n\t= %s\nand not\n\t= %s", s.name, st.line,
				strings.Join(got[i].frames, "\n\t= "), strings.Join(st.frames, "\n\t= "))
		}
	}
}

// show quotes bytes, the middle of long ones left out.
func show(b []byte) string {
	if len(b) > 600 {
		return fmt.Sprintf("%q … %q (%d bytes)", b[:400], b[len(b)-100:], len(b))
	}
	return fmt.Sprintf("%q", b)
}
