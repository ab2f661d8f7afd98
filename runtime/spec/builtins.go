package spec

import (
	"go.starlark.net/lib/json"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// phase says when a builtin may be called.
type phase int

const (
	always   phase = iota
	loading        // while the file loads: declarations
	inAction       // while a test runs
)

// builtins returns every name of the language, bound to this loader.
func (l *loader) builtins() starlark.StringDict {
	table := []struct {
		when  phase
		fn    func(*call) (starlark.Value, error)
		names []string
	}{
		{loading, l.service, []string{"service"}},
		{loading, l.iface, []string{"interface"}},
		{loading, l.compose, []string{"compose"}},
		{loading, l.op, []string{"op"}},
		{always, l.tcp, []string{"tcp"}},
		{always, l.http, []string{"http"}},
		{always, l.ready, []string{"ready"}},
		{always, l.observer, []string{"stdout", "stderr"}},
		{always, l.jsonDecoder, []string{"json_decoder"}},
		{always, l.logfmtDecoder, []string{"logfmt_decoder"}},
		{always, l.regexDecoder, []string{"regex_decoder"}},

		{always, l.errorFault, []string{"error"}},
		{always, l.responseFault, []string{"response"}},
		{always, l.delayFault, []string{"delay"}},
		{always, l.plainFault, []string{"drop", "duplicate", "reset", "lie", "crash", "allow"}},
		{always, l.bytesFault, []string{"truncate", "short"}},
		{always, l.denyFault, []string{"deny"}},
		{always, l.partition, []string{"partition"}},
		{always, l.latency, []string{"latency"}},
		{always, l.loss, []string{"loss"}},
		{always, l.bandwidth, []string{"bandwidth"}},
		{always, l.process, []string{"kill", "pause", "restart"}},

		{loading, l.scenario, []string{"scenario"}},
		{loading, l.assumption, []string{"fault_assumption"}},
		{loading, l.faultScenario, []string{"fault_scenario"}},
		{loading, l.faultMatrix, []string{"fault_matrix"}},
		{always, l.expectation, []string{"expect_success", "expect_error_within", "expect_hang"}},
		{always, l.monitor, []string{"monitor"}},

		{inAction, l.faultRun, []string{"fault", "fault_all"}},
		{inAction, l.faultStart, []string{"fault_start"}},
		{inAction, l.faultStop, []string{"fault_stop"}},
		{inAction, l.trace, []string{"trace", "trace_start"}},
		{inAction, l.traceStop, []string{"trace_stop"}},
		{inAction, l.parallel, []string{"parallel"}},
		{inAction, l.sleep, []string{"sleep"}},
		{inAction, l.eventually, []string{"eventually"}},
		{inAction, l.events, []string{"events"}},
		{always, l.assertTrue, []string{"assert_true"}},
		{always, l.assertEq, []string{"assert_eq"}},
		{inAction, l.assertEventually, []string{"assert_eventually"}},
		{inAction, l.assertNever, []string{"assert_never"}},
		{inAction, l.assertBefore, []string{"assert_before"}},

		{always, l.loadText, []string{"load_file"}},
		{always, l.loadJSON, []string{"load_json"}},
		{always, l.loadYAML, []string{"load_yaml"}},
	}
	names := starlark.StringDict{
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
		"json":   json.Module,
	}
	for _, row := range table {
		for _, name := range row.names {
			names[name] = l.builtin(name, row.when, row.fn)
		}
	}
	return names
}

// builtin wraps a function of this package for Starlark.
func (l *loader) builtin(name string, when phase, fn func(*call) (starlark.Value, error)) *starlark.Builtin {
	return starlark.NewBuiltin(name, func(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		c := &call{l: l, thread: thread, name: name, site: l.siteOf(thread), args: args, kwargs: kwargs}
		switch running := actionOf(thread) != nil; {
		case when == loading && running:
			return nil, c.errorf("it declares something, which is done while the file loads, not in a test")
		case when == inAction && !running:
			return nil, c.errorf("it works in a test, not while the file loads; put it into a function that a test runs")
		}
		return fn(c)
	})
}
