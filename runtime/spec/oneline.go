package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/runtime"
)

// Solitary is the name of the service that ParseFault's rules are for.
const Solitary = "program"

// oneLineActions are the faults that --fault can name, with what is between the
// colon and the next comma.
var oneLineActions = []string{"ERRNO", "DURATION", "delay:DURATION", "short:BYTES", "lie", "crash"}

// ParseFault makes a rule of a fault of system calls on one line, the form of
// --fault: CALL=ACTION[,KEY=VALUE…], as in "fsync=EIO,after=3,path=**/wal/**".
// Keys are the triggers and matchers of the language, and p for probability.
// A warning says that the call never fails so by itself.
func ParseFault(text string, o Options) (r intercept.Rule, warning string, err error) {
	fail := func(format string, args ...any) (intercept.Rule, string, error) {
		return intercept.Rule{}, "", fmt.Errorf("--fault %s: %s", text, fmt.Sprintf(format, args...))
	}
	head, rest, more := strings.Cut(text, ",")
	name, action, ok := strings.Cut(head, "=")
	if !ok {
		return fail("write it as CALL=ACTION[,KEY=VALUE…], for example fsync=EIO,after=3; actions are %s", enumerate(oneLineActions, "and"))
	}
	l := &loader{Options: o, named: map[string]*serviceValue{}}
	if err := l.checkSyscall(name); err != nil {
		return fail("%s", err)
	}
	f := &faultValue{trigger: intercept.Always, label: text}
	if err := f.oneLineAction(action); err != nil {
		return fail("%s", err)
	}
	for more {
		var kv string
		kv, rest, more = strings.Cut(rest, ",")
		key, value, _ := strings.Cut(kv, "=")
		if err := l.oneLineKey(f, key, value); err != nil {
			return fail("%s: %s", kv, err)
		}
	}
	if why := neverFires(f.trigger); why != "" {
		return fail("%s", why)
	}
	s := &serviceValue{svc: &runtime.Service{Name: Solitary}}
	rule, err := f.callRule(l, "", s, name, "")
	for _, check := range l.checks {
		if p := check(); p != nil && err == nil {
			err = p
		}
	}
	if err != nil {
		if p, ok := err.(*Problem); ok {
			err = fmt.Errorf("%s", p.Text)
		}
		return fail("%s", err)
	}
	if len(l.warnings) > 0 {
		_, warning, _ = strings.Cut(l.warnings[0], ": ")
	}
	rule.Pos = ""
	return *rule, warning, nil
}

// oneLineAction reads what is to be done.
func (f *faultValue) oneLineAction(action string) error {
	kind, arg, has := strings.Cut(action, ":")
	var value starlark.Value = starlark.String(arg)
	switch {
	case kind == "delay" && has:
		f.kind = kind
		return toDuration(&f.fault.Delay)(value)
	case kind == "short" && has:
		f.kind = kind
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 {
			return fmt.Errorf("short: want a number of bytes, got %q", arg)
		}
		f.fault.Bytes = n
		return nil
	case (kind == "lie" || kind == "crash") && !has:
		f.kind = kind
		return nil
	case kind != "" && '0' <= kind[0] && kind[0] <= '9' && !has:
		f.kind = "delay"
		return toDuration(&f.fault.Delay)(starlark.String(kind))
	}
	f.kind = "deny"
	if err := toErrno(&f.fault.Errno)(starlark.String(action)); err != nil {
		return fmt.Errorf("%w; actions are %s", err, enumerate(oneLineActions, "and"))
	}
	return nil
}

// oneLineKey reads a trigger or a matcher.
func (l *loader) oneLineKey(f *faultValue, key, value string) error {
	if key == "p" {
		key = "probability"
	}
	params := append(l.triggerParams(f), keyword("jitter", toDuration(&f.fault.Jitter)))
	params = slices.DeleteFunc(params, func(p param) bool { return p.name == "source" || p.name == "target" || p.name == "when" })
	var names []string
	for _, p := range params {
		if p.name == key {
			return p.set(oneLineValue(key, value))
		}
		names = append(names, p.name)
	}
	fields := sortedKeys(intercept.Syscalls.Fields)
	if !slices.Contains(fields, key) {
		return fmt.Errorf("unknown key%s (there are %s)", suggest(key, append(fields, names...)), enumerate(append(names, fields...), "and"))
	}
	f.match = append(f.match, matchArg{key, starlark.String(value)})
	return nil
}

// oneLineValue gives a value the type that the language has for it.
func oneLineValue(key, value string) starlark.Value {
	if n, err := strconv.Atoi(value); err == nil && key != "label" {
		return starlark.MakeInt(n)
	}
	if x, err := strconv.ParseFloat(value, 64); err == nil && key == "probability" {
		return starlark.Float(x)
	}
	return starlark.String(value)
}
