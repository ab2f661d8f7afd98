package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"faultbox/intercept"
	"faultbox/runtime"
)

// Console writes for a person.
type Console struct {
	W       io.Writer
	Color   bool
	Verbose bool // every service start, and the timeline of every test

	up map[string]bool // services told of already
}

// tailEvents is how many events of the affected edges a failure shows.
const tailEvents = 8

// marks and colours of the verdicts.
var marks = map[runtime.Verdict]struct{ mark, color string }{
	runtime.Passed:       {"✓", "32"},
	runtime.Failed:       {"✗", "31"},
	runtime.Inconclusive: {"?", "33"},
	runtime.Error:        {"!", "31"},
	runtime.NotRun:       {"-", "33"},
	runtime.Interrupted:  {"-", "33"},
}

// Write writes one record.
func (c *Console) Write(r runtime.Record) error {
	var b strings.Builder
	switch {
	case r.Start != nil:
		c.start(&b, r.Start)
	case r.Service != nil:
		c.service(&b, r.Service)
	case r.Begin != nil && c.Verbose:
		fmt.Fprintf(&b, "%s %s\n", c.paint("1", "▸"), r.Begin.Test)
	case r.Test != nil:
		c.test(&b, r.Test)
	case r.End != nil:
		c.end(&b, r.End)
	}
	_, err := io.WriteString(c.W, b.String())
	return err
}

// Close does nothing: the writer is the caller's.
func (c *Console) Close() error { return nil }

func (c *Console) paint(color, s string) string {
	if !c.Color {
		return s
	}
	return "\x1b[" + color + "m" + s + "\x1b[0m"
}

func (c *Console) start(b *strings.Builder, r *runtime.StartRecord) {
	c.up = make(map[string]bool)
	fmt.Fprintf(b, "%s %s  %s, seed %d", c.paint("1", "faultbox"), r.File, plural(r.Tests, "test"), r.Seed)
	if r.Tier != "" {
		fmt.Fprintf(b, ", %s (not available so: %s)", r.Tier, r.Lacks)
	}
	b.WriteByte('\n')
	for _, w := range r.Warnings {
		fmt.Fprintf(b, "%s %s\n", c.paint("33", "warning:"), w)
	}
	b.WriteByte('\n')
}

func (c *Console) service(b *strings.Builder, r *runtime.ServiceRecord) {
	if r.State != "ready" || c.up[r.Service] && !c.Verbose {
		return // a failure is told by the test's own record
	}
	c.up[r.Service] = true
	detail := ""
	if r.Detail != "" {
		detail = " on " + r.Detail
	}
	fmt.Fprintf(b, "  %s %s ready after %s%s\n", c.paint("36", "•"), r.Service, short(r.Took), detail)
}

func (c *Console) test(b *strings.Builder, r *runtime.TestRecord) {
	m := marks[r.Verdict]
	label := ""
	if r.Verdict != runtime.Passed {
		label = "  " + strings.ToUpper(string(r.Verdict))
	}
	fmt.Fprintf(b, "%s %-46s %8s%s\n", c.paint(m.color, m.mark), r.Name, short(r.Took), c.paint(m.color, label))
	for _, f := range r.Faults {
		for _, line := range FaultLines(f) {
			fmt.Fprintf(b, "    %s\n", c.paint("2", line))
		}
	}
	if r.Verdict == runtime.Passed {
		if c.Verbose {
			c.timeline(b, r.Events, "timeline")
		}
		return
	}
	c.reason(b, r)
	if r.Verdict != runtime.Error && r.Verdict != runtime.Interrupted {
		c.timeline(b, affected(r), "last events")
	}
	if c.Verbose {
		for svc, lines := range r.Logs {
			fmt.Fprintf(b, "    log of %s:\n      %s\n", svc, strings.Join(lines, "\n      "))
		}
	}
	if r.Repeat != "" {
		fmt.Fprintf(b, "    repeat: %s\n", r.Repeat)
	}
}

