package spec

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/protocols"
)

// bind makes rules of a fault of a protocol, now that its target is known.
// name is the assumption's; the fault's label goes before it.
func (f *faultValue) bind(l *loader, name string, target starlark.Value) ([]intercept.Rule, error) {
	if f.rules != nil {
		return f.named(name), nil
	}
	if f.target != nil {
		target = f.target
	}
	var rules []intercept.Rule
	var err error
	switch t := target.(type) {
	case *interfaceRef:
		rules = make([]intercept.Rule, 1)
		rules[0], err = f.rule(t, name)
	case *serviceValue:
		rules, err = f.bindService(t, name)
	default:
		err = f.site.errorf("%s: it has no target; give it `target`, or give one to what uses it", f.kind)
	}
	for i := range rules {
		rules[i].Origin = fmt.Sprintf("%s on %s", f.origin, target)
	}
	return rules, err
}

// bindService aims a fault at every interface of a service that it fits.
func (f *faultValue) bindService(s *serviceValue, name string) ([]intercept.Rule, error) {
	var rules []intercept.Rule
	var why []string
	for _, r := range s.refs {
		rule, err := f.rule(r, name)
		if err == nil {
			rules = append(rules, rule)
			continue
		}
		if len(s.refs) == 1 {
			return nil, err
		}
		var p *Problem
		errors.As(err, &p)
		why = append(why, r.itf.Name+": "+strings.TrimPrefix(p.Text, f.kind+": "))
	}
	switch {
	case len(s.refs) == 0:
		return nil, f.site.errorf("%s: service %q declares no interface to act on", f.kind, s.svc.Name)
	case len(rules) == 0:
		return nil, f.site.errorf("%s: it fits no interface of %q: %s", f.kind, s.svc.Name, strings.Join(why, "; "))
	}
	return rules, nil
}

// rule aims a fault at one interface.
func (f *faultValue) rule(r *interfaceRef, name string) (intercept.Rule, error) {
	p := r.itf.Protocol
	if !slices.Contains(p.Faults, f.kind) {
		return intercept.Rule{}, f.refuse(p)
	}
	if f.source == r.svc.svc.Name {
		return intercept.Rule{}, f.site.problem(f.site.keyword("source"), "%s: `source` and target are both %q: what a service says to itself is not seen", f.kind, f.source)
	}
	match, err := f.terms(p)
	if err != nil {
		return intercept.Rule{}, err
	}
	fault, err := f.act(p)
	return intercept.Rule{
		Name: f.ruleName(name), Pos: f.site.String(), From: f.source,
		To: r.svc.svc.Name, Interface: r.itf.Name, Proto: p.Name,
		Match: match, Trigger: f.trigger, Fault: fault,
	}, err
}

func (f *faultValue) ruleName(name string) string {
	switch {
	case f.label != "":
		return f.label
	case name != "":
		return name
	}
	return f.String()
}

// refuse says that a protocol has no fault of this kind.
func (f *faultValue) refuse(p *protocols.Protocol) error {
	if f.kind != "delay" && slices.Contains(intercept.Syscalls.Faults, f.kind) {
		return f.site.errorf("%s: it acts on system calls and needs the name of one: `write = %s(…)`", f.kind, f.kind)
	}
	return f.site.errorf("%s: %s has no such fault; it has %s", f.kind, p.Name, enumerate(p.Faults, "and"))
}

// terms checks the matchers against what the protocol can be matched by.
func (f *faultValue) terms(p *protocols.Protocol) (intercept.Match, error) {
	var match intercept.Match
	for _, m := range f.match {
		blame := func(format string, args ...any) error {
			return f.site.problem(f.site.keyword(m.name), "%s: %s", f.kind, fmt.Sprintf(format, args...))
		}
		field, ok := p.Fields[m.name]
		if !ok {
			fields := sortedKeys(p.Fields)
			return nil, blame("%s cannot be matched by `%s`%s (it has %s)", p.Name, m.name, suggest(m.name, append(fields, f.params...)), enumerate(fields, "and"))
		}
		add := func(sub string, v starlark.Value) error {
			pattern, err := toPattern(v)
			if err != nil {
				return blame("`%s`: %s", m.name, err)
			}
			t, err := intercept.NewTerm(p, m.name, sub, pattern)
			if err != nil {
				return blame("%s", err)
			}
			match = append(match, t)
			return nil
		}
		if !strings.HasSuffix(field.Of, ":") {
			if err := add("", m.value); err != nil {
				return nil, err
			}
			continue
		}
		d, ok := m.value.(*starlark.Dict)
		if !ok || d.Len() == 0 {
			return nil, blame("`%s`: %s", m.name, wants(`a dict of patterns such as {"name": "value*"}`, m.value))
		}
		for _, kv := range d.Items() {
			sub, ok := starlark.AsString(kv[0])
			if !ok {
				return nil, blame("`%s`: %s", m.name, wants("strings as keys", kv[0]))
			}
			if err := add(sub, kv[1]); err != nil {
				return nil, err
			}
		}
	}
	return match, nil
}

// toPattern takes a glob; a number stands for its digits, a service for its name.
func toPattern(v starlark.Value) (string, error) {
	if b, ok := v.(starlark.Bytes); ok {
		v = starlark.String(b)
	}
	switch v := v.(type) {
	case starlark.String:
		if v == "" {
			return "", fmt.Errorf(`an empty pattern matches nothing; for anything write "*"`)
		}
		return string(v), nil
	case starlark.Int:
		return v.String(), nil
	case *serviceValue:
		return v.svc.Name, nil
	}
	return "", wants("a pattern (a string)", v)
}

// act says what the fault does on the wire of a protocol.
func (f *faultValue) act(p *protocols.Protocol) (intercept.Fault, error) {
	fault := f.fault
	switch f.kind {
	case "error", "response":
		fault.Do = intercept.Answer
		reply := *f.fault.Reply
		reply.Details, reply.Headers = maps.Clone(reply.Details), slices.Clone(reply.Headers)
		fault.Reply = &reply
		if reply.Messages > 0 && p.Name != "grpc" {
			return fault, f.site.problem(f.site.keyword("messages"), "%s: `messages` is for grpc, not for %s", f.kind, p.Name)
		}
		if p.Check != nil {
			if err := p.Check(&reply); err != nil {
				return fault, f.site.errorf("%s: %s: %s", f.kind, p.Name, err)
			}
		}
	case "drop":
		fault.Do = intercept.Close
		if p.Lossy && fault.When == intercept.Before {
			fault.Do = intercept.Lose
		}
	case "duplicate":
		fault.Do = intercept.Twice
		if fault.When == intercept.After {
			return fault, f.site.problem(f.site.keyword("when"), "duplicate: it acts on the request, so `when` cannot be \"after\"")
		}
	case "truncate":
		fault.Do = intercept.Cut
		if f.whenSet && fault.When == intercept.Before {
			return fault, f.site.problem(f.site.keyword("when"), "truncate: it acts on the answer, so `when` cannot be \"before\"")
		}
		fault.When = intercept.After
	case "reset":
		fault.Do = intercept.Reset
	}
	return fault, nil
}
