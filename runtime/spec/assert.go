package spec

import (
	"context"
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/runtime"
)

// defaultWait is how long assert_eventually and eventually wait.
const defaultWait = 5 * time.Second

// failf is a check that did not hold. Its position is the call's.
func (c *call) failf(msg, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if msg != "" {
		text = msg + ": " + text
	}
	return &runtime.Failure{Pos: c.site.String(), Message: text}
}

// toMessage takes a message; what is no string is shown.
func toMessage(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if s, ok := starlark.AsString(v); ok {
			*dst = s
		} else {
			*dst = v.String()
		}
		return nil
	}
}

func (l *loader) assertTrue(c *call) (starlark.Value, error) {
	var cond starlark.Value
	var msg string
	if err := c.unpack([]param{required("cond", toValue(&cond)), optional("msg", toMessage(&msg))}, nil, nil); err != nil {
		return nil, err
	}
	if cond.Truth() {
		return starlark.None, nil
	}
	if msg != "" {
		return nil, &runtime.Failure{Pos: c.site.String(), Message: msg}
	}
	text := show(cond)
	if cond == starlark.False {
		text = c.source()
	}
	return nil, c.failf("", "it is not true that %s", text)
}

// source returns the text of the first argument, as far as it is on one line.
func (c *call) source() string {
	if c.site.call == nil || c.site.mod == nil || len(c.site.call.Args) == 0 {
		return "the condition holds"
	}
	if s := sourceOf(c.site.mod.src, c.site.call.Args[0]); s != "" {
		return s
	}
	return "the condition holds"
}

func (l *loader) assertEq(c *call) (starlark.Value, error) {
	var got, want starlark.Value
	var msg string
	err := c.unpack([]param{required("a", toValue(&got)), required("b", toValue(&want)), optional("msg", toMessage(&msg))}, nil, nil)
	if err != nil {
		return nil, err
	}
	eq, err := starlark.Equal(got, want)
	if err != nil {
		return nil, c.errorf("compare: %s", err)
	}
	if eq {
		return starlark.None, nil
	}
	return nil, c.failf(msg, "got %s, want %s", full(got), full(want))
}

// full writes a value for the message of a comparison.
func full(v starlark.Value) string {
	s := []rune(v.String())
	if len(s) > 2000 {
		return string(s[:2000]) + "…"
	}
	return string(s)
}

// assertEventually holds once a predicate without parameters is true, or an
// event that is meant is in the timeline.
func (l *loader) assertEventually(c *call) (starlark.Value, error) {
	var f filter
	var pred starlark.Callable
	var msg string
	timeout := defaultWait
	err := c.unpack([]param{
		optional("where", toCondition(&f, &pred)), keyword("timeout", toDuration(&timeout)), keyword("msg", toMessage(&msg)),
	}, nil, f.add)
	if err = f.checked(c, err); err != nil {
		return nil, err
	}
	if pred != nil {
		v, err := l.poll(c, pred, timeout)
		if err == nil && !v.Truth() {
			err = c.failf(msg, "%s did not become true within %s", describeFunc(pred), timeout)
		}
		return starlark.None, err
	}
	a := actionOf(c.thread)
	ctx, cancel := context.WithTimeout(a.t.Context(), timeout)
	defer cancel()
	e, err := a.await(ctx, c.thread, &f)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, c.failf(msg, "no event like (%s) within %s", f.describe(), timeout)
	}
	return e, nil
}

// toCondition takes what toFilter takes, or a predicate without parameters.
func toCondition(f *filter, pred *starlark.Callable) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if fn, ok := v.(*starlark.Function); ok && accepts(fn, 0) {
			*pred = fn
			return nil
		}
		return f.toFilter(v)
	}
}

// assertNever holds when no event so far is meant, nor within the time given.
func (l *loader) assertNever(c *call) (starlark.Value, error) {
	var f filter
	var pred starlark.Callable
	var msg string
	var during time.Duration
	err := c.unpack([]param{
		optional("where", toCondition(&f, &pred)), keyword("during", toDuration(&during)), keyword("msg", toMessage(&msg)),
	}, nil, f.add)
	if err = f.checked(c, err); err != nil {
		return nil, err
	}
	if pred != nil {
		v, err := l.poll(c, pred, during)
		if err == nil && v.Truth() {
			err = c.failf(msg, "%s became true", describeFunc(pred))
		}
		return starlark.None, err
	}
	a := actionOf(c.thread)
	found, err := a.find(c.thread, &f, 1)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && during > 0 {
		ctx, cancel := context.WithTimeout(a.t.Context(), during)
		defer cancel()
		e, err := a.await(ctx, c.thread, &f)
		if err != nil {
			return nil, err
		}
		if e != nil {
			found = append(found, e)
		}
	}
	if len(found) > 0 {
		return nil, c.failf(msg, "there is an event like (%s): %s", f.describe(), found[0])
	}
	return starlark.None, nil
}

// assertBefore holds when the first event of one kind comes before the first
// of another. Both must be there.
func (l *loader) assertBefore(c *call) (starlark.Value, error) {
	var first, then filter
	var msg string
	err := c.unpack([]param{
		required("first", first.toFilter), required("then", then.toFilter), keyword("msg", toMessage(&msg)),
	}, nil, nil)
	if err = then.checked(c, first.checked(c, err)); err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	x, err := a.find(c.thread, &first, 1)
	if err != nil {
		return nil, err
	}
	y, err := a.find(c.thread, &then, 1)
	switch {
	case err != nil:
		return nil, err
	case len(x) == 0:
		return nil, c.failf(msg, "no event like (%s)", first.describe())
	case len(y) == 0:
		return nil, c.failf(msg, "no event like (%s)", then.describe())
	case !began(&x[0].ev, &y[0].ev):
		return nil, c.failf(msg, "%s came after %s", x[0], y[0])
	}
	return starlark.None, nil
}

// began reports whether a began before b.
func began(a, b *intercept.Event) bool {
	return a.At < b.At || a.At == b.At && a.Seq < b.Seq
}
