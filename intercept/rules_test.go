package intercept

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"faultbox/protocols"
)

var testProto = &protocols.Protocol{Name: "test", Fields: map[string]protocols.Field{
	"command": protocols.OpField,
	"key":     protocols.KeyField,
	"query":   {Of: "text", Fold: true, Normalize: strings.TrimSpace},
	"headers": {Of: "header:"},
}}

func term(t testing.TB, name, sub, pattern string) Match {
	t.Helper()
	m, err := NewTerm(testProto, name, sub, pattern)
	if err != nil {
		t.Fatal(err)
	}
	return Match{m}
}

// run feeds n events to the rules and tells on which (from 1) the first rule fired.
func run(r *Rules, n int) (fired []int) {
	for i := 1; i <= n; i++ {
		d := r.Decide(&Event{From: "api", To: "db", Interface: "main", Proto: "test"}, &protocols.Item{Op: "GET", Key: "k"})
		if d.Fires() {
			fired = append(fired, i)
		}
	}
	return fired
}

func TestTriggers(t *testing.T) {
	for _, c := range []struct {
		name string
		trig Trigger
		want string
	}{
		{"always", Always, "[1 2 3 4 5 6]"},
		{"nth", Trigger{Nth: 3, Prob: 1}, "[3]"},
		{"after", Trigger{After: 4, Prob: 1}, "[5 6]"},
		{"every", Trigger{Every: 2, Prob: 1}, "[2 4 6]"},
		{"after and every", Trigger{After: 1, Every: 2, Prob: 1}, "[3 5]"},
		{"times", Trigger{Times: 2, Prob: 1}, "[1 2]"},
		{"every and times", Trigger{Every: 3, Times: 1, Prob: 1}, "[3]"},
		{"never", Trigger{Prob: 0}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewRules(1)
			r.Arm(Rule{To: "db", Proto: "test", Trigger: c.trig, Fault: Fault{Do: Close}})
			if got := fmt.Sprint(run(r, 6)); got != c.want {
				t.Errorf("fired on %s, want %s", got, c.want)
			}
			if m := r.Tally()[0].Matched(); m != 6 {
				t.Errorf("matched %d, want 6", m)
			}
		})
	}
}

func TestProbabilityIsSeeded(t *testing.T) {
	third := Rule{To: "db", Proto: "test", Trigger: Trigger{Prob: 0.3}, Fault: Fault{Do: Close}}
	alone, again, other, beside := NewRules(7), NewRules(7), NewRules(8), NewRules(7)
	alone.Arm(third)
	again.Arm(third)
	other.Arm(third)
	beside.Arm(third, Rule{To: "db", Proto: "test", Trigger: Trigger{Prob: 0.5}, Fault: Fault{Delay: time.Second}})
	a := run(alone, 10_000)
	if b := run(again, 10_000); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Error("the same seed gave other faults")
	}
	if b := run(other, 10_000); fmt.Sprint(a) == fmt.Sprint(b) {
		t.Error("another seed gave the same faults")
	}
	run(beside, 10_000)
	if got := beside.Tally()[0].Fired(); got != uint64(len(a)) {
		t.Errorf("fired %d times beside another rule, %d times alone", got, len(a))
	}
	if n := len(a); n < 2800 || n > 3200 {
		t.Errorf("30%% of 10000 came to %d", n)
	}
}

func TestComposition(t *testing.T) {
	r := NewRules(1)
	r.Arm(
		Rule{Name: "slow", To: "db", Proto: "test", Trigger: Always, Fault: Fault{Delay: time.Second}},
		Rule{Name: "first", To: "db", Proto: "test", Trigger: Always, Fault: Fault{Do: Answer, Reply: &protocols.Reply{Code: "A"}}},
		Rule{Name: "second", To: "db", Proto: "test", Trigger: Always, Fault: Fault{Do: Close}},
		Rule{Name: "slower", To: "db", Proto: "test", Trigger: Always, Fault: Fault{Delay: 2 * time.Second, When: After}},
		Rule{Name: "elsewhere", To: "cache", Proto: "test", Trigger: Always, Fault: Fault{Do: Close}},
		Rule{Name: "other source", From: "web", To: "db", Proto: "test", Trigger: Always, Fault: Fault{Delay: time.Hour}},
	)
	d := r.Decide(&Event{From: "api", To: "db", Proto: "test"}, &protocols.Item{})
	if d.DelayBefore != time.Second || d.DelayAfter != 2*time.Second {
		t.Errorf("delays %v before, %v after", d.DelayBefore, d.DelayAfter)
	}
	if d.Fault.Do != Answer || d.Fault.Reply.Code != "A" {
		t.Errorf("decided %v, want the first fault that ends the exchange", d.Fault.Do)
	}
	var names []string
	for _, a := range d.Rules {
		names = append(names, a.Name)
	}
	if got := strings.Join(names, " "); got != "slow first slower" {
		t.Errorf("fired %q", got)
	}
}

