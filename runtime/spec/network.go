package spec

import (
	"fmt"
	"regexp"
	"time"

	"go.starlark.net/starlark"

	"faultbox/intercept"
)

// Faults of the network and of processes. Their arguments are checked, then
// they are refused: nothing below can do them yet.

func (l *loader) partition(c *call) (starlark.Value, error) {
	var a, b, direction string
	return l.unsupported(c, required("a", toServiceRef(&a)), required("b", toServiceRef(&b)),
		keyword("direction", toOneOf(&direction, "both", "to", "from")))
}

func (l *loader) latency(c *call) (starlark.Value, error) {
	var a, b string
	var delay, jitter time.Duration
	return l.unsupported(c, required("a", toServiceRef(&a)), optional("b", toServiceRef(&b)),
		keyword("delay", toDuration(&delay)), keyword("jitter", toDuration(&jitter)))
}

func (l *loader) loss(c *call) (starlark.Value, error) {
	var a, b string
	var share float64
	return l.unsupported(c, required("a", toServiceRef(&a)), optional("b", toServiceRef(&b)),
		keyword("percent", toProbability(&share)))
}

var rate = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(bit|kbit|mbit|gbit)$`)

func (l *loader) bandwidth(c *call) (starlark.Value, error) {
	var a, b, r string
	return l.unsupported(c, required("a", toServiceRef(&a)), optional("b", toServiceRef(&b)),
		keyword("rate", func(v starlark.Value) error {
			if err := toWord(&r)(v); err != nil {
				return err
			}
			if !rate.MatchString(r) {
				return fmt.Errorf(`%q is no rate; write for example "512kbit" or "10mbit"`, r)
			}
			return nil
		}))
}

func (l *loader) process(c *call) (starlark.Value, error) {
	var svc string
	var duration time.Duration
	params := []param{required("service", toServiceRef(&svc))}
	if c.name == "pause" {
		params = append(params, optional("duration", toTimeout(&duration)))
	}
	return l.unsupported(c, params...)
}

func (l *loader) unsupported(c *call, params ...param) (starlark.Value, error) {
	f := &faultValue{kind: c.name, site: c.site, trigger: intercept.Always}
	if err := c.unpack(append(params, l.triggerParams(f)...), nil, nil); err != nil {
		return nil, err
	}
	return nil, c.errorf("not supported by this build of faultbox")
}
