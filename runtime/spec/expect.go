package spec

import (
	"fmt"
	"math"
	"time"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// expectation is what expect_success(), expect_error_within(…) and
// expect_hang(…) return.
type expectation struct {
	opaque
	name  string
	site  site
	limit time.Duration
}

func (e *expectation) String() string { return e.name }
func (e *expectation) Type() string   { return "expectation" }
func (e *expectation) Name() string   { return e.name }
func (e *expectation) hang() bool     { return e.name == "expect_hang" }

func (l *loader) expectation(c *call) (starlark.Value, error) {
	e := &expectation{name: c.name, site: c.site}
	var params []param
	if c.name != "expect_success" {
		params = append(params, required("ms", func(v starlark.Value) error {
			var ms int
			err := toInt(&ms, 1, math.MaxInt32)(v)
			e.limit = time.Duration(ms) * time.Millisecond
			return err
		}))
	}
	return e, c.unpack(params, nil, nil)
}

// CallInternal judges a response given to it directly: expect_success()(r).
func (e *expectation) CallInternal(_ *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) != 1 || len(kwargs) != 0 {
		return nil, fmt.Errorf("%s: want one argument, the response to judge", e.name)
	}
	return starlark.None, e.judge(args[0], 0, true)
}

// judge says whether the observable is as expected. took is how long the
// scenario took; ended is false for one that was given up on.
func (e *expectation) judge(observed starlark.Value, took time.Duration, ended bool) error {
	if !ended {
		return nil
	}
	all, err := e.responses(observed)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range all {
		if !r.ok {
			failed++
		}
		if r.took == 0 {
			r.took = took
		}
		took = max(took, r.took)
		switch late := r.took > e.limit; {
		case e.name == "expect_success" && !r.ok:
			return e.failf("expected success, got %s", full(r.value))
		case e.name == "expect_error_within" && !r.ok && late:
			return e.failf("expected an error within %s, it took %s: %s", e.limit, r.took.Round(time.Millisecond), full(r.value))
		}
	}
	switch {
	case e.name == "expect_error_within" && failed == 0:
		return e.failf("expected an error within %s, got success: %s", e.limit, full(observed))
	case e.hang() && (failed == 0 || took < e.limit):
		return e.failf("expected it to hang for %s, it ended after %s: %s", e.limit, took.Round(time.Millisecond), full(observed))
	}
	return nil
}

func (e *expectation) failf(format string, args ...any) error {
	return &runtime.Failure{Pos: e.site.String(), Message: fmt.Sprintf(format, args...)}
}

// outcome is what is judged of a response.
type outcome struct {
	value starlark.Value
	ok    bool
	took  time.Duration // 0: unknown
}

// responses takes a response, a bool, or a list of them.
func (e *expectation) responses(v starlark.Value) ([]outcome, error) {
	switch v := v.(type) {
	case *responseValue:
		return []outcome{{v, v.resp.OK, v.resp.Duration}}, nil
	case starlark.Bool:
		return []outcome{{v, bool(v), 0}}, nil
	}
	items, ok := elements(v)
	if !ok || len(items) == 0 {
		return nil, e.failf("%s judges a response, or a list of them; the scenario returned %s", e.name, show(v))
	}
	var all []outcome
	for _, x := range items {
		more, err := e.responses(x)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}
