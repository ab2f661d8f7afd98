package intercept

import (
	"fmt"
	"strings"
)

// Rule is one fault with the conditions under which it strikes.
type Rule struct {
	Name      string // shown to the user: the assumption's name, or the label
	Pos       string // file:line:col of the fault in the spec
	Origin    string // what the spec says, written out: rules of one origin are one fault
	From      string // only traffic of this service ("" any, the test's own steps included)
	To        string // the service meant; for system calls the service that makes them
	Interface string // "" any
	Proto     string
	Match     Match
	Trigger   Trigger
	Fault     Fault
}

// Trigger says on which of the events that match a rule fires.
type Trigger struct {
	Nth   int     // only on the nth match (from 1); 0: any
	After int     // not on the first After matches
	Every int     // then on every Every-th match; 0 or 1: each
	Times int     // at most this often; 0: no limit
	Prob  float64 // with this probability, 0 to 1
}

// Always is the trigger of a rule that names none.
var Always = Trigger{Prob: 1}

// fires reports whether the n-th match (from 1) is one to strike on, leaving
// Times aside. draw is a number in [0,1) that belongs to (rule, n).
func (t Trigger) fires(n uint64, draw float64) bool {
	switch k := n - uint64(t.After); {
	case n <= uint64(t.After), t.Nth > 0 && n != uint64(t.Nth), t.Every > 1 && k%uint64(t.Every) != 0:
		return false
	}
	return draw < t.Prob
}

// String describes what the rule strikes on: `query="INSERT*" on db, nth=2`.
func (r *Rule) String() string {
	var b strings.Builder
	if r.From != "" {
		fmt.Fprintf(&b, "%s → ", r.From)
	}
	b.WriteString(r.To)
	if s := r.Match.String(); s != "" {
		fmt.Fprintf(&b, " %s", s)
	}
	for _, f := range []struct {
		name string
		v    int
	}{{"nth", r.Trigger.Nth}, {"after", r.Trigger.After}, {"every", r.Trigger.Every}, {"times", r.Trigger.Times}} {
		if f.v != 0 {
			fmt.Fprintf(&b, ", %s=%d", f.name, f.v)
		}
	}
	if r.Trigger.Prob != 1 {
		fmt.Fprintf(&b, ", probability=%g", r.Trigger.Prob)
	}
	return b.String()
}
