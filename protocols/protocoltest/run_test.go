package protocoltest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"faultbox/protocols"
)

// lines is a protocol of lines: "OP KEY [KEY]\n" is answered by one line, "#…"
// by none, and "stop" ends the following of it.
var lines = &protocols.Protocol{Name: "lines", New: func() protocols.Codec { return new(lineCodec) }, Window: 64}

type lineCodec struct {
	asked   uint64
	pending []uint64 // asked, to be answered by the server
}

func (c *lineCodec) Decode(d protocols.Dir, buf []byte) (f protocols.Frame, n int, err error) {
	n = bytes.IndexByte(buf, '\n') + 1
	if n == 0 {
		if len(buf) < 64 {
			return f, 0, nil
		}
		return f, 0, fmt.Errorf("line too long")
	}
	words := strings.Fields(string(buf[:n]))
	switch {
	case len(words) > 0 && words[0] == "stop":
		return f, 0, fmt.Errorf("asked to stop")
	case buf[0] == '#':
	case d == protocols.ToClient && len(c.pending) > 0:
		f.ID, f.End = c.pending[0], true
		c.pending = c.pending[1:]
		f.Err, _ = strings.CutPrefix(strings.TrimSpace(string(buf[:n])), "-")
		if buf[0] != '-' {
			f.Err = ""
		}
	case d == protocols.ToServer && len(words) > 0:
		c.asked++
		c.pending = append(c.pending, c.asked)
		f.ID, f.End = c.asked, true
		for _, k := range append(words[1:], "")[:max(1, len(words)-1)] {
			f.Items = append(f.Items, protocols.Item{Op: words[0], Key: k})
		}
	}
	return f, n, nil
}

func (c *lineCodec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	switch fates[0].Act {
	case protocols.Answer:
		reply := []byte("-" + fates[0].Reply.Message + "\n")
		if d == protocols.ToClient {
			return reply, nil
		}
		c.pending = c.pending[:len(c.pending)-1]
		return nil, reply
	case protocols.Twice:
		c.pending = append(c.pending, f.ID)
		return append(append([]byte{}, raw...), raw...), nil
	}
	return raw, nil
}

func TestScripts(t *testing.T) { Run(t, lines, "testdata") }

func FuzzLines(f *testing.F) { Fuzz(f, lines, "testdata") }

// TestMistakes runs scripts that must fail, each in a process of its own.
func TestMistakes(t *testing.T) {
	if dir := os.Getenv("PROTOCOLTEST_MISTAKE"); dir != "" {
		Run(t, lines, dir)
		return
	}
	for script, want := range map[string]string{
		"> \"GET a\\n\"\n>> \"GET b\\n\"\n":          "the server hears",
		"> \"GET a\\n\"\n! \"-no\\n\"\n":             "the client hears",
		"> \"GET a\\n\"\n= 1 GET key=\"b\" end\n":    "frames are",
		"@ lose\n> \"#\\n\"\n":                       "no frame was left for this fate",
		"> \"GET a\\n\"\n@ answer\n":                 "answer needs error or value",
		"> \"GET a\\n\"\n? x\n":                      `unknown line "?"`,
		"> be16\n":                                   "neither a string nor an integer",
		"@ answer error massage=x\n> \"GET a\\n\"\n": `unknown name "massage"`,
		"> [be32 \"a\"\n":                            `missing "]"`,
		"= 1 end\n":                                  "before any step",
		"@ answer error message=x\n> \"GET a\\n\"\n": "the server hears",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.script"), []byte(script), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestMistakes$")
		cmd.Env = append(os.Environ(), "PROTOCOLTEST_MISTAKE="+dir)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: error %v does not say %q:\n%s", script, err, want, out)
		}
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]string{
		`"a" x"00 fF" be16:258 le24:1`: "a\x00\xff\x01\x02\x01\x00\x00",
		`[be32+4 "ab" [le16-1 "cd"]]`:  "\x00\x00\x00\x0aab\x01\x00cd",
		"`\\n` (\"a\" \"b\"*2)*2 \"\"": "\\nabbabb",
	} {
		if got, err := parseBytes(in); err != nil || string(got) != want {
			t.Errorf("parseBytes(%s) = %q, %v", in, got, err)
		}
	}
}
