package protocoltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// script is a parsed script file.
type script struct {
	name  string
	steps []step
	fates []fateLine // for the step that comes next, while parsing
}

// step is bytes that one side sends, and what must come of it.
type step struct {
	line   int
	dir    protocols.Dir
	fates  []fateLine // to be used up from this step on
	send   []byte
	heard  [2][]byte // by direction: what the receiver of that direction hears
	frames []string  // nil: not checked
}

// fateLine is what happens to one frame with items.
type fateLine struct {
	line  int
	after bool
	fates map[int]protocols.Fate // by item from 1; 0: all
}

func parseScript(p *protocols.Protocol, path string) (*script, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read script: %w", err)
	}
	s := &script{name: path}
	lines := strings.Split(string(text), "\n")
	numbered := false
	for i := 0; i < len(lines); i++ {
		at, line := i+1, lines[i]
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		for i+1 < len(lines) && strings.TrimSpace(lines[i+1]) != "" && strings.ContainsRune(" \t", rune(lines[i+1][0])) {
			i++
			line += "\n" + lines[i]
		}
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "@" {
			numbered, err = s.fate(p, at, rest, numbered)
		} else {
			numbered = false
			err = s.line(at, verb, rest)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, at, err)
		}
	}
	if len(s.fates) > 0 {
		return nil, fmt.Errorf("%s:%d: no step follows this fate", path, s.fates[0].line)
	}
	return s, nil
}

func (s *script) line(at int, verb, rest string) error {
	if verb == ">" || verb == "<" {
		st := step{line: at, dir: protocols.ToServer, fates: s.fates}
		s.fates = nil
		if verb == "<" {
			st.dir = protocols.ToClient
		}
		b, err := parseBytes(rest)
		st.send = b
		st.heard[st.dir] = b
		s.steps = append(s.steps, st)
		return err
	}
	if len(s.steps) == 0 {
		return fmt.Errorf("%q comes before any step", verb)
	}
	st := &s.steps[len(s.steps)-1]
	if verb == "=" {
		st.frames = append(st.frames, strings.TrimSpace(rest))
		return nil
	}
	if !slices.Contains([]string{">>", "<<", "!", "!>"}, verb) {
		return fmt.Errorf("unknown line %q", verb)
	}
	b, err := parseBytes(rest)
	if err != nil {
		return err
	}
	switch verb {
	case ">>":
		st.heard[protocols.ToServer] = b
	case "<<":
		st.heard[protocols.ToClient] = b
	case "!":
		st.heard[protocols.ToClient] = bytes.Join([][]byte{st.heard[protocols.ToClient], b}, nil)
	case "!>":
		st.heard[protocols.ToServer] = bytes.Join([][]byte{st.heard[protocols.ToServer], b}, nil)
	}
	return nil
}

// fate parses an @ line. joins says that the line before was numbered too.
func (s *script) fate(p *protocols.Protocol, at int, text string, joins bool) (numbered bool, err error) {
	words := fields(text)
	n := 0
	if len(words) > 0 && strings.HasSuffix(words[0], ":") {
		if n, err = strconv.Atoi(strings.TrimSuffix(words[0], ":")); err != nil || n < 1 {
			return false, fmt.Errorf("bad item number %q", words[0])
		}
		words = words[1:]
	}
	after := len(words) > 0 && words[0] == "after"
	if after {
		words = words[1:]
	}
	f, err := parseFate(p, words)
	if err != nil {
		return false, err
	}
	if n > 1 && joins {
		last := &s.fates[len(s.fates)-1]
		if _, taken := last.fates[n]; !taken && last.after == after {
			last.fates[n] = f
			return true, nil
		}
	}
	s.fates = append(s.fates, fateLine{at, after, map[int]protocols.Fate{n: f}})
	return n > 0, nil
}

func parseFate(p *protocols.Protocol, words []string) (f protocols.Fate, err error) {
	if len(words) == 0 {
		return f, fmt.Errorf("@ needs answer, lose, twice or pass")
	}
	switch words[0] {
	case "pass":
	case "lose":
		f.Act = protocols.Lose
	case "twice":
		f.Act = protocols.Twice
	case "answer":
		f.Act = protocols.Answer
		if len(words) < 2 || words[1] != "error" && words[1] != "value" {
			return f, fmt.Errorf("answer needs error or value")
		}
		f.Reply = &protocols.Reply{Error: words[1] == "error"}
		for _, w := range words[2:] {
			if err := setReply(f.Reply, w); err != nil {
				return f, err
			}
		}
		if p.Check != nil {
			err = p.Check(f.Reply)
		}
		return f, err
	default:
		return f, fmt.Errorf("unknown fate %q", words[0])
	}
	if len(words) > 1 {
		return f, fmt.Errorf("%q after %s", words[1], words[0])
	}
	return f, nil
}

func setReply(r *protocols.Reply, word string) (err error) {
	name, v, _ := strings.Cut(word, "=")
	if u, err := strconv.Unquote(v); err == nil {
		v = u
	}
	head, sub, _ := strings.Cut(name, ":")
	switch head {
	case "message":
		r.Message = v
	case "code":
		r.Code = v
	case "status":
		r.Status, err = strconv.Atoi(v)
	case "messages":
		r.Messages, err = strconv.Atoi(v)
	case "value":
		r.Value, err = jsonValue(v)
	case "header":
		r.Headers = append(r.Headers, protocols.Attr{Name: sub, Value: v})
	case "detail":
		if r.Details == nil {
			r.Details = map[string]string{}
		}
		r.Details[sub] = v
	default:
		err = fmt.Errorf("unknown name %q", name)
	}
	return err
}

// jsonValue returns a value as a Reply holds it: whole numbers are int64.
func jsonValue(s string) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("parse value: %w", err)
	}
	return plain(v), nil
}

func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}

// fields splits at blanks that are not inside a Go string.
func fields(s string) (out []string) {
	word := ""
	for s != "" {
		switch q, err := strconv.QuotedPrefix(s); {
		case err == nil && (s[0] == '"' || s[0] == '`'):
			word, s = word+q, s[len(q):]
		case strings.ContainsRune(" \t\n", rune(s[0])):
			if word != "" {
				out = append(out, word)
			}
			word, s = "", s[1:]
		default:
			word, s = word+s[:1], s[1:]
		}
	}
	if word != "" {
		out = append(out, word)
	}
	return out
}
