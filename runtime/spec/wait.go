package spec

import (
	"context"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// pollInterval is the pause between two looks at a predicate.
const pollInterval = 20 * time.Millisecond

func (l *loader) sleep(c *call) (starlark.Value, error) {
	var d time.Duration
	if err := c.unpack([]param{required("duration", toDuration(&d))}, nil, nil); err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	a.wait(func() { pause(a.t.Context(), d) })
	return starlark.None, nil
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// eventually calls a predicate until it returns something true, and returns
// what it returned last.
func (l *loader) eventually(c *call) (starlark.Value, error) {
	var pred starlark.Callable
	timeout := defaultWait
	err := c.unpack([]param{required("pred", toCallable(&pred, 0)), optional("timeout", toDuration(&timeout))}, nil, nil)
	if err != nil {
		return nil, err
	}
	return l.poll(c, pred, timeout)
}

func (l *loader) poll(c *call, pred starlark.Callable, timeout time.Duration) (starlark.Value, error) {
	a := actionOf(c.thread)
	deadline := time.Now().Add(timeout)
	for {
		v, err := starlark.Call(c.thread, pred, nil, nil)
		if err != nil || bool(v.Truth()) || !time.Now().Before(deadline) {
			return v, err
		}
		a.wait(func() { pause(a.t.Context(), min(pollInterval, time.Until(deadline))) })
	}
}

// events returns the events so far that are meant, in the order in which they began.
func (l *loader) events(c *call) (starlark.Value, error) {
	var f filter
	if err := f.checked(c, c.unpack([]param{optional("where", f.toFilter)}, nil, f.add)); err != nil {
		return nil, err
	}
	found, err := actionOf(c.thread).find(c.thread, &f, 0)
	if err != nil {
		return nil, err
	}
	items := make([]starlark.Value, len(found))
	for i, e := range found {
		items[i] = e
	}
	return starlark.NewList(items), nil
}

// sourceOf returns the source text of an expression on one line, else "".
func sourceOf(src string, e syntax.Expr) string {
	start, end := e.Span()
	if start.Line != end.Line {
		return ""
	}
	line := lineOf(src, int(start.Line))
	if from, to := int(start.Col)-1, int(end.Col)-1; from >= 0 && from < to && to <= len(line) {
		return string(line[from:to])
	}
	return ""
}
