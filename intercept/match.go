package intercept

import (
	"fmt"
	"slices"
	"strings"

	"faultbox/protocols"
)

// Term is one matcher of a rule: a field and a glob that it must satisfy.
type Term struct {
	Name    string // the keyword as the spec wrote it: "query", "key"
	Pattern string // as the spec wrote it

	field protocols.Field
	attr  string // the attribute's full name, if Of is one
	glob  glob
}

// Match is a conjunction of terms; the empty Match matches every event.
type Match []Term

// NewTerm compiles a matcher for protocol p. sub completes a prefix field
// (the header's name in headers={"name": pattern}) and is "" otherwise.
func NewTerm(p *protocols.Protocol, name, sub, pattern string) (Term, error) {
	f, ok := p.Fields[name]
	if !ok {
		return Term{}, fmt.Errorf("match %s by %q: it has no such field", p.Name, name)
	}
	if len(f.Values) > 0 && !slices.Contains(f.Values, pattern) {
		return Term{}, fmt.Errorf("match %s by %s=%q: it is one of %q", p.Name, name, pattern, f.Values)
	}
	if f.Pick != nil {
		f.Of = f.Pick(pattern)
	}
	t := Term{Name: name, Pattern: pattern, field: f, attr: f.Of}
	if strings.HasSuffix(f.Of, ":") {
		t.attr = f.Of + strings.ToLower(sub)
		t.Name = name + "[" + sub + "]"
	}
	norm := pattern
	if f.Normalize != nil {
		norm = f.Normalize(pattern)
	}
	t.glob = compileGlob(norm, f.Fold)
	t.glob.raw = f.Bytes
	return t, nil
}

// Matches reports whether the item, or the other that its event is about,
// satisfies every term.
func (m Match) Matches(it *protocols.Item) bool {
	return m.fits(it) || it.Other != nil && m.fits(it.Other)
}

func (m Match) fits(it *protocols.Item) bool {
	for i := range m {
		if !m[i].matches(it) {
			return false
		}
	}
	return true
}

// Score returns how many of the terms the item satisfies: how near it is.
func (m Match) Score(it *protocols.Item) (n int) {
	for i := range m {
		if m[i].matches(it) {
			n++
		}
	}
	return n
}

func (t *Term) matches(it *protocols.Item) bool {
	switch t.field.Of {
	case "op":
		return t.value(it.Op)
	case "text":
		return t.value(it.Text)
	case "key":
		if it.Keys == nil {
			return t.value(it.Key)
		}
		for _, k := range it.Keys {
			if t.value(k) {
				return true
			}
		}
		return false
	}
	for i := range it.Attrs {
		if it.Attrs[i].Name == t.attr && t.value(it.Attrs[i].Value) {
			return true
		}
	}
	return false
}

func (t *Term) value(v string) bool {
	if t.glob.any() {
		return true
	}
	if t.field.Normalize != nil {
		v = t.field.Normalize(v)
	}
	return t.glob.match(v) || t.field.Wild != nil && t.field.Wild(t.Pattern, v)
}

// String returns the terms as a spec writes them: `query="INSERT*"`.
func (m Match) String() string {
	parts := make([]string, len(m))
	for i, t := range m {
		parts[i] = fmt.Sprintf("%s=%q", t.Name, t.Pattern)
	}
	return strings.Join(parts, ", ")
}
