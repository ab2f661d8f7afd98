package report

import (
	"encoding/json"
	"io"
	"time"

	"faultbox/intercept"
	"faultbox/runtime"
)

// JSON writes one object a line. Every object has a "type": start, service,
// test, end. Durations are milliseconds.
type JSON struct{ W io.Writer }

type object = map[string]any

// Write writes one record.
func (j JSON) Write(r runtime.Record) error {
	o := toObject(r)
	if o == nil {
		return nil
	}
	return json.NewEncoder(j.W).Encode(o)
}

// Close does nothing: the writer is the caller's.
func (j JSON) Close() error { return nil }

func toObject(r runtime.Record) object {
	switch {
	case r.Start != nil:
		s := r.Start
		o := object{"type": "start", "version": s.Version, "file": s.File, "seed": s.Seed, "tests": s.Tests, "warnings": s.Warnings}
		if s.Tier != "" {
			o["tier"], o["lacks"] = s.Tier, s.Lacks
		}
		return o
	case r.Service != nil:
		s := r.Service
		return object{"type": "service", "test": s.Test, "service": s.Service, "state": s.State, "detail": s.Detail, "ms": ms(s.Took)}
	case r.Test != nil:
		return testObject(r.Test)
	case r.End != nil:
		return object{"type": "end", "verdict": r.End.Verdict, "counts": r.End.Counts, "exit_code": r.End.Verdict.ExitCode(), "ms": ms(r.End.Took)}
	}
	return nil
}

func testObject(t *runtime.TestRecord) object {
	faults := make([]object, 0, len(t.Faults))
	for _, f := range t.Faults {
		touched := make([]object, 0, len(f.Touched))
		for _, x := range f.Touched {
			touched = append(touched, object{"op": x.Op, "from": x.Edge.From, "to": x.Edge.To, "interface": x.Edge.Interface, "outcome": x.Outcome, "count": x.Count})
		}
		faults = append(faults, object{"name": f.Name, "rule": f.Rule, "pos": f.Pos, "matched": f.Matched, "fired": f.Fired, "acted": f.Acted, "touched": touched, "why": f.Why})
	}
	events := make([]object, 0, len(t.Events))
	for i := range t.Events {
		events = append(events, eventObject(&t.Events[i]))
	}
	return object{
		"type": "test", "name": t.Name, "pos": t.Pos, "verdict": t.Verdict, "ms": ms(t.Took), "seed": t.Seed,
		"reason": t.Reason, "fail_pos": t.FailPos, "stack": t.Stack, "faults": faults, "events": events,
		"events_not_kept": t.Lost, "logs": t.Logs, "repeat": t.Repeat,
	}
}

func eventObject(ev *intercept.Event) object {
	kind := string(ev.Kind)
	if ev.Kind == intercept.Wire {
		kind = "wire"
	}
	o := object{"seq": ev.Seq, "kind": kind, "at_ms": ms(ev.At), "ms": ms(ev.Took), "to": ev.To}
	for name, v := range map[string]string{
		"from": ev.From, "interface": ev.Interface, "proto": ev.Proto, "op": ev.Op, "key": ev.Key,
		"text": ev.Text, "err": ev.Err, "outcome": string(ev.Outcome), "note": ev.Note,
	} {
		if v != "" {
			o[name] = v
		}
	}
	if len(ev.Rules) > 0 {
		o["rules"] = ev.Rules
	}
	return o
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
