package spec

import (
	"fmt"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// step returns the method of an interface that takes a step.
func (r *interfaceRef) step(m runtime.Method) starlark.Value {
	l := r.svc.l
	name := r.String() + "." + m.Name
	return l.builtin(name, always, func(c *call) (starlark.Value, error) {
		a := actionOf(c.thread)
		if a == nil {
			return nil, c.errorf("a step is taken in a test, not while the file loads; put it into a function that a test runs")
		}
		args, err := stepArgs(c, m)
		if err != nil {
			return nil, err
		}
		var resp runtime.Response
		a.wait(func() { resp, err = a.t.Step(r.svc.svc.Name, r.itf.Name, m.Name, args) })
		if err != nil {
			return nil, c.errorf("%s", err)
		}
		return newResponse(resp), nil
	})
}

// stepArgs checks the arguments of a step against its parameters.
func stepArgs(c *call, m runtime.Method) (runtime.Args, error) {
	args := runtime.Args{}
	params := make([]param, len(m.Params))
	positional := true
	for i, p := range m.Params {
		if p.Default != nil {
			args[p.Name] = p.Default
		}
		positional = positional && p.Required
		params[i] = param{name: p.Name, required: p.Required, keyword: !positional, set: func(v starlark.Value) error {
			g, err := stepArg(p.Kind, v)
			if err == nil {
				args[p.Name] = g
			}
			return err
		}}
	}
	return args, c.unpack(params, nil, nil)
}

// stepArg converts an argument to the Go type of a parameter's kind.
func stepArg(kind runtime.Kind, v starlark.Value) (any, error) {
	switch kind {
	case runtime.String:
		s, ok := starlark.AsString(v)
		if !ok {
			if b, isBytes := v.(starlark.Bytes); isBytes {
				return string(b), nil
			}
			return nil, wants("a string", v)
		}
		return s, nil
	case runtime.Int:
		n, ok := v.(starlark.Int)
		if !ok {
			return nil, wants("a whole number", v)
		}
		i, ok := n.Int64()
		if !ok {
			return nil, fmt.Errorf("%s does not fit into 64 bits", show(v))
		}
		return i, nil
	case runtime.Bool:
		b, ok := v.(starlark.Bool)
		if !ok {
			return nil, wants("True or False", v)
		}
		return bool(b), nil
	case runtime.Duration:
		return duration(v)
	}
	g, err := toGo(v)
	if err != nil {
		return nil, err
	}
	switch _, isList := g.([]any); {
	case kind == runtime.List && !isList:
		return nil, wants("a list", v)
	case kind == runtime.Dict:
		if _, isDict := g.(map[string]any); !isDict {
			return nil, wants("a dict", v)
		}
	}
	return g, nil
}
