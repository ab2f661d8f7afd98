package spec

import (
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/protocols"
)

// eventValue is an event of the timeline as a spec sees it.
type eventValue struct {
	opaque
	l  *loader
	ev intercept.Event
}

var eventAttrs = []string{
	"at_ms", "code", "data", "delay_ms", "duration_ms", "err", "from", "interface", "key", "kind", "note", "op", "outcome",
	"proto", "rules", "seq", "service", "source", "text", "to",
}

func (e *eventValue) Type() string        { return "event" }
func (e *eventValue) AttrNames() []string { return slices.Clone(eventAttrs) }

func (e *eventValue) String() string {
	parts := []string{kindOf(&e.ev)}
	for _, s := range []string{e.ev.From, e.ev.To, e.ev.Op, e.ev.Key, e.ev.Text, e.ev.Err, string(e.ev.Outcome), e.ev.Note} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return "event(" + strings.Join(parts, " ") + ")"
}

// What kinds and outcomes there are, by the names that kindOf and outcomeOf give.
var (
	eventKinds    = []string{"wire", "step", "syscall", "life", "output", "note"}
	eventOutcomes = []string{
		"answered", "replaced", "dropped", "reset", "cut", "doubled", "denied", "short", "lied to", "killed", "broken", "untouched", "pending",
	}
)

// kindOf names an event's kind; an exchange on the wire is "wire".
func kindOf(ev *intercept.Event) string {
	if ev.Kind == intercept.Wire {
		return "wire"
	}
	return string(ev.Kind)
}

// outcomeOf names an event's outcome; the server's own answer is "answered".
func outcomeOf(ev *intercept.Event) string {
	if ev.Outcome == intercept.Answered {
		return "answered"
	}
	return string(ev.Outcome)
}

// serviceOfEvent is the service that an event is about: the one asked, or the
// one that did something.
func serviceOfEvent(ev *intercept.Event) string {
	if ev.To != "" {
		return ev.To
	}
	return ev.From
}

func (e *eventValue) Attr(name string) (starlark.Value, error) {
	ev := &e.ev
	switch name {
	case "seq":
		return starlark.MakeUint64(ev.Seq), nil
	case "at_ms":
		return starlark.MakeInt64(ev.At.Milliseconds()), nil
	case "duration_ms":
		return starlark.MakeInt64(ev.Took.Milliseconds()), nil
	case "delay_ms":
		return starlark.MakeInt64((ev.Decision.DelayBefore + ev.Decision.DelayAfter).Milliseconds()), nil
	case "rules":
		return fromGo(ev.Rules), nil
	case "service":
		return starlark.String(serviceOfEvent(ev)), nil
	case "data":
		return fromGo(e.data()), nil
	}
	it := eventItem(ev)
	if v, ok := it.Attr(name); ok && name != "rule" {
		return starlark.String(v), nil
	}
	return nil, nil
}

// data returns the fields that a service's observers read out of a line of its
// log; nil for other events.
func (e *eventValue) data() any {
	s := e.l.named[serviceOfEvent(&e.ev)]
	if e.ev.Kind != intercept.Output || s == nil {
		return nil
	}
	for _, o := range s.svc.Observe {
		if e.ev.Op != "" && e.ev.Op != o.Stream {
			continue
		}
		if fields, ok := o.Decode(e.ev.Text); ok {
			return fields
		}
	}
	return nil
}

// eventItem gives an event the form that terms match.
func eventItem(ev *intercept.Event) *protocols.Item {
	it := &protocols.Item{Op: ev.Op, Key: ev.Key, Text: ev.Text, Attrs: []protocols.Attr{
		{Name: "kind", Value: kindOf(ev)}, {Name: "source", Value: ev.From}, {Name: "from", Value: ev.From}, {Name: "to", Value: ev.To},
		{Name: "service", Value: ev.To}, {Name: "service", Value: ev.From},
		{Name: "interface", Value: ev.Interface}, {Name: "proto", Value: ev.Proto},
		{Name: "op", Value: ev.Op}, {Name: "key", Value: ev.Key}, {Name: "text", Value: ev.Text},
		{Name: "err", Value: ev.Err}, {Name: "code", Value: ev.Err},
		{Name: "outcome", Value: outcomeOf(ev)}, {Name: "note", Value: ev.Note},
	}}
	for _, r := range ev.Rules {
		it.Attrs = append(it.Attrs, protocols.Attr{Name: "rule", Value: r})
	}
	return it
}

// eventFields is how the timeline can be searched.
var eventFields = func() *protocols.Protocol {
	p := &protocols.Protocol{Name: "event", Fields: map[string]protocols.Field{}}
	for _, name := range []string{
		"kind", "source", "from", "to", "service", "interface", "proto", "op", "key", "text", "err", "code", "outcome", "note", "rule",
	} {
		p.Fields[name] = protocols.Field{Of: name, Fold: name == "op" || name == "text"}
	}
	return p
}()
