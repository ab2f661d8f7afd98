package spec

import (
	"fmt"
	"math"

	"go.starlark.net/starlark"

	"faultbox/intercept"
)

// triggerParams are the parameters that every fault takes.
func (l *loader) triggerParams(f *faultValue) []param {
	return []param{
		keyword("probability", toProbability(&f.trigger.Prob)),
		keyword("nth", toInt(&f.trigger.Nth, 1, math.MaxInt32)),
		keyword("after", toInt(&f.trigger.After, 0, math.MaxInt32)),
		keyword("every", toInt(&f.trigger.Every, 1, math.MaxInt32)),
		keyword("times", toInt(&f.trigger.Times, 1, math.MaxInt32)),
		keyword("label", toWord(&f.label)),
		keyword("source", toServiceRef(&f.source)),
		keyword("when", func(v starlark.Value) error {
			var side string
			err := toOneOf(&side, "before", "after")(v)
			if side == "after" {
				f.fault.When = intercept.After
			}
			f.whenSet = true
			return err
		}),
		keyword("target", toTarget(&f.target)),
	}
}

// toServiceRef takes a service or the name of one, which may be declared later.
func toServiceRef(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		switch v := v.(type) {
		case *serviceValue:
			*dst = v.svc.Name
			return nil
		case *interfaceRef:
			return fmt.Errorf("want a service, got the interface %s; traffic comes from a whole service", v)
		case starlark.String:
			return toWord(dst)(v)
		}
		return wants("a service or its name", v)
	}
}

// toTarget takes what a fault can be aimed at.
func toTarget(dst *starlark.Value) func(starlark.Value) error {
	return func(v starlark.Value) error {
		switch v.(type) {
		case *serviceValue, *interfaceRef:
			*dst = v
			return nil
		}
		return wants("a service or an interface of one", v)
	}
}

// checkTrigger refuses triggers that can never fire and sources that nobody declares.
func (l *loader) checkTrigger(c *call, f *faultValue) error {
	if why := neverFires(f.trigger); why != "" {
		return c.errorf("%s", why)
	}
	if f.source == "" || f.source == testSource {
		return nil
	}
	return l.whenLoaded(func() *Problem {
		if l.named[f.source] != nil {
			return nil
		}
		return c.site.problem(c.site.keyword("source"), "%s: `source`: there is no service %q%s", c.name, f.source, suggest(f.source, l.serviceNames()))
	})
}

// whenLoaded runs a check once every service is known: at the end of loading,
// or now if that is over.
func (l *loader) whenLoaded(check func() *Problem) error {
	if !l.loaded {
		l.checks = append(l.checks, check)
		return nil
	}
	if p := check(); p != nil {
		return p
	}
	return nil
}

// neverFires says why a trigger is one that no event can meet; "" if one can.
func neverFires(t intercept.Trigger) string {
	switch {
	case t.Nth > 0 && t.Nth <= t.After:
		return fmt.Sprintf("nth=%d never comes: after=%d leaves the first %d alone", t.Nth, t.After, t.After)
	case t.Nth > 0 && t.Every > 1 && (t.Nth-t.After)%t.Every != 0:
		return fmt.Sprintf("nth=%d never comes: every=%d strikes on others", t.Nth, t.Every)
	}
	return ""
}

func (l *loader) serviceNames() []string {
	names := make([]string, len(l.services))
	for i, s := range l.services {
		names[i] = s.svc.Name
	}
	return names
}
