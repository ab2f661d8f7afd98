package spec

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
)

// TestReference loads every example. The first is the system that the others
// continue; one that declares services stands alone.
func TestReference(t *testing.T) {
	var blocks []string
	for i, part := range strings.Split(Reference, "```") {
		if code, ok := strings.CutPrefix(part, "python\n"); ok && i%2 == 1 {
			blocks = append(blocks, code)
		}
	}
	if len(blocks) < 6 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for i, code := range blocks {
		if i > 0 && !strings.Contains(code, "service(") && !strings.Contains(code, "compose(") {
			code = blocks[0] + code
		}
		chdir(t, map[string]string{"faultbox.star": code})
		if _, err := Load(context.Background(), "faultbox.star", testOptions()); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
}

// TestReferenceIsComplete looks for each builtin and each keyword of one.
func TestReferenceIsComplete(t *testing.T) {
	l := &loader{}
	words := l.builtins().Keys()
	words = append(words, responseAttrs...)
	words = append(words, eventAttrs...)
	words = append(words, addressAttrs...)
	words = append(words, sortedKeys(eventFields.Fields)...)
	words = append(words, l.keywords(t)...)
	slices.Sort(words)
	for _, w := range slices.Compact(words) {
		if !regexp.MustCompile(`\b` + w + `\b`).MatchString(Reference) {
			t.Errorf("the reference does not mention %s", w)
		}
	}
}

// keywords returns the parameters of the builtins, as their own messages list them.
func (l *loader) keywords(t *testing.T) []string {
	t.Helper()
	var words []string
	listed := regexp.MustCompile(`\(it takes (.*?)(, and system calls with their faults)?\)`)
	for name, v := range l.builtins() {
		fn, ok := v.(*starlark.Builtin)
		if !ok {
			continue
		}
		_, err := starlark.Call(new(starlark.Thread), fn, nil, []starlark.Tuple{{starlark.String("no_such_keyword"), starlark.None}})
		if err == nil {
			continue // faults take any keyword as a matcher
		}
		if m := listed.FindStringSubmatch(err.Error()); m != nil && m[1] != "none" {
			words = append(words, strings.Split(strings.ReplaceAll(m[1], " and ", ", "), ", ")...)
		} else if m == nil && !strings.Contains(err.Error(), "works in a test") && !strings.Contains(err.Error(), "missing") {
			t.Logf("%s: %v", name, err)
		}
	}
	return words
}
