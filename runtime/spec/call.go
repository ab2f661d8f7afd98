package spec

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// site is where a call stands in the source.
type site struct {
	mod  *module          // nil when no source is known
	call *syntax.CallExpr // nil when the call is not in the source (a callback)
	pos  syntax.Position
	up   []string // the calls that led there, outermost first
}

func (s site) String() string { return s.pos.String() }

// problem blames a position of the site's file.
func (s site) problem(pos syntax.Position, format string, args ...any) *Problem {
	p := &Problem{Pos: pos.String(), Text: fmt.Sprintf(format, args...), Called: s.up}
	if s.mod != nil {
		p.Source = excerpt(s.mod.src, pos)
	}
	return p
}

// errorf blames the call as a whole.
func (s site) errorf(format string, args ...any) error { return s.problem(s.pos, format, args...) }

// keyword returns the position of a keyword argument, else of the call.
func (s site) keyword(name string) syntax.Position {
	if s.call != nil {
		for _, arg := range s.call.Args {
			if e, ok := arg.(*syntax.BinaryExpr); ok && e.Op == syntax.EQ {
				if id, ok := e.X.(*syntax.Ident); ok && id.Name == name {
					return id.NamePos
				}
			}
		}
	}
	return s.pos
}

// positional returns the position of the i-th positional argument, else of the call.
func (s site) positional(i int) syntax.Position {
	if s.call != nil && i < len(s.call.Args) && argRank(s.call.Args[i]) == 0 {
		return syntax.Start(s.call.Args[i])
	}
	return s.pos
}

// siteOf returns the call that the innermost running builtin was called by.
func (l *loader) siteOf(thread *starlark.Thread) site {
	var s site
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		frame := thread.CallFrame(depth)
		if !frame.Pos.IsValid() || frame.Pos.Line == 0 {
			continue
		}
		if s.mod == nil {
			s = l.siteAt(frame.Pos)
			continue
		}
		s.up = append([]string{l.siteAt(frame.Pos).String()}, s.up...)
	}
	return s
}

// siteAt returns the call whose parenthesis opens at pos.
func (l *loader) siteAt(pos syntax.Position) site {
	s := site{pos: pos, mod: l.modules[pos.Filename()]}
	if s.mod != nil {
		if call := s.mod.calls[place{pos.Line, pos.Col}]; call != nil {
			s.call, s.pos = call, syntax.Start(call)
		}
	}
	return s
}

// call is one call of a builtin.
type call struct {
	l      *loader
	thread *starlark.Thread
	name   string
	site   site
	args   starlark.Tuple
	kwargs []starlark.Tuple
}

// String writes the call out: the place, and what it is given.
func (c *call) String() string { return fmt.Sprint(c.site, " ", c.name, c.args, c.kwargs) }

// param is a parameter of a builtin. set takes the argument; its error says
// what is wanted, without naming the parameter.
type param struct {
	name     string
	set      func(starlark.Value) error
	required bool
	keyword  bool // only by keyword
}

func required(name string, set func(starlark.Value) error) param {
	return param{name: name, set: set, required: true}
}

func optional(name string, set func(starlark.Value) error) param {
	return param{name: name, set: set}
}

func keyword(name string, set func(starlark.Value) error) param {
	return param{name: name, set: set, keyword: true}
}

// unpack hands each argument to its parameter. Positional arguments beyond the
// parameters go to rest, unknown keywords to other; nil means that there may
// be none. None stands for an optional argument that is absent.
func (c *call) unpack(params []param, rest func(i int, v starlark.Value) error, other func(name string, v starlark.Value) error) error {
	given := map[string]bool{}
	byPos := 0
	for i, v := range c.args {
		for byPos < len(params) && params[byPos].keyword {
			byPos++
		}
		var err error
		switch {
		case byPos < len(params):
			given[params[byPos].name] = true
			err = c.take(params[byPos], v, c.site.positional(i))
			byPos++
		case rest != nil:
			err = c.at(c.site.positional(i), rest(i, v))
		default:
			err = c.site.problem(c.site.positional(i), "%s: too many arguments: %s is one more than it takes by position", c.name, show(v))
		}
		if err != nil {
			return err
		}
	}
	for _, kv := range c.kwargs {
		if err := c.takeKeyword(params, given, string(kv[0].(starlark.String)), kv[1], other); err != nil {
			return err
		}
	}
	for _, p := range params {
		if p.required && !given[p.name] {
			return c.errorf("`%s` is missing", p.name)
		}
	}
	return nil
}

func (c *call) takeKeyword(params []param, given map[string]bool, name string, v starlark.Value, other func(string, starlark.Value) error) error {
	for _, p := range params {
		if p.name != name {
			continue
		}
		if given[name] {
			return c.site.problem(c.site.keyword(name), "%s: `%s` is given twice", c.name, name)
		}
		given[name] = true
		return c.take(p, v, c.site.keyword(name))
	}
	if other != nil {
		return c.at(c.site.keyword(name), other(name, v))
	}
	names := make([]string, len(params))
	for i, p := range params {
		names[i] = p.name
	}
	return c.site.problem(c.site.keyword(name), "%s", unknownArg(c.name, name, names))
}

func (c *call) take(p param, v starlark.Value, pos syntax.Position) error {
	if v == starlark.None && !p.required {
		return nil
	}
	err := p.set(v)
	var known *Problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	return c.site.problem(pos, "%s: `%s`: %s", c.name, p.name, err)
}

// at blames a position for err, unless err knows its own.
func (c *call) at(pos syntax.Position, err error) error {
	var known *Problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	return c.site.problem(pos, "%s: %s", c.name, err)
}

func (c *call) errorf(format string, args ...any) error {
	return c.site.errorf("%s: %s", c.name, fmt.Sprintf(format, args...))
}

// unknownArg says that a callable has no such argument.
func unknownArg(callable, name string, names []string) string {
	text := fmt.Sprintf("%s: unknown argument `%s`%s", callable, name, suggest(name, names))
	if len(names) == 0 {
		return text + " (it takes none)"
	}
	return text + " (it takes " + enumerate(names, "and") + ")"
}

// show writes a value as the user wrote it, shortened.
func show(v starlark.Value) string {
	s := []rune(v.String())
	if len(s) > 60 {
		return string(s[:60]) + "…"
	}
	return string(s)
}
