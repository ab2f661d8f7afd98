package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// judge turns what a body returned and what its rules touched into a verdict.
func judge(ctx context.Context, t *T, bodyErr error) *TestRecord {
	rec := &TestRecord{Name: t.test.Name, Pos: t.test.Pos, Verdict: Passed}
	t.settle(ctx)
	rec.Faults = t.faults()
	var idle []string
	for _, f := range rec.Faults {
		if f.Acted == 0 {
			idle = append(idle, f.Name+" "+f.Why)
		}
	}
	var failure *Failure
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrTimeout):
		rec.Verdict, rec.Reason = Failed, cause.Error()
	case cause != nil:
		rec.Verdict, rec.Reason = Interrupted, "interrupted"
	case errors.As(bodyErr, &failure):
		rec.Verdict, rec.Reason, rec.FailPos, rec.Stack = Failed, failure.Message, failure.Pos, failure.Stack
	case bodyErr != nil:
		rec.Verdict, rec.Reason = Failed, bodyErr.Error()
	case len(idle) > 0:
		rec.Verdict = Inconclusive
		rec.Reason = strings.Join(idle, "\n")
	}
	if rec.Verdict == Failed && len(idle) > 0 {
		rec.Reason += "\nnote: " + strings.Join(idle, "\nnote: ")
	}
	return rec
}

// ErrTimeout is the cause of a test's context that ran out.
var ErrTimeout = errors.New("timed out")

// settleTime bounds how long the judge waits for exchanges that a fault is about
// to end. Whoever hears the fault's answer may be quicker than the report of it.
const settleTime = time.Second

// settle waits for the end of exchanges that a fault is to end, if there are
// faults of which no other is known.
func (t *T) settle(ctx context.Context) {
	deadline := time.Now().Add(settleTime)
	for wait := time.Millisecond; time.Now().Before(deadline) && ctx.Err() == nil; wait = min(2*wait, 20*time.Millisecond) {
		if t.log.pending() == 0 || !slices.ContainsFunc(t.faults(), func(f FaultRecord) bool { return f.Acted == 0 && f.Pending > 0 }) {
			return
		}
		time.Sleep(wait)
	}
}

// faults says what each fault touched.
func (t *T) faults() (out []FaultRecord) {
	t.log.mu.Lock() // the counters of the rules and the events agree: see done
	defer t.log.mu.Unlock()
	near := sights{t.log.timeline(), t.log.seen, t.log.folded}
	for _, group := range groups(t.rules.Tally()) {
		out = append(out, faultRecord(group, near))
	}
	return out
}

// groups puts the rules together that are one fault of the spec: a fault on a
// service makes one for each of its interfaces, and imperative ones may be
// armed again and again. What one line of the spec says of several services, or
// with several patterns, is several faults.
func groups(rules []*intercept.ActiveRule) [][]*intercept.ActiveRule {
	var out [][]*intercept.ActiveRule
	at := make(map[[2]string]int)
	for _, r := range rules {
		key := [2]string{r.Name, r.Origin}
		i, ok := at[key]
		if !ok || r.Origin == "" {
			i = len(out)
			at[key] = i
			out = append(out, nil)
		}
		out[i] = append(out[i], r)
	}
	return out
}

// faultRecord counts what the rules of one fault touched.
func faultRecord(group []*intercept.ActiveRule, seen sights) FaultRecord {
	first, events := group[0], seen.events
	armed := make(map[int]bool) // whether it acted, by the time that it was armed
	f := FaultRecord{Name: first.Name, To: first.To, Rule: first.Rule.String(), Pos: first.Pos}
	for _, a := range group {
		f.Matched += a.Matched()
		f.Fired += a.Fired()
		f.Acted += a.Acted()
		armed[a.Batch] = armed[a.Batch] || a.Acted() > 0
	}
	f.Armed = len(armed)
	for _, acted := range armed {
		if !acted {
			f.InVain++
		}
	}
	counts := make(map[Touch]int)
	var order []Touch
	for i := range events {
		ev := &events[i]
		a := actedBy(ev, group)
		if a == nil {
			continue
		}
		key, ok := touchOf(ev, a)
		if !ok {
			if ev.Outcome == intercept.Pending { // of those that have ended the counters know
				f.Acted, f.Pending = f.Acted-1, f.Pending+1
			}
			continue
		}
		if counts[key] == 0 {
			order = append(order, key)
		}
		counts[key]++
	}
	for f, n := range seen.folded {
		if !slices.Contains(group, f.rule) {
			continue
		}
		if counts[f.touch] == 0 {
			order = append(order, f.touch)
		}
		counts[f.touch] += n
	}
	if first.Proto == intercept.Network.Name && f.Acted > 0 {
		f.Touched = append(f.Touched, Touch{Op: "packets", Edge: intercept.Edge{From: first.From, To: cmp.Or(first.To, "others")}, Outcome: impaired(first), Count: int(f.Acted)})
	}
	for _, key := range order {
		n := counts[key]
		key.Count = n
		f.Touched = append(f.Touched, key)
	}
	if f.Acted == 0 {
		f.Why = why(first, f, seen)
	}
	return f
}