func TestDisarm(t *testing.T) {
	r := NewRules(1)
	off := r.Arm(Rule{To: "db", Proto: "test", Trigger: Always, Fault: Fault{Do: Close}})
	off2 := r.Arm(Rule{To: "db", Proto: "test", Trigger: Always, Fault: Fault{Do: Close}})
	off()
	off()
	if got := run(r, 2); len(got) != 2 {
		t.Errorf("the second rule fired %v", got)
	}
	off2()
	if got := run(r, 2); len(got) != 0 {
		t.Errorf("a disarmed rule fired on %v", got)
	}
	if n := len(r.Tally()); n != 2 {
		t.Errorf("tally has %d rules, want both", n)
	}
}

func TestMatch(t *testing.T) {
	it := &protocols.Item{Op: "MGET", Key: "a", Keys: []string{"a", "b"}, Text: "  select 1 ", Attrs: []protocols.Attr{{Name: "header:x-id", Value: "7"}}}
	for _, c := range []struct {
		m    Match
		want bool
	}{
		{nil, true},
		{term(t, "command", "", "mget"), true},
		{term(t, "key", "", "b"), true},
		{term(t, "key", "", "B"), false},
		{term(t, "query", "", "SELECT *"), true},
		{term(t, "query", "", "INSERT*"), false},
		{term(t, "headers", "X-Id", "7"), true},
		{term(t, "headers", "X-Other", "*"), false},
		{append(term(t, "command", "", "MGET"), term(t, "key", "", "z")...), false},
	} {
		if got := c.m.Matches(it); got != c.want {
			t.Errorf("%s: %v, want %v", c.m, got, c.want)
		}
	}
	if _, err := NewTerm(testProto, "topic", "", "x"); err == nil {
		t.Error("an unknown field was taken")
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		fold, want bool
	}{
		{"", "", false, true}, {"", "a", false, false}, {"*", "", false, true}, {"a*c", "abbc", false, true},
		{"a*c", "abbcd", false, false}, {"*b*", "abc", false, true}, {"a?c", "aéc", false, true}, {"a?c", "ac", false, false},
		{"INSERT*", "insert into t", true, true}, {"INSERT*", "insert", false, false}, {"*.*", "a/b.c\nd", false, true},
		{"É*", "état", true, true}, {"**a**", "bab", false, true}, {"a\xff", "a\xff", false, true}, {"a\xff", "a\xfe", false, false},
	} {
		if got := compileGlob(c.pattern, c.fold).match(c.s); got != c.want {
			t.Errorf("glob %q on %q (fold %v): %v, want %v", c.pattern, c.s, c.fold, got, c.want)
		}
	}
}

// TestGlobAgainstRegexp compares with an independent implementation.
// TestBytes: of bytes a character is one, whatever letter it might be part of.
func TestBytes(t *testing.T) {
	p := &protocols.Protocol{Name: "raw", Fields: map[string]protocols.Field{
		"bytes":     {Of: "bytes", Bytes: true},
		"direction": {Of: "direction", Values: []string{"to", "from"}},
	}}
	for pattern, want := range map[string]bool{"\xc3*": true, "?\xa9x": true, "*\xa9*": true, "\xa9*": false, "??x": true, "?x": false} {
		term, err := NewTerm(p, "bytes", "", pattern)
		if err != nil {
			t.Fatal(err)
		}
		it := &protocols.Item{Attrs: []protocols.Attr{{Name: "bytes", Value: "éx"}}}
		if got := (Match{term}).Matches(it); got != want {
			t.Errorf("%q matches: %v", pattern, got)
		}
	}
	if _, err := NewTerm(p, "direction", "", "out"); err == nil || !strings.Contains(err.Error(), `one of ["to" "from"]`) {
		t.Errorf("another direction: %v", err)
	}
}

func TestGlobAgainstRegexp(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func(set string, n int) string {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = set[rng.IntN(len(set))]
		}
		return string(b)
	}
	for range 20_000 {
		p, s := pick("ab*?", 7), pick("ab", 9)
		re := regexp.MustCompile("(?s)^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(p)) + "$")
		if got, want := compileGlob(p, false).match(s), re.MatchString(s); got != want {
			t.Fatalf("glob %q on %q: %v, want %v", p, s, got, want)
		}
	}
}

func BenchmarkDecideNoMatch(b *testing.B) {
	r := NewRules(1)
	r.Arm(Rule{To: "db", Proto: "test", Match: term(b, "command", "", "NEVER"), Trigger: Always, Fault: Fault{Do: Close}})
	ev, it := &Event{From: "api", To: "db", Proto: "test"}, &protocols.Item{Op: "GET", Key: "key:000000000001"}
	b.ReportAllocs()
	for b.Loop() {
		if d := r.Decide(ev, it); d.Fires() {
			b.Fatal("fired")
		}
	}
}
