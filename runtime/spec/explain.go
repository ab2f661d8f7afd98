package spec

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"faultbox/runtime"
)

// explain turns whatever went wrong into problems with positions.
func (l *loader) explain(err error) *Error {
	var known *Error
	var one *Problem
	var list resolve.ErrorList
	var parse syntax.Error
	eval := deepest(err)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &one):
		return &Error{[]Problem{*one}}
	case errors.As(err, &list):
		e := &Error{}
		for _, r := range list {
			e.Problems = append(e.Problems, *l.problemAt(r.Pos, l.hintBuiltin(r.Msg)))
		}
		return e
	case errors.As(err, &parse):
		return &Error{[]Problem{*l.problemAt(parse.Pos, parse.Msg)}}
	case eval != nil:
		s := l.siteOfStack(eval.CallStack)
		return &Error{[]Problem{*s.problem(s.pos, "%s", reword(eval.Msg))}}
	}
	return &Error{[]Problem{{Pos: l.file, Text: err.Error()}}}
}

// deepest returns the innermost error of the interpreter in err, the one
// whose stack is whole; nil if there is none.
func deepest(err error) *starlark.EvalError {
	var eval, found *starlark.EvalError
	for ; errors.As(err, &eval); err = eval.Unwrap() {
		found = eval
	}
	return found
}

// knows reports whether err tells its own position.
func (l *loader) knows(err error) bool {
	var known *Error
	var one *Problem
	var list resolve.ErrorList
	var parse syntax.Error
	return errors.As(err, &known) || errors.As(err, &one) || errors.As(err, &list) || errors.As(err, &parse) || deepest(err) != nil
}

func (l *loader) problemAt(pos syntax.Position, msg string) *Problem {
	return site{mod: l.modules[pos.Filename()]}.problem(pos, "%s", reword(msg))
}

// siteOfStack returns where the innermost Starlark code of a stack was.
func (l *loader) siteOfStack(stack starlark.CallStack) site {
	var s site
	for i := range stack {
		frame := stack.At(i)
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

var (
	hint      = regexp.MustCompile(` \(did you mean (\.?\w+)\?\)`)
	cancelled = "Starlark computation cancelled: "
)

// reword puts Starlark's own messages into the form of ours, and says what to
// do where a spec's author cannot know.
func reword(msg string) string {
	if strings.Contains(msg, "; did you mean") {
		msg = hint.ReplaceAllString(msg, "")
	}
	msg = hint.ReplaceAllString(msg, "; did you mean `$1`?")
	msg = strings.TrimPrefix(msg, cancelled)
	switch {
	case strings.Contains(msg, "frozen"):
		return msg + ": what a file defines at its top level does not change once it is loaded, because tests run side by side; keep what changes in local variables"
	case strings.Contains(msg, "called recursively"):
		return msg + ": a spec has no recursion; use a for loop"
	}
	return msg
}

// hintBuiltin adds the nearest builtin to a message about an undefined name
// for which Starlark found nothing near.
func (l *loader) hintBuiltin(msg string) string {
	name, ok := strings.CutPrefix(msg, "undefined: ")
	if !ok || strings.Contains(name, " ") {
		return msg
	}
	return msg + suggest(name, append(l.predeclared.Keys(), starlark.Universe.Keys()...))
}

// failure turns what a body raised into what the runner takes: a *Failure with
// its position and stack, or an *Error.
func (l *loader) failure(err error) error {
	if err == nil {
		return nil
	}
	var stack []string
	var at site
	if eval := deepest(err); eval != nil {
		stack = l.stackLines(eval.CallStack)
		at = l.siteOfStack(eval.CallStack)
	}
	var f *runtime.Failure
	if errors.As(err, &f) {
		out := *f
		if out.Pos == "" && at.mod != nil {
			out.Pos = at.String()
		}
		if out.Stack == nil {
			out.Stack = stack
		}
		return &out
	}
	return l.explain(err)
}

// stackLines writes a stack, innermost last, without the builtin that raised.
func (l *loader) stackLines(stack starlark.CallStack) []string {
	var lines []string
	for _, frame := range stack {
		if !frame.Pos.IsValid() || frame.Pos.Line == 0 {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s in %s", l.siteAt(frame.Pos), frame.Name))
	}
	return lines
}
