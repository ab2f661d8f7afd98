package spec

import (
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"faultbox/intercept"
)

// trace observes without faulting: trace(…) while run runs, trace_start(…) until
// trace_stop(…). Traffic is in the timeline of every test that names this
// builtin; system calls are while they are traced.
func (l *loader) trace(c *call) (starlark.Value, error) {
	var target starlark.Value
	var calls []string
	var run starlark.Callable
	params := []param{
		required("target", toTarget(&target)),
		keyword("syscalls", toList(func(v starlark.Value) error {
			var name string
			if err := toWord(&name)(v); err != nil {
				return err
			}
			calls = append(calls, name)
			return l.checkSyscall(name)
		})),
	}
	if c.name == "trace" {
		params = append(params, param{name: "run", set: toCallable(&run, 0), required: true, keyword: true})
	}
	if err := c.unpack(params, nil, nil); err != nil {
		return nil, err
	}
	stop := func() {}
	if len(calls) > 0 {
		var err error
		if stop, err = actionOf(c.thread).t.Trace(serviceOf(target).svc.Name, calls); err != nil {
			return nil, c.site.problem(c.site.keyword("syscalls"), "%s: `syscalls`: %s", c.name, err)
		}
	}
	if run == nil {
		a := actionOf(c.thread)
		a.traced = append(a.traced, &started{target, stop})
		return starlark.None, nil
	}
	defer stop()
	return starlark.Call(c.thread, run, nil, nil)
}

// traceStop ends what trace_start(…) began for a target, or everything.
func (l *loader) traceStop(c *call) (starlark.Value, error) {
	var target starlark.Value
	if err := c.unpack([]param{optional("target", toTarget(&target))}, nil, nil); err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	a.traced = slices.DeleteFunc(a.traced, func(s *started) bool {
		stops := target == nil || s.target == target
		if stops {
			s.disarm()
		}
		return stops
	})
	return starlark.None, nil
}

// namedCalls returns the system calls that a body may come to fault or trace:
// what the source writes as a keyword of a builtin that takes them, and in
// lists of syscalls. It may be more than is used.
func (l *loader) namedCalls() []string {
	if l.CheckSyscall == nil {
		return nil
	}
	var calls []string
	for _, m := range l.order {
		syntax.Walk(m.file, func(n syntax.Node) bool {
			if id, ok := n.(*syntax.Ident); ok && id.Name == "lie" {
				calls = append(calls, intercept.LieCalls...)
			}
			call, ok := n.(*syntax.CallExpr)
			if !ok {
				return true
			}
			for _, arg := range call.Args {
				calls = append(calls, l.callsIn(call, arg)...)
			}
			return true
		})
	}
	slices.Sort(calls)
	return slices.Compact(calls)
}

// callsIn returns the system calls that an argument names.
func (l *loader) callsIn(call *syntax.CallExpr, arg syntax.Expr) (calls []string) {
	add := func(name string) {
		for _, s := range l.services {
			if op := s.ops[name]; op != nil {
				calls = append(calls, op.calls...)
			}
		}
		if l.CheckSyscall(name) == nil {
			calls = append(calls, name)
		}
	}
	e, ok := arg.(*syntax.BinaryExpr)
	if !ok || e.Op != syntax.EQ {
		if u, ok := arg.(*syntax.UnaryExpr); ok && u.Op == syntax.STARSTAR {
			eachString(u.X, add)
		}
		return calls
	}
	name, ok := e.X.(*syntax.Ident)
	switch fn, plain := call.Fn.(*syntax.Ident); {
	case !ok:
	case name.Name == "syscalls":
		eachString(e.Y, add)
	case plain && (imperative[fn.Name] || fn.Name == "fault_assumption"):
		add(name.Name)
	}
	return calls
}

func eachString(e syntax.Expr, fn func(string)) {
	syntax.Walk(e, func(n syntax.Node) bool {
		if lit, ok := n.(*syntax.Literal); ok {
			if s, ok := lit.Value.(string); ok {
				fn(s)
			}
		}
		return true
	})
}