func (c *Console) reason(b *strings.Builder, r *runtime.TestRecord) {
	lines := strings.Split(r.Reason, "\n")
	fmt.Fprintf(b, "    %s\n", c.paint("1", lines[0]))
	for _, l := range lines[1:] {
		fmt.Fprintf(b, "    %s\n", l)
	}
	at, callers := r.FailPos, r.Stack
	if n := len(callers); n > 0 && strings.HasPrefix(callers[n-1], at) {
		at, callers = callers[n-1], callers[:n-1] // the same place, with its function
	}
	if at != "" {
		fmt.Fprintf(b, "      at %s\n", at)
	}
	for _, s := range slices.Backward(callers) {
		fmt.Fprintf(b, "      called from %s\n", s)
	}
}

func (c *Console) timeline(b *strings.Builder, events []intercept.Event, title string) {
	if len(events) == 0 {
		return
	}
	fmt.Fprintf(b, "    %s:\n", title)
	for i := range events {
		line := Line(&events[i])
		if len(events[i].Rules) > 0 {
			line = c.paint("33", line)
		}
		fmt.Fprintf(b, "      %s\n", line)
	}
}

func (c *Console) end(b *strings.Builder, r *runtime.EndRecord) {
	var parts []string
	for _, v := range []runtime.Verdict{runtime.Passed, runtime.Failed, runtime.Inconclusive, runtime.Error, runtime.NotRun, runtime.Interrupted} {
		if n := r.Counts[v]; n > 0 {
			parts = append(parts, c.paint(marks[v].color, fmt.Sprintf("%d %s", n, v)))
		}
	}
	fmt.Fprintf(b, "\n%s in %s\n", cmp.Or(strings.Join(parts, ", "), string(r.Verdict)), short(r.Took))
}

// affected returns the last events of the edges that the test's faults are
// about, or of all where it has none.
func affected(r *runtime.TestRecord) []intercept.Event {
	targets := make(map[string]bool)
	for _, f := range r.Faults {
		targets[f.To] = true
	}
	var out []intercept.Event
	for i := len(r.Events) - 1; i >= 0 && len(out) < tailEvents; i-- {
		ev := r.Events[i]
		if ev.Kind != intercept.Life && ev.Kind != intercept.Output && (len(targets) == 0 || targets[ev.To] || ev.Kind == intercept.Step) {
			out = append(out, ev)
		}
	}
	slices.Reverse(out)
	return out
}

// FaultLines says what a rule touched: `insert_error: 1 of 1 INSERT on api → db answered 53100`.
func FaultLines(f runtime.FaultRecord) []string {
	var lines []string
	for _, t := range f.Touched {
		lines = append(lines, fmt.Sprintf("%s: %d of %d %s on %s %s", f.Name, t.Count, f.Matched, t.Op, t.Edge, t.Outcome))
	}
	if len(lines) == 0 {
		lines = append(lines, fmt.Sprintf("%s: touched nothing", f.Name))
	} else if f.InVain > 0 {
		lines = append(lines, fmt.Sprintf("%s: put into force %d times, of which %d touched nothing", f.Name, f.Armed, f.InVain))
	}
	return lines
}

// Line renders an event on one line.
func Line(ev *intercept.Event) string {
	at := fmt.Sprintf("+%.3fs", ev.At.Seconds())
	who := ev.Edge().String()
	if ev.From == "" {
		who = ev.To
	} else if ev.To == "" {
		who = ev.From
	}
	if ev.Op == "" {
		return fmt.Sprintf("%9s  %-14s %s", at, who, ev.Note)
	}
	what := ev.Text
	if what == "" {
		what = strings.TrimSpace(ev.Op + " " + ev.Key)
	}
	switch ev.Kind {
	case intercept.Step:
		what = "step " + what
	case intercept.Life:
		what = strings.TrimSpace(ev.Op + " " + ev.Text)
	case intercept.Syscall: // the end of a path tells most
		if n := len(ev.Key) - maxPath; n > 0 {
			what = ev.Op + " …" + strings.ToValidUTF8(ev.Key[n:], "")
		}
	}
	tail := ""
	if ev.Err != "" {
		tail += " → " + ev.Err
	}
	if ev.Outcome != "" {
		tail += " [" + string(ev.Outcome) + "]"
	}
	if len(ev.Rules) > 0 {
		tail += " by " + strings.Join(ev.Rules, ", ")
	}
	return fmt.Sprintf("%9s  %-14s %s%s  %s", at, who, clip(what, 90), tail, short(ev.Took))
}

// maxPath is how much of a path is shown.
const maxPath = 70

// clip shortens s to about n bytes on one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// short prints a duration as people say it: 312ms, 1.2s.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
