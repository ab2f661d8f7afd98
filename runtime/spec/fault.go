package spec

import (
	"fmt"
	"math"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/protocols"
)

// faultValue is what error(…), delay(…), deny(…) and the others return. It is
// made before its target is known, so its matchers are checked when it is bound.
type faultValue struct {
	opaque
	kind    string
	site    site
	origin  string         // the call, written out: see intercept.Rule
	target  starlark.Value // *serviceValue or *interfaceRef; nil: that of who uses it
	match   []matchArg
	params  []string // keywords that are not matchers, for suggestions
	trigger intercept.Trigger
	label   string
	source  string
	fault   intercept.Fault // Do is set by bind
	whenSet bool

	rules   []intercept.Rule // of a standing fault: it names whom it is about
	inForce *started         // a standing fault that a test has put into force
}

// matchArg is a matcher as the spec wrote it.
type matchArg struct {
	name  string
	value starlark.Value
}

func (f *faultValue) Type() string { return "fault" }

func (f *faultValue) String() string {
	parts := make([]string, len(f.match))
	for i, m := range f.match {
		parts[i] = m.name + "=" + show(m.value)
	}
	return f.kind + "(" + strings.Join(parts, ", ") + ")"
}

// makeFault makes a fault with the parameters of its kind; those of triggers
// are common to all, every other keyword is a matcher.
func (l *loader) makeFault(c *call, f *faultValue, own ...param) (starlark.Value, error) {
	f.kind, f.site, f.origin, f.trigger = c.name, c.site, c.String(), intercept.Always
	params := append(own, l.triggerParams(f)...)
	for _, p := range params {
		f.params = append(f.params, p.name)
	}
	err := c.unpack(params, nil, func(name string, v starlark.Value) error {
		if v != starlark.None {
			f.match = append(f.match, matchArg{name, v})
		}
		return nil
	})
	if err == nil {
		err = l.checkTrigger(c, f)
	}
	return f, err
}

// replyKeywords are what error(…) passes on to protocols that know them.
var replyKeywords = []string{"severity", "detail", "hint", "details"}

func (l *loader) errorFault(c *call) (starlark.Value, error) {
	r := &protocols.Reply{Error: true, Details: map[string]string{}}
	params := []param{
		optional("message", toString(&r.Message)), keyword("code", toCode(&r.Code)),
		keyword("status", toStatus(r)), keyword("messages", toInt(&r.Messages, 1, math.MaxInt32)),
	}
	for _, name := range replyKeywords {
		params = append(params, keyword(name, func(v starlark.Value) error {
			var s string
			err := toString(&s)(v)
			r.Details[name] = s
			return err
		}))
	}
	return l.makeFault(c, &faultValue{fault: intercept.Fault{Reply: r}}, params...)
}

func (l *loader) responseFault(c *call) (starlark.Value, error) {
	r := &protocols.Reply{}
	var body, value starlark.Value
	f, err := l.makeFault(c, &faultValue{fault: intercept.Fault{Reply: r}},
		keyword("status", toStatus(r)), keyword("body", toValue(&body)), keyword("value", toValue(&value)),
		keyword("headers", toDict("a dict of headers", func(name string, v starlark.Value) error {
			s, ok := starlark.AsString(v)
			if !ok {
				return fmt.Errorf("%s: %w", name, wants("a string", v))
			}
			r.Headers = append(r.Headers, protocols.Attr{Name: name, Value: s})
			return nil
		})),
	)
	if err != nil {
		return nil, err
	}
	if body != nil && value != nil {
		return nil, c.errorf("give `body` or `value`, not both")
	}
	name := "value"
	if body != nil {
		name, value = "body", body
	}
	if value != nil {
		if r.Value, err = toGo(value); err != nil {
			return nil, c.at(c.site.keyword(name), fmt.Errorf("`%s`: %w", name, err))
		}
	}
	return f, nil
}

func (l *loader) delayFault(c *call) (starlark.Value, error) {
	f := &faultValue{}
	v, err := l.makeFault(c, f, required("delay", toDuration(&f.fault.Delay)), keyword("jitter", toDuration(&f.fault.Jitter)))
	return v, checkDelay(c, f, err)
}

// checkDelay refuses a delay of nothing, which would act on all and change none.
func checkDelay(c *call, f *faultValue, err error) error {
	if err == nil && f.fault.Delay == 0 && f.fault.Jitter == 0 {
		return c.site.problem(c.site.keyword("delay"), "%s: `delay`: want more than 0", c.name)
	}
	return err
}

// plainFault is drop, duplicate, reset, lie, crash and allow: no parameters of their own.
func (l *loader) plainFault(c *call) (starlark.Value, error) { return l.makeFault(c, &faultValue{}) }

// bytesFault is truncate and short.
func (l *loader) bytesFault(c *call) (starlark.Value, error) {
	f := &faultValue{}
	return l.makeFault(c, f, required("bytes", toInt(&f.fault.Bytes, 0, math.MaxInt32)))
}

func (l *loader) denyFault(c *call) (starlark.Value, error) {
	f := &faultValue{}
	return l.makeFault(c, f, required("errno", toErrno(&f.fault.Errno)))
}

// toCode takes an error code by name or number.
func toCode(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if n, ok := v.(starlark.Int); ok {
			*dst = n.String()
			return nil
		}
		if _, ok := v.(starlark.String); !ok {
			return wants("a string or a number", v)
		}
		return toWord(dst)(v)
	}
}

// toStatus takes a status by number, or by name (gRPC), which travels as the code.
func toStatus(r *protocols.Reply) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if s, ok := v.(starlark.String); ok {
			if r.Code != "" {
				return fmt.Errorf("%s: there is a `code` already", s)
			}
			return toWord(&r.Code)(s)
		}
		return toInt(&r.Status, 0, 999)(v)
	}
}
