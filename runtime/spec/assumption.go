package spec

import (
	"fmt"
	"slices"

	"go.starlark.net/starlark"

	"faultbox/intercept"
)

// assumptionValue is what fault_assumption(…) returns: rules with a name.
type assumptionValue struct {
	opaque
	name  string
	site  site
	parts []part
}

// part is what an assumption, or a list of faults, is made of: rules of its
// own, or an assumption.
type part struct {
	rules  []intercept.Rule
	nested *assumptionValue
}

// flatten returns the rules of all parts, in order. An assumption that is there
// several times, by way of others perhaps, counts once.
func flatten(parts []part, seen map[*assumptionValue]bool) (rules []intercept.Rule) {
	for _, p := range parts {
		rules = append(rules, p.rules...)
		if a := p.nested; a != nil && !seen[a] {
			seen[a] = true
			rules = append(rules, flatten(a.parts, seen)...)
		}
	}
	return rules
}

func (a *assumptionValue) rules() []intercept.Rule {
	return flatten([]part{{nested: a}}, map[*assumptionValue]bool{})
}

func (a *assumptionValue) String() string        { return fmt.Sprintf("fault_assumption(%q)", a.name) }
func (a *assumptionValue) Type() string          { return "fault_assumption" }
func (a *assumptionValue) Hash() (uint32, error) { return starlark.String(a.name).Hash() }

// faultList gathers what fault_assumption(…), fault(…) and the like are given,
// until the target is known and rules can be made.
type faultList struct {
	target starlark.Value
	items  []starlark.Value // *faultValue, *assumptionValue
	calls  []starlark.Tuple // name of a system call, faults
}

// toFaults takes a fault, an assumption, or a list of them.
func (fl *faultList) toFaults(v starlark.Value) error {
	return toList(func(v starlark.Value) error {
		switch v.(type) {
		case *faultValue, *assumptionValue:
			fl.items = append(fl.items, v)
			return nil
		}
		return wants("a fault or a fault_assumption", v)
	})(v)
}

// toCalls takes a keyword that names a system call: its value must be a fault.
// known are the keywords that the builtin has itself.
func (fl *faultList) toCalls(l *loader, known []param) func(string, starlark.Value) error {
	return func(name string, v starlark.Value) error {
		if isCallFault(v) {
			fl.calls = append(fl.calls, starlark.Tuple{starlark.String(name), v})
			return nil
		}
		if l.checkSyscall(name) == nil || serviceOf(fl.target) != nil && serviceOf(fl.target).ops[name] != nil {
			return fmt.Errorf("`%s`: %w", name, wants(`a fault of system calls such as deny("EIO"), or a list of them`, v))
		}
		var names []string
		for _, p := range known {
			names = append(names, p.name)
		}
		return fmt.Errorf("unknown argument `%s`%s (it takes %s, and system calls with their faults)", name, suggest(name, names), enumerate(names, "and"))
	}
}

// rules is bind, flattened.
func (fl *faultList) rules(c *call, name string) ([]intercept.Rule, error) {
	parts, err := fl.bind(c, name)
	return flatten(parts, map[*assumptionValue]bool{}), err
}

// bind binds everything to its target. name is the assumption's, or "".
func (fl *faultList) bind(c *call, name string) ([]part, error) {
	var parts []part
	for _, item := range fl.items {
		if a, ok := item.(*assumptionValue); ok {
			parts = append(parts, part{nested: a})
			continue
		}
		bound, err := item.(*faultValue).bind(c.l, name, fl.target)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{rules: bound})
	}
	for _, kv := range fl.calls {
		keyword := string(kv[0].(starlark.String))
		svc := serviceOf(fl.target)
		if svc == nil {
			return nil, c.site.problem(c.site.keyword(keyword), "%s: `%s`: faults of system calls need a `target`", c.name, keyword)
		}
		bound, err := c.l.bindCall(name, svc, keyword, kv[1])
		if err != nil {
			return nil, c.at(c.site.keyword(keyword), err)
		}
		parts = append(parts, part{rules: bound})
	}
	return parts, nil
}

// names returns the names of the assumptions in the list.
func (fl *faultList) names() []string {
	var names []string
	for _, item := range fl.items {
		if a, ok := item.(*assumptionValue); ok && !slices.Contains(names, a.name) {
			names = append(names, a.name)
		}
	}
	return names
}

// serviceOf returns the service that a target is, or belongs to; nil if none.
func serviceOf(target starlark.Value) *serviceValue {
	switch t := target.(type) {
	case *serviceValue:
		return t
	case *interfaceRef:
		return t.svc
	}
	return nil
}

func (l *loader) assumption(c *call) (starlark.Value, error) {
	a := &assumptionValue{site: c.site}
	var fl, rules, nested faultList
	var description string
	params := []param{
		required("name", toWord(&a.name)), keyword("target", toTarget(&fl.target)),
		keyword("rules", rules.toFaults), keyword("faults", nested.toFaults),
		keyword("description", toString(&description)),
	}
	err := c.unpack(params, func(_ int, v starlark.Value) error { return fl.toFaults(v) }, fl.toCalls(l, params))
	if err != nil {
		return nil, err
	}
	fl.items = append(append(fl.items, rules.items...), nested.items...)
	if len(fl.items)+len(fl.calls) == 0 {
		return nil, c.errorf("%q names no fault", a.name)
	}
	if a.parts, err = fl.bind(c, a.name); err != nil {
		return nil, err
	}
	return a, l.declare("assumption", a.name, c.site)
}
