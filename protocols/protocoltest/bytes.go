package protocoltest

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// parseBytes reads the bytes notation of a script line.
func parseBytes(s string) ([]byte, error) {
	p := &byteParser{rest: s}
	b, err := p.sequence("")
	if err != nil {
		return nil, fmt.Errorf("%w, before %q", err, p.rest)
	}
	return b, nil
}

type byteParser struct{ rest string }

// sequence reads atoms up to closer and past it; "" is the end of the line.
func (p *byteParser) sequence(closer string) ([]byte, error) {
	var out []byte
	for {
		p.rest = strings.TrimLeft(p.rest, " \t\n")
		if p.rest == "" {
			if closer != "" {
				return nil, fmt.Errorf("missing %q", closer)
			}
			return out, nil
		}
		if closer != "" && p.rest[:1] == closer {
			p.rest = p.rest[1:]
			return out, nil
		}
		b, err := p.atom()
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.rest, "*") {
			p.rest = p.rest[1:]
			n, err := strconv.Atoi(p.word(" \t\n)]"))
			if err != nil || n < 0 || n*len(b) > 64<<20 {
				return nil, fmt.Errorf("bad repetition")
			}
			b = []byte(strings.Repeat(string(b), n))
		}
		out = append(out, b...)
	}
}

func (p *byteParser) atom() ([]byte, error) {
	switch c := p.rest[0]; {
	case c == '"' || c == '`':
		s, err := p.quoted()
		return []byte(s), err
	case strings.HasPrefix(p.rest, `x"`):
		p.rest = p.rest[1:]
		s, err := p.quoted()
		if err != nil {
			return nil, err
		}
		return hex.DecodeString(strings.Join(strings.Fields(s), ""))
	case c == '(':
		p.rest = p.rest[1:]
		return p.sequence(")")
	case c == '[':
		p.rest = p.rest[1:]
		return p.prefixed()
	}
	kind, value, ok := strings.Cut(p.word(" \t\n)]*"), ":")
	n, err := strconv.ParseInt(value, 0, 64)
	if !ok || err != nil {
		return nil, fmt.Errorf("neither a string nor an integer like be32:1")
	}
	return integer(kind, n)
}

func (p *byteParser) quoted() (string, error) {
	q, err := strconv.QuotedPrefix(p.rest)
	if err != nil {
		return "", fmt.Errorf("bad string")
	}
	p.rest = p.rest[len(q):]
	return strconv.Unquote(q)
}

// prefixed reads "be32+4 content]".
func (p *byteParser) prefixed() ([]byte, error) {
	kind := p.word(" \t\n]")
	extra := 0
	if i := strings.IndexAny(kind, "+-"); i >= 0 {
		var err error
		if extra, err = strconv.Atoi(kind[i:]); err != nil {
			return nil, fmt.Errorf("bad length %q", kind)
		}
		kind = kind[:i]
	}
	content, err := p.sequence("]")
	if err != nil {
		return nil, err
	}
	b, err := integer(kind, int64(len(content)+extra))
	return append(b, content...), err
}

// word takes everything up to the next of the characters in ends.
func (p *byteParser) word(ends string) string {
	i := strings.IndexAny(p.rest, ends)
	if i < 0 {
		i = len(p.rest)
	}
	w := p.rest[:i]
	p.rest = p.rest[i:]
	return w
}

// integer encodes n; kind is be or le and a number of bits.
func integer(kind string, n int64) ([]byte, error) {
	order, size := kind[:min(2, len(kind))], kind[min(2, len(kind)):]
	bits, err := strconv.Atoi(size)
	if err != nil || order != "be" && order != "le" || bits < 8 || bits > 64 || bits%8 != 0 {
		return nil, fmt.Errorf("unknown integer %q", kind)
	}
	b := make([]byte, bits/8)
	for i := range b {
		at := i
		if order == "be" {
			at = len(b) - 1 - i
		}
		b[at] = byte(n >> (8 * i))
	}
	return b, nil
}