// touchOf says what a rule did to an event; false: nothing, as there was nothing to
// act on.
func touchOf(ev *intercept.Event, a *intercept.ActiveRule) (Touch, bool) {
	if ev.InVain(a) {
		return Touch{}, false
	}
	return Touch{Op: ev.Op, Edge: ev.Edge(), Outcome: outcome(ev, a)}, true
}

// impaired says in words what a network rule did to packets.
func impaired(a *intercept.ActiveRule) string {
	switch f := a.Fault; {
	case f.Do == intercept.Lose && a.Trigger.Prob == 1:
		return "cut off"
	case f.Do == intercept.Lose:
		return "lost"
	case f.Rate > 0:
		return "dropped to keep the rate"
	}
	return "held for " + a.Fault.Delay.String()
}

// actedBy returns the rule of the group that acted on the event, nil if none did.
func actedBy(ev *intercept.Event, group []*intercept.ActiveRule) *intercept.ActiveRule {
	for _, r := range ev.Decision.Rules {
		if slices.Contains(group, r) {
			return r
		}
	}
	return nil
}

// outcome says in words what a rule did to an event.
func outcome(ev *intercept.Event, a *intercept.ActiveRule) string {
	side := ""
	if a.Fault.When == intercept.After {
		side = " after the server had done it"
	}
	if a.Proto == intercept.Processes.Name {
		return map[intercept.Do]string{intercept.Kill: "killed", intercept.Pause: "paused", intercept.Restart: "restarted"}[a.Fault.Do]
	}
	switch a.Fault.Do {
	case intercept.Pass:
		d := ev.Decision.DelayBefore + ev.Decision.DelayAfter
		return "delayed " + d.Round(time.Millisecond).String()
	case intercept.Answer:
		if code := answerCode(ev, a.Fault.Reply); code != "" {
			return "answered " + code + side
		}
		return "answered with the fault's response" + side
	case intercept.Close:
		return "connection closed without an answer" + side
	case intercept.Reset:
		return "connection reset" + side
	case intercept.Lose:
		return "lost"
	case intercept.Cut:
		return fmt.Sprintf("answer cut after %d bytes", a.Fault.Bytes)
	case intercept.Twice:
		return "done twice"
	case intercept.Deny:
		return "denied " + cmp.Or(ev.Err, "nothing: the process was gone")
	case intercept.Short:
		return fmt.Sprintf("cut short to %d bytes", a.Fault.Bytes)
	case intercept.Lie:
		return "lied to: it was not done"
	case intercept.Kill:
		return "killed the process"
	}
	if ev.Err != "" {
		return a.Fault.Do.String() + " " + ev.Err
	}
	return a.Fault.Do.String()
}

// answerCode is the error code that the client was answered with. An exchange
// that has not ended when its test is judged has none yet: then it is the one
// that the fault answers with.
func answerCode(ev *intercept.Event, r *protocols.Reply) string {
	switch {
	case ev.Err != "" || ev.Outcome != intercept.Pending || r == nil || !r.Error && r.Status < 400:
		return ev.Err
	case r.Code == "" && r.Status != 0:
		return strconv.Itoa(r.Status)
	}
	return r.Code
}

