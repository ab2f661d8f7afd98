package spec

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"go.starlark.net/starlark"

	"faultbox/intercept"
)

// Faults of the network and of processes stand by themselves: they name whom
// they are about. While the file loads they are faults like others; in a test
// they take effect at once, and last until what they are given to (fault(…),
// fault_start(…)) ends them, or until the test ends.

// between makes the two services that a network fault is between.
type between struct{ a, b string }

func (l *loader) partition(c *call) (starlark.Value, error) {
	var x between
	direction := "both"
	f := &faultValue{fault: intercept.Fault{Do: intercept.Lose}}
	return l.networkFault(c, f, &x, &direction, required("a", toServiceRef(&x.a)), required("b", toServiceRef(&x.b)),
		keyword("direction", toOneOf(&direction, "both", "to", "from")))
}

func (l *loader) latency(c *call) (starlark.Value, error) {
	var x between
	direction := "to"
	f := &faultValue{}
	return l.networkFault(c, f, &x, &direction, required("a", toServiceRef(&x.a)), optional("b", toServiceRef(&x.b)),
		param{name: "delay", set: toDuration(&f.fault.Delay), required: true, keyword: true}, keyword("jitter", toDuration(&f.fault.Jitter)))
}

func (l *loader) loss(c *call) (starlark.Value, error) {
	var x between
	direction := "both"
	f := &faultValue{fault: intercept.Fault{Do: intercept.Lose}}
	share := param{name: "percent", required: true, keyword: true}
	share.set = func(v starlark.Value) error { return toProbability(&f.trigger.Prob)(v) }
	return l.networkFault(c, f, &x, &direction, required("a", toServiceRef(&x.a)), optional("b", toServiceRef(&x.b)), share)
}

var rate = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)(bit|kbit|mbit|gbit)$`)

var rateUnits = map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}

func (l *loader) bandwidth(c *call) (starlark.Value, error) {
	var x between
	direction := "both"
	f := &faultValue{}
	return l.networkFault(c, f, &x, &direction, required("a", toServiceRef(&x.a)), optional("b", toServiceRef(&x.b)),
		param{name: "rate", required: true, keyword: true, set: func(v starlark.Value) error {
			var r string
			if err := toWord(&r)(v); err != nil {
				return err
			}
			m := rate.FindStringSubmatch(r)
			if m == nil {
				return fmt.Errorf(`%q is no rate; write for example "512kbit" or "10mbit"`, r)
			}
			n, _ := strconv.ParseFloat(m[1], 64)
			f.fault.Rate = uint64(n * rateUnits[m[2]])
			if f.fault.Rate < 8 {
				return fmt.Errorf("%q is no rate that lets anything pass; use partition(…) for none", r)
			}
			return nil
		}})
}

// networkFault makes the rules of a fault between two services, one for each
// direction.
func (l *loader) networkFault(c *call, f *faultValue, x *between, direction *string, params ...param) (starlark.Value, error) {
	if err := l.standing(c, f, params); err != nil {
		return nil, err
	}
	if err := checkDelay(c, f, nil); c.name == "latency" && err != nil {
		return nil, err
	}
	if x.a == x.b {
		return nil, c.errorf("`a` and `b` are both %q; a service talks to itself without a network", x.a)
	}
	rule := intercept.Rule{Pos: f.site.String(), Origin: f.origin, From: x.a, To: x.b, Proto: intercept.Network.Name, Trigger: f.trigger, Fault: f.fault}
	if *direction != "from" {
		f.rules = append(f.rules, rule)
	}
	if *direction != "to" && x.b != "" {
		rule.From, rule.To = x.b, x.a
		f.rules = append(f.rules, rule)
	}
	return l.takeEffect(c, f, x.a, x.b)
}

// process is kill, pause and restart.
func (l *loader) process(c *call) (starlark.Value, error) {
	var svc string
	var duration time.Duration
	f := &faultValue{}
	params := []param{required("service", toServiceRef(&svc))}
	if c.name == "pause" {
		params = append(params, optional("duration", toTimeout(&duration)))
	}
	if err := l.standing(c, f, params); err != nil {
		return nil, err
	}
	fault := intercept.Fault{Delay: duration}
	fault.Do = map[string]intercept.Do{"kill": intercept.Kill, "pause": intercept.Pause, "restart": intercept.Restart}[c.name]
	f.rules = []intercept.Rule{{Pos: f.site.String(), Origin: f.origin, To: svc, Proto: intercept.Processes.Name, Trigger: intercept.Always, Fault: fault}}
	return l.takeEffect(c, f, svc, "")
}

// standing reads the arguments of a fault that names whom it is about. It
// happens or it is in force: of the triggers it takes the label alone.
func (l *loader) standing(c *call, f *faultValue, params []param) error {
	f.kind, f.site, f.origin, f.trigger = c.name, c.site, c.String(), intercept.Always
	return c.unpack(append(params, keyword("label", toWord(&f.label))), nil, func(name string, _ starlark.Value) error {
		for _, p := range l.triggerParams(&faultValue{}) {
			if p.name == name {
				return fmt.Errorf("`%s` counts events, and this fault has none: it is in force from the start of the test's body, or, in a test, from this line", name)
			}
		}
		var names []string
		for _, p := range params {
			names = append(names, p.name)
		}
		return fmt.Errorf("%s", unknownArg(c.name, name, append(names, "label")))
	})
}

// takeEffect puts a standing fault into force if a test runs, and checks its
// services once all are known.
func (l *loader) takeEffect(c *call, f *faultValue, services ...string) (starlark.Value, error) {
	err := l.whenLoaded(func() *Problem {
		for _, name := range services {
			if name != "" && l.named[name] == nil {
				return c.site.problem(c.site.pos, "%s: there is no service %q%s", c.name, name, suggest(name, l.serviceNames()))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	if a == nil {
		return f, nil
	}
	var disarm func()
	a.wait(func() { disarm = a.t.Arm(l.concrete(f.named(""))...) })
	f.inForce = &started{target: l.named[services[0]], disarm: disarm}
	a.started = append(a.started, f.inForce)
	return f, nil
}

// concrete replaces latency, which is a delay of whatever passes on the edges
// between the services, by the rules that do it: one for each interface. All
// services must be known.
func (l *loader) concrete(rules []intercept.Rule) []intercept.Rule {
	var out []intercept.Rule
	for _, r := range rules {
		if r.Proto != intercept.Network.Name || r.Fault.Delay == 0 {
			out = append(out, r)
			continue
		}
		for _, s := range l.services {
			if s.svc.Name == r.From || r.To != "" && s.svc.Name != r.To {
				continue
			}
			for _, itf := range s.svc.Interfaces {
				edge := r
				edge.To, edge.Interface, edge.Proto = s.svc.Name, itf.Name, itf.Protocol.Name
				out = append(out, edge)
			}
		}
	}
	return out
}

// named returns the rules of a standing fault under the name that reports show.
func (f *faultValue) named(assumption string) []intercept.Rule {
	rules := make([]intercept.Rule, len(f.rules))
	for i, r := range f.rules {
		if r.Name = f.ruleName(assumption); f.label == "" && assumption == "" {
			r.Name = f.kind + "(" + f.rules[0].From
			if f.rules[0].From != "" && f.rules[0].To != "" {
				r.Name += ", "
			}
			r.Name += f.rules[0].To + ")"
		}
		rules[i] = r
	}
	return rules
}
