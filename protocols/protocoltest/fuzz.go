package protocoltest

import (
	"bytes"
	"path/filepath"
	"testing"

	"faultbox/protocols"
)

// Rewrites tells Fuzz that the codec may change bytes although no fault is
// armed (a compression that it negotiates away); the bytes are then not compared.
const Rewrites = "rewrites"

// Fuzz feeds the codec conversations of any shape; the scripts in dir and its
// captures are the seeds. See the package comment.
//
// A conversation is a run of records: one byte whose lowest bit is the
// direction, two of length, the bytes. chunk is the size of the pieces they
// arrive in. fate picks what happens to frames with items: with 0 the bytes must
// come out as they went in, otherwise only the codec's contract is checked.
func Fuzz(f *testing.F, p *protocols.Protocol, dir string, options ...string) {
	captures, _ := filepath.Glob(filepath.Join(dir, Captured, "*.script"))
	for i, path := range append(captures, scriptsIn(f, dir)...) {
		s, err := parseScript(p, path)
		if err != nil {
			f.Fatal(err)
		}
		var conversation []byte
		for _, st := range s.steps {
			for b := st.send; len(b) > 0; {
				n := min(len(b), 0xFFFF)
				conversation = append(append(conversation, byte(st.dir), byte(n>>8), byte(n)), b[:n]...)
				b = b[n:]
			}
		}
		for fate := range byte(7) {
			if i >= len(captures) || fate == byte(i)%7 { // captures are long
				f.Add(conversation, fate*fate, fate)
			}
		}
	}
	rewrites := len(options) > 0 && options[0] == Rewrites
	answers := fuzzReplies(p)
	f.Fuzz(func(t *testing.T, conversation []byte, chunk, fate byte) {
		r := newRelay(p)
		r.saw = func(_ protocols.Dir, f *protocols.Frame, _ string) {
			if fate == 0 && !rewrites && (f.Raw != nil || f.Back != nil) {
				t.Fatalf("a frame has Raw or Back though no fault is armed: %s", describe(f, ""))
			}
		}
		if fate != 0 {
			r.decide = func(f *protocols.Frame) (bool, []protocols.Fate) {
				fates := make([]protocols.Fate, len(f.Items))
				for i := range fates {
					act := protocols.Act((fate + byte(i)) % 4)
					fates[i].Act = act
					if act == protocols.Answer {
						fates[i].Reply = &answers[int(fate)%len(answers)]
					}
				}
				return fate&8 != 0, fates
			}
		}
		var sent [2][]byte
		for len(conversation) > 3 && r.broken == nil {
			d := protocols.Dir(conversation[0] & 1)
			n := min(len(conversation)-3, int(conversation[1])<<8|int(conversation[2]))
			b := conversation[3 : 3+n]
			conversation = conversation[3+n:]
			sent[d] = append(sent[d], b...)
			if p.Datagram {
				r.feed(d, b)
				continue
			}
			for len(b) > 0 && r.broken == nil {
				n := min(len(b), 1+int(chunk)*int(chunk))
				r.feed(d, b[:n])
				b = b[n:]
			}
		}
		if r.broken != nil {
			t.Fatalf("the codec %v", r.broken)
		}
		for d := range sent {
			if got := append(r.out[d], r.in[d]...); fate == 0 && !rewrites && !bytes.Equal(got, sent[d]) {
				t.Fatalf("%v: forwarded\n\t%s\nand not\n\t%s", protocols.Dir(d), show(got), show(sent[d]))
			}
		}
	})
}

// fuzzReplies returns replies of both kinds as far as the protocol takes them.
func fuzzReplies(p *protocols.Protocol) (out []protocols.Reply) {
	for _, r := range []protocols.Reply{{Error: true, Message: "disk full"}, {}, {Value: "x"}, {Error: true, Message: "a\x00\r\nb"}} {
		if p.Check == nil || p.Check(&r) == nil {
			out = append(out, r)
		}
	}
	if out == nil {
		out = append(out, protocols.Reply{Error: true, Message: "broken"})
	}
	return out
}
