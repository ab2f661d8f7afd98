package spec

import (
	"fmt"
	"time"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/runtime"
)

// testDecl is a test as declared.
type testDecl struct {
	name     string
	site     site
	scenario starlark.Callable
	rules    []intercept.Rule
	faults   []string
	expect   starlark.Callable // nil: only what the faults touched is judged
	timeout  time.Duration
}

// defaultScenarioTimeout bounds a fault_scenario that names no timeout.
const defaultScenarioTimeout = 30 * time.Second

func (l *loader) addTest(d *testDecl) error {
	if err := l.declare("test", d.name, d.site); err != nil {
		return err
	}
	l.tests = append(l.tests, d)
	return nil
}

// test makes the runner's form of a test.
func (l *loader) test(d *testDecl) *runtime.Test {
	t := &runtime.Test{
		Name: d.name, Pos: d.site.String(), Timeout: d.timeout,
		Rules: l.concrete(d.rules), Faults: d.faults, Body: l.body(d),
	}
	watched := len(l.monitors) > 0
	for _, fn := range []starlark.Value{d.scenario, d.expect} {
		t.Dynamic = t.Dynamic || l.uses.reaches(fn, imperative)
		watched = watched || l.uses.reaches(fn, observing)
	}
	if t.Dynamic {
		t.Calls = l.namedCalls()
	}
	if watched {
		for _, s := range l.services {
			for _, itf := range s.svc.Interfaces {
				t.Traced = append(t.Traced, intercept.Edge{To: s.svc.Name, Interface: itf.Name})
			}
		}
	}
	return t
}

// scenario registers a probe, which also runs unfaulted as a test.
func (l *loader) scenario(c *call) (starlark.Value, error) {
	var fn starlark.Callable
	if err := c.unpack([]param{required("fn", toNamed(&fn))}, nil, nil); err != nil {
		return nil, err
	}
	return fn, l.addTest(&testDecl{name: fn.Name(), site: c.site, scenario: fn})
}

// toNamed takes a function without parameters that has a name of its own.
func toNamed(dst *starlark.Callable) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if err := toCallable(dst, 0)(v); err != nil {
			return err
		}
		if (*dst).Name() == "lambda" {
			return fmt.Errorf("a lambda has no name to report; write a def")
		}
		return nil
	}
}

func (l *loader) faultScenario(c *call) (starlark.Value, error) {
	d := &testDecl{site: c.site, timeout: defaultScenarioTimeout}
	var fl faultList
	err := c.unpack([]param{
		required("name", toWord(&d.name)),
		{name: "scenario", set: toCallable(&d.scenario, 0), required: true},
		{name: "faults", set: fl.toFaults, required: true},
		keyword("expect", toCallable(&d.expect, 1)),
		keyword("timeout", toTimeout(&d.timeout)),
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	if len(fl.items) == 0 {
		return nil, c.errorf("%q has no faults; a scenario without faults is registered with scenario(…)", d.name)
	}
	if d.rules, err = fl.rules(c, ""); err != nil {
		return nil, err
	}
	d.faults = fl.names()
	return starlark.None, l.addTest(d)
}

// cell is a place in a matrix.
type cell struct {
	scenario   starlark.Value
	assumption *assumptionValue
}

func (l *loader) faultMatrix(c *call) (starlark.Value, error) {
	name := "matrix"
	var scenarios []starlark.Callable
	var fl faultList
	var expect starlark.Callable
	overrides, excluded := map[cell]starlark.Callable{}, map[cell]bool{}
	timeout := defaultScenarioTimeout
	err := c.unpack([]param{
		optional("name", toWord(&name)),
		{name: "scenarios", required: true, keyword: true, set: toList(func(v starlark.Value) error {
			var fn starlark.Callable
			err := toNamed(&fn)(v)
			scenarios = append(scenarios, fn)
			return err
		})},
		{name: "faults", required: true, keyword: true, set: fl.toFaults},
		keyword("default_expect", toCallable(&expect, 1)),
		keyword("overrides", toOverrides(overrides)),
		keyword("exclude", toList(func(v starlark.Value) error {
			at, err := toCell(v)
			excluded[at] = true
			return err
		})),
		keyword("timeout", toTimeout(&timeout)),
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	count := 0
	known := map[cell]bool{}
	for _, fn := range scenarios {
		for _, item := range fl.items {
			a, ok := item.(*assumptionValue)
			if !ok {
				return nil, c.site.problem(c.site.keyword("faults"), "%s: `faults`: a cell needs a name; put %s into a fault_assumption", c.name, item)
			}
			at := cell{fn, a}
			known[at] = true
			if excluded[at] {
				continue
			}
			d := &testDecl{
				name: fmt.Sprintf("%s[%s/%s]", name, fn.Name(), a.name), site: c.site, scenario: fn,
				rules: a.rules(), faults: []string{a.name}, expect: expect, timeout: timeout,
			}
			if special := overrides[at]; special != nil {
				d.expect = special
			}
			if err := l.addTest(d); err != nil {
				return nil, err
			}
			count++
		}
	}
	for at := range overrides {
		if excluded[at] {
			return nil, c.site.problem(c.site.keyword("overrides"), "%s: `overrides`: %s is in `exclude` too", c.name, at)
		}
		if !known[at] {
			return nil, c.site.problem(c.site.keyword("overrides"), "%s: `overrides`: %s is no cell of this matrix", c.name, at)
		}
	}
	for at := range excluded {
		if !known[at] {
			return nil, c.site.problem(c.site.keyword("exclude"), "%s: `exclude`: %s is no cell of this matrix", c.name, at)
		}
	}
	if count == 0 {
		return nil, c.errorf("the matrix is empty")
	}
	return starlark.None, nil
}

func (at cell) String() string {
	return fmt.Sprintf("(%s, %s)", at.scenario.(starlark.Callable).Name(), at.assumption.name)
}

func toOverrides(dst map[cell]starlark.Callable) func(starlark.Value) error {
	return func(v starlark.Value) error {
		d, ok := v.(*starlark.Dict)
		if !ok {
			return wants("a dict of expectations by (scenario, assumption)", v)
		}
		for _, kv := range d.Items() {
			at, err := toCell(kv[0])
			if err != nil {
				return err
			}
			var fn starlark.Callable
			if err := toCallable(&fn, 1)(kv[1]); err != nil {
				return err
			}
			dst[at] = fn
		}
		return nil
	}
}

func toCell(v starlark.Value) (cell, error) {
	pair, _ := elements(v)
	if len(pair) == 2 {
		fn, isFn := pair[0].(starlark.Callable)
		a, isAssumption := pair[1].(*assumptionValue)
		if isFn && isAssumption {
			return cell{fn, a}, nil
		}
	}
	return cell{}, wants("a pair (scenario, assumption)", v)
}
