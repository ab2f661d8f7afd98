package spec

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// uses tells which names a function may come to use, by the names in the
// source: more than it really does, never less.
type uses struct {
	named  map[string]nameSet // by the name of a function or top-level variable
	placed map[string]nameSet // by the position of a def or lambda
}

type nameSet map[string]bool

// imperative are the builtins by which a test arms rules of its own.
var imperative = nameSet{"fault": true, "fault_all": true, "fault_start": true, "trace": true, "trace_start": true}

// observing are the builtins that look at traffic.
var observing = nameSet{"events": true, "assert_eventually": true, "assert_never": true, "assert_before": true, "monitor": true}

func findUses(modules []*module) *uses {
	u := &uses{named: map[string]nameSet{}, placed: map[string]nameSet{}}
	for _, m := range modules {
		syntax.Walk(m.file, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.DefStmt:
				names := namesIn(n)
				u.placed[n.Def.String()] = names
				u.add(n.Name.Name, names)
			case *syntax.LambdaExpr:
				u.placed[n.Lambda.String()] = namesIn(n)
			case *syntax.AssignStmt:
				names := namesIn(n.RHS)
				for target := range namesIn(n.LHS) {
					u.add(target, names)
				}
			case *syntax.LoadStmt:
				for i, from := range n.From {
					u.add(n.To[i].Name, nameSet{n.From[i].Name: true})
					u.add(from.Name, nameSet{n.To[i].Name: true})
				}
			}
			return true
		})
	}
	return u
}

func (u *uses) add(name string, names nameSet) {
	have := u.named[name]
	if have == nil {
		have = nameSet{}
		u.named[name] = have
	}
	for n := range names {
		have[n] = true
	}
}

func namesIn(n syntax.Node) nameSet {
	names := nameSet{}
	syntax.Walk(n, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok {
			names[id.Name] = true
		}
		return true
	})
	return names
}

// reaches reports whether fn may come to use one of the wanted names.
func (u *uses) reaches(fn starlark.Value, wanted nameSet) bool {
	f, ok := fn.(*starlark.Function)
	if !ok {
		b, isBuiltin := fn.(*starlark.Builtin)
		return isBuiltin && wanted[b.Name()]
	}
	seen := nameSet{}
	var visit func(nameSet) bool
	visit = func(names nameSet) bool {
		for n := range names {
			if wanted[n] {
				return true
			}
			if !seen[n] {
				seen[n] = true
				if visit(u.named[n]) {
					return true
				}
			}
		}
		return false
	}
	return visit(u.placed[f.Position().String()])
}

// testPrefix marks the functions that are tests by their name.
const testPrefix = "test_"

// checkTestNames refuses a second def of a test at the top level of a file: it
// would silently take the place of the first.
func checkTestNames(m *module) error {
	first := map[string]syntax.Position{}
	e := &Error{}
	for _, stmt := range m.file.Stmts {
		def, ok := stmt.(*syntax.DefStmt)
		if !ok || !strings.HasPrefix(def.Name.Name, testPrefix) {
			continue
		}
		if other, dup := first[def.Name.Name]; dup {
			s := site{mod: m}
			e.Problems = append(e.Problems, *s.problem(def.Name.NamePos, "two tests are named %q; the other is at %s", def.Name.Name, other))
			continue
		}
		first[def.Name.Name] = def.Name.NamePos
	}
	if len(e.Problems) > 0 {
		return e
	}
	return nil
}

// testFunctions returns a module's test_* functions in the order of the source.
func (l *loader) testFunctions(m *module) ([]*testDecl, error) {
	var found []*testDecl
	for _, name := range m.globals.Keys() {
		fn, ok := m.globals[name].(*starlark.Function)
		if !ok || !strings.HasPrefix(name, testPrefix) || fn.Position().Filename() != m.name {
			continue
		}
		s := site{mod: m, pos: fn.Position()}
		if !accepts(fn, 0) {
			return nil, s.errorf("%s: a test takes no argument", name)
		}
		found = append(found, &testDecl{name: name, site: s, scenario: fn})
	}
	sortBy(found, func(a, b *testDecl) bool {
		return a.site.pos.Line < b.site.pos.Line || a.site.pos.Line == b.site.pos.Line && a.site.pos.Col < b.site.pos.Col
	})
	return found, nil
}

// describeFunc names a function for people.
func describeFunc(fn starlark.Callable) string {
	if f, ok := fn.(*starlark.Function); ok && f.Name() == "lambda" {
		return fmt.Sprintf("the lambda at %s", f.Position())
	}
	return fn.Name()
}