// why explains a rule that acted on nothing, with the nearest traffic seen.
func why(a *intercept.ActiveRule, f FaultRecord, seen sights) string {
	events := seen.events
	switch {
	case f.Pending > 0:
		return fmt.Sprintf("struck %s, but had not come to it when the test ended: what it waits for, a delay or the server's answer, was not over", times(f.Pending))
	case f.Fired > 0:
		return fmt.Sprintf("struck %s, but there was nothing to act on: it had no effect", times(f.Fired))
	case f.Matched > 0 && a.Trigger.Prob == 0:
		return fmt.Sprintf("matched %s, and its probability is 0: it never strikes", times(f.Matched))
	case f.Matched > 0 && a.OutdoneBy() != nil:
		return fmt.Sprintf("matched %s, but %s ended the exchange first: of several faults that end one the first decides", times(f.Matched), a.OutdoneBy().Name)
	case f.Matched > 0 && a.Trigger.Prob < 1:
		return fmt.Sprintf("matched %s, but probability=%g struck none of them with this seed; send more traffic or use another --seed", times(f.Matched), a.Trigger.Prob)
	case f.Matched > 0:
		return fmt.Sprintf("matched %s, but its trigger (%s) was never reached", times(f.Matched), a.Rule.String())
	}
	if a.Proto == intercept.Processes.Name {
		return fmt.Sprintf("had nothing to act on: %s did not run any more", a.To)
	}
	near := seen.nearest(a)
	if len(near) > 0 && a.Proto == intercept.Syscalls.Name {
		return fmt.Sprintf("matched nothing: no call like (%s). Seen there instead: %s", a.Rule.String(), strings.Join(near, "; "))
	}
	if len(near) > 0 {
		return fmt.Sprintf("matched nothing: no traffic like (%s). Seen there instead: %s", a.Rule.String(), strings.Join(near, "; "))
	}
	for i := range events {
		if ev := &events[i]; ev.Kind == intercept.Note && ev.To == a.To && a.Proto == intercept.Syscalls.Name {
			return fmt.Sprintf("matched nothing: %s made no call of %s while the fault was armed; it may be why that %s", a.To, strings.Join(a.Calls(), ", "), ev.Note)
		} else if ev.Kind == intercept.Note && ev.To == a.To {
			return fmt.Sprintf("matched nothing: traffic to %s could not be read: %s", a.To, ev.Note)
		}
	}
	if a.Proto == intercept.Network.Name {
		return fmt.Sprintf("matched nothing: no packet went from %s to %s while it was in force; does the scenario send any?", a.From, cmp.Or(a.To, "others"))
	}
	if a.Proto == intercept.Syscalls.Name {
		return fmt.Sprintf("matched nothing: %s made no call of %s while the fault was armed; does the scenario lead to one?", a.To, strings.Join(a.Calls(), ", "))
	}
	who := "no service sent"
	if a.From != "" {
		who = a.From + " sent no"
	}
	return fmt.Sprintf("matched nothing: %s %s traffic to %s while the fault was armed; does the scenario reach it?", who, a.Proto, a.To)
}

func times(n uint64) string {
	if n == 1 {
		return "1 event"
	}
	return fmt.Sprintf("%d events", n)
}

// sights is all that happened: the timeline, and the calls that are not in it.
type sights struct {
	events   []intercept.Event
	glimpsed map[sight]int
	folded   map[fold]int // what rules did to events that are forgotten
}

// nearest lists what happened where the rule looked: what satisfies most of
// its terms first, then what looks most like its path, then what was most
// frequent.
func (s sights) nearest(a *intercept.ActiveRule) []string {
	type near struct {
		what               string
		score, like, count int
	}
	seen := make(map[string]*near)
	note := func(ev *intercept.Event, n int) {
		what := ev.Text
		if what == "" {
			what = strings.TrimSpace(ev.Op + " " + ev.Key)
		}
		if what = clip(what, maxSight); ev.Kind == intercept.Syscall {
			what = strings.TrimSpace(ev.Op + " " + clipFront(ev.Key, maxSight)) // the end of a path tells most
		}
		what = fmt.Sprintf("%s (%s)", what, ev.Edge())
		if seen[what] == nil {
			it := &protocols.Item{Op: ev.Op, Key: ev.Key, Text: ev.Text, Attrs: []protocols.Attr{{Name: "path", Value: ev.Key}}}
			seen[what] = &near{what: what, score: a.Match.Score(it), like: likeness(a.Match, ev.Key)}
		}
		seen[what].count += n
	}
	for i := range s.events {
		ev := &s.events[i]
		if ev.Op != "" && ev.Proto == a.Proto && ev.To == a.To && (ev.Kind == intercept.Wire || ev.Kind == intercept.Syscall) {
			note(ev, 1)
		}
	}
	for g, n := range s.glimpsed {
		if a.Proto == intercept.Syscalls.Name && g.service == a.To {
			note(&intercept.Event{Kind: intercept.Syscall, From: g.service, To: g.service, Op: g.call, Key: g.key}, n)
		}
	}
	order := slices.SortedFunc(maps.Values(seen), func(a, b *near) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.like, a.like), cmp.Compare(b.count, a.count), cmp.Compare(a.what, b.what))
	})
	var out []string
	for _, n := range order[:min(len(order), maxSights)] {
		out = append(out, fmt.Sprintf("%d× %s", n.count, n.what))
	}
	return out
}

// likeness counts the parts of a path pattern that are in a path.
func likeness(m intercept.Match, path string) (n int) {
	for _, t := range m {
		if t.Name != "path" {
			continue
		}
		for _, part := range strings.FieldsFunc(t.Pattern, func(r rune) bool { return r == '/' || r == '*' }) {
			if strings.Contains(path, part) {
				n++
			}
		}
	}
	return n
}

// How much near traffic is shown, and how much of each.
const (
	maxSights = 4
	maxSight  = 80
)

// clipFront shortens s to about n bytes by leaving out its beginning.
func clipFront(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return "…" + strings.ToValidUTF8(s[len(s)-n:], "")
}

// clip shortens s to about n bytes on one line.
func clip(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
