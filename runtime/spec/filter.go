package spec

import (
	"context"
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/protocols"
)

// filter says which events are meant. The zero filter means all.
type filter struct {
	fields []fieldFilter
	where  starlark.Callable
	data   map[string]starlark.Value // fields of a log line
}

// fieldFilter is met by an event that meets one of its terms.
type fieldFilter struct {
	name string
	any  []intercept.Term
}

// toFilter takes a dict of filters, or a function of an event.
func (f *filter) toFilter(v starlark.Value) error {
	if fn, ok := v.(starlark.Callable); ok {
		return toCallable(&f.where, 1)(fn)
	}
	return toDict("a dict of filters or a function of an event", f.add)(v)
}

// add adds a filter by name.
func (f *filter) add(name string, v starlark.Value) error {
	switch name {
	case "where":
		return toCallable(&f.where, 1)(v)
	case "data":
		f.data = map[string]starlark.Value{}
		return toDict("a dict of fields of a log line", func(key string, v starlark.Value) error {
			f.data[key] = v
			return nil
		})(v)
	}
	if _, ok := eventFields.Fields[name]; !ok {
		names := append(sortedKeys(eventFields.Fields), "data", "where")
		return fmt.Errorf("unknown filter `%s`%s (there are %s)", name, suggest(name, names), enumerate(names, "and"))
	}
	var field fieldFilter
	err := toList(func(v starlark.Value) error {
		pattern, err := toPattern(v)
		if err != nil {
			return err
		}
		t, err := intercept.NewTerm(eventFields, name, "", pattern)
		field.any = append(field.any, t)
		return err
	})(v)
	if err != nil {
		return fmt.Errorf("`%s`: %w", name, err)
	}
	field.name = name
	f.fields = append(f.fields, field)
	return nil
}

// check refuses a filter for what there is not: no event would ever meet it. All
// services must be known.
func (f *filter) check(c *call) *Problem {
	for _, field := range f.fields {
		names := c.l.filterable(field.name)
		for _, t := range field.any {
			fits := func(name string) bool {
				it := protocols.Item{Attrs: []protocols.Attr{{Name: field.name, Value: name}}}
				return intercept.Match{t}.Matches(&it)
			}
			if names != nil && !slices.ContainsFunc(names, fits) {
				return c.site.problem(c.site.keyword(field.name), "%s: `%s`: there is no %q%s (there are %s)", c.name, field.name, t.Pattern, suggest(t.Pattern, names), enumerate(names, "and"))
			}
		}
	}
	return nil
}

// checked is check for a call in a test.
func (f *filter) checked(c *call, err error) error {
	if err != nil {
		return err
	}
	if p := f.check(c); p != nil {
		return p
	}
	return nil
}

// filterable returns what an event can have in a field; nil: whatever.
func (l *loader) filterable(field string) (names []string) {
	switch field {
	case "kind":
		return eventKinds
	case "outcome":
		return eventOutcomes
	case "source", "from", "to", "service":
		return append(l.serviceNames(), testSource)
	case "interface":
		for _, s := range l.services {
			for _, r := range s.refs {
				names = append(names, r.itf.Name)
			}
		}
	case "proto":
		for _, p := range append(slices.Clone(l.Protocols), intercept.Syscalls, intercept.Network, intercept.Processes) {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// meets reports whether an event is meant.
func (f *filter) meets(thread *starlark.Thread, e *eventValue) (bool, error) {
	it := eventItem(&e.ev)
	for _, field := range f.fields {
		met := false
		for _, t := range field.any {
			met = met || intercept.Match{t}.Matches(it)
		}
		if !met {
			return false, nil
		}
	}
	if f.data != nil {
		have, _ := e.data().(map[string]any)
		for key, want := range f.data {
			got, ok := have[key]
			if !ok {
				return false, nil
			}
			if eq, err := starlark.Equal(fromGo(got), want); err != nil || !eq {
				return false, err
			}
		}
	}
	if f.where == nil {
		return true, nil
	}
	v, err := starlark.Call(thread, f.where, starlark.Tuple{e}, nil)
	return err == nil && bool(v.Truth()), err
}

// find returns the events so far that are meant, in the order in which they
// began, at most limit of them (0: all).
func (a *action) find(thread *starlark.Thread, f *filter, limit int) ([]*eventValue, error) {
	all, _ := a.t.Log().Timeline()
	return a.pick(thread, f, all, limit)
}

func (a *action) pick(thread *starlark.Thread, f *filter, all []intercept.Event, limit int) ([]*eventValue, error) {
	var found []*eventValue
	for _, ev := range all {
		e := &eventValue{l: a.l, ev: ev}
		ok, err := f.meets(thread, e)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, e)
		}
		if limit > 0 && len(found) == limit {
			break
		}
	}
	return found, nil
}

// await waits until an event that is meant has ended, or ctx ends; it returns
// nil then.
func (a *action) await(ctx context.Context, thread *starlark.Thread, f *filter) (*eventValue, error) {
	for n := 0; ; {
		var more []intercept.Event
		var over error
		a.wait(func() { more, over = a.t.Log().Next(ctx, n) })
		if over != nil {
			return nil, nil
		}
		n += len(more)
		found, err := a.pick(thread, f, more, 1)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
}

// describe writes the filter for a message.
func (f *filter) describe() string {
	s := ""
	for _, field := range f.fields {
		for _, t := range field.any {
			if s != "" {
				s += ", "
			}
			s += fmt.Sprintf("%s=%q", t.Name, t.Pattern)
		}
	}
	for _, key := range sortedKeys(f.data) {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("data.%s=%s", key, show(f.data[key]))
	}
	if f.where != nil {
		if s != "" {
			s += ", "
		}
		s += describeFunc(f.where)
	}
	if s == "" {
		return "any event"
	}
	return s
}
