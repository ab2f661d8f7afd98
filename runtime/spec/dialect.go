package spec

import (
	"slices"

	"go.starlark.net/syntax"
)

// dialect is Starlark with what a spec is commonly written with. Recursion
// and while stay off, so that a spec ends.
var dialect = &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}

// reorder puts the arguments of every call into the order that Starlark wants,
// keeping each kind's own order: positional, keyword, *args, **kwargs. It
// returns the calls by the place of their opening parenthesis, which is what
// a Starlark stack frame tells.
func reorder(f *syntax.File) map[place]*syntax.CallExpr {
	calls := map[place]*syntax.CallExpr{}
	syntax.Walk(f, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			slices.SortStableFunc(call.Args, func(a, b syntax.Expr) int { return argRank(a) - argRank(b) })
			calls[place{call.Lparen.Line, call.Lparen.Col}] = call
		}
		return true
	})
	return calls
}

// place is a position within a file.
type place struct{ line, col int32 }

func argRank(arg syntax.Expr) int {
	switch e := arg.(type) {
	case *syntax.BinaryExpr:
		if e.Op == syntax.EQ {
			return 1
		}
	case *syntax.UnaryExpr:
		switch e.Op {
		case syntax.STAR:
			return 2
		case syntax.STARSTAR:
			return 3
		}
	}
	return 0
}
