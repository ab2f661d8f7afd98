package spec

import (
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// monitor is a check on events that holds throughout a test. It is judged when
// the body has ended, on the whole timeline.
type monitor struct {
	name  string
	site  site
	on    filter
	check starlark.Callable
}

// monitor registers a monitor: at load for every test, in a test for that test.
func (l *loader) monitor(c *call) (starlark.Value, error) {
	m := &monitor{site: c.site}
	err := c.unpack([]param{
		required("name", toWord(&m.name)), keyword("on", m.on.toFilter),
		{name: "check", set: toCallable(&m.check, 1, 2), required: true},
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := l.whenLoaded(func() *Problem { return m.on.check(c) }); err != nil {
		return nil, err
	}
	if a := actionOf(c.thread); a != nil {
		a.monitors = append(a.monitors[:len(a.monitors):len(a.monitors)], m)
		return starlark.None, nil
	}
	l.monitors = append(l.monitors, m)
	return starlark.None, l.declare("monitor", m.name, c.site)
}

// judgeMonitors shows every monitor its events, oldest first. A check that
// takes two arguments is also given the list of the earlier ones.
func (a *action) judgeMonitors(thread *starlark.Thread) error {
	for _, m := range a.monitors {
		found, err := a.find(thread, &m.on, 0)
		if err != nil {
			return err
		}
		fn, isFunc := m.check.(*starlark.Function)
		withEarlier := isFunc && !accepts(fn, 1)
		var earlier []starlark.Value
		for _, e := range found {
			args := starlark.Tuple{e}
			if withEarlier {
				args = append(args, starlark.NewList(earlier[:len(earlier):len(earlier)]))
			}
			v, err := starlark.Call(thread, m.check, args, nil)
			if err == nil && v == starlark.False {
				err = &runtime.Failure{Pos: m.site.String(), Message: fmt.Sprintf("monitor %q does not hold for %s", m.name, e)}
			}
			var f *runtime.Failure
			if errors.As(err, &f) && f.Message != "" && f.Pos != m.site.String() {
				err = &runtime.Failure{Pos: f.Pos, Message: fmt.Sprintf("monitor %q: %s (%s)", m.name, f.Message, e)}
			}
			if err != nil {
				return err
			}
			earlier = append(earlier, e)
		}
	}
	return nil
}
