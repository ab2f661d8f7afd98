package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// fakeNetwork remembers what it was asked for.
type fakeNetwork struct {
	said   []string
	struck uint64
	err    error
}

func (f *fakeNetwork) Impair(_ World, from *Service, to []*Service, fault intercept.Fault, prob float64, _ uint64) (Impairment, error) {
	names := []string{}
	for _, s := range to {
		names = append(names, s.Name)
	}
	f.said = append(f.said, fmt.Sprintf("%s to %v: %v %g", from.Name, names, fault.Do, prob))
	return f, f.err
}
func (f *fakeNetwork) Struck() uint64 { return f.struck }
func (f *fakeNetwork) Refresh() error { f.said = append(f.said, "refresh"); return nil }
func (f *fakeNetwork) Lift() error    { f.said = append(f.said, "lift"); return nil }

func (f *fakeInstance) Kill() error {
	f.kit.did = append(f.kit.did, "kill")
	select {
	case <-f.exited:
	default:
		close(f.exited)
	}
	return nil
}

func (f *fakeInstance) Pause() (thaw func() error, err error) {
	f.kit.did = append(f.kit.did, "freeze")
	return func() error { f.kit.did = append(f.kit.did, "thaw"); return nil }, nil
}

func partition(to string) intercept.Rule {
	return intercept.Rule{Name: "cut", Pos: "x.star:1:1", From: "api", To: to, Proto: intercept.Network.Name, Trigger: intercept.Always, Fault: intercept.Fault{Do: intercept.Lose}}
}

func process(do intercept.Do, d time.Duration) intercept.Rule {
	return intercept.Rule{Name: "done", To: "db", Proto: intercept.Processes.Name, Trigger: intercept.Always, Fault: intercept.Fault{Do: do, Delay: d}}
}

func TestStandingFaults(t *testing.T) {
	for _, c := range []struct {
		name     string
		rule     intercept.Rule
		network  *fakeNetwork
		did      string
		verdict  Verdict
		touched  string
		inReason string
	}{
		{"partition", partition("db"), &fakeNetwork{struck: 7}, "[api to [db]: lose 1 lift]", Passed, "7 packets api → db cut off", ""},
		{"partition from all", partition(""), &fakeNetwork{struck: 1}, "[api to [db]: lose 1 lift]", Passed, "1 packets api → others cut off", ""},
		{"no packet", partition("db"), &fakeNetwork{}, "[api to [db]: lose 1 lift]", Inconclusive, "", "no packet went from api to db"},
		{"not possible", partition("db"), &fakeNetwork{err: &LacksError{What: "no such kernel"}}, "[api to [db]: lose 1]", NotRun, "", "no such kernel"},
		{"broken", partition("db"), &fakeNetwork{err: errors.New("boom")}, "[api to [db]: lose 1]", Error, "", "boom"},
		{"kill", process(intercept.Kill, 0), nil, "[kill]", Passed, "1 kill db killed", ""},
		{"pause", process(intercept.Pause, 0), nil, "[freeze thaw]", Passed, "1 pause db paused", ""},
		{"pause for a while", process(intercept.Pause, time.Millisecond), nil, "[freeze thaw]", Passed, "1 pause db paused", ""},
		{"restart", process(intercept.Restart, 0), nil, "[]", Passed, "1 restart db restarted", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, k, out := fixture(&Test{Name: "t", Rules: []intercept.Rule{c.rule}, Body: func(*T) error {
				time.Sleep(20 * time.Millisecond)
				return nil
			}})
			if c.network != nil {
				r.Network = c.network
			}
			verdict, _ := r.Run(t.Context())
			rec := out.tests[0]
			if verdict != c.verdict || !strings.Contains(rec.Reason, c.inReason) {
				t.Fatalf("verdict %s, reason %q; want %s, %q", verdict, rec.Reason, c.verdict, c.inReason)
			}
			did := k.did
			if c.network != nil {
				did = c.network.said
			}
			if fmt.Sprint(did) != c.did {
				t.Errorf("did %v, want %s", did, c.did)
			}
			var touched []string
			for _, f := range rec.Faults {
				for _, x := range f.Touched {
					touched = append(touched, fmt.Sprintf("%d %s %s %s", x.Count, x.Op, x.Edge, x.Outcome))
				}
			}
			if got := strings.Join(touched, "; "); got != c.touched {
				t.Errorf("touched %q, want %q", got, c.touched)
			}
			if starts := 2; c.name == "restart" && k.started != starts+1 || c.name != "restart" && k.started != starts {
				t.Errorf("%d services were started", k.started)
			}
		})
	}
}

// call makes a system call of db happen, as the supervisor would.
func call(h intercept.Scout, op, path string, outcome intercept.Outcome) {
	ev := intercept.Event{Kind: intercept.Syscall, From: "db", To: "db", Proto: "syscall", Op: op, Key: path}
	if h.Needs(&ev) == 0 {
		return
	}
	ev.Decision = h.Decide(&ev, &protocols.Item{Op: op, Attrs: []protocols.Attr{{Name: "path", Value: path}}})
	for _, r := range ev.Decision.Rules {
		ev.Rules, ev.Outcome, ev.Err = append(ev.Rules, r.Name), outcome, "EIO"
	}
	h.Done(ev)
}

func callRule(t *testing.T, calls, path string) intercept.Rule {
	t.Helper()
	r := intercept.Rule{Name: "dying", To: "db", Proto: intercept.Syscalls.Name, Trigger: intercept.Trigger{After: 1, Prob: 1}, Fault: intercept.Fault{Do: intercept.Deny, Errno: 5}}
	for _, kv := range [][2]string{{"call", calls}, {"path", path}} {
		term, err := intercept.NewTerm(intercept.Syscalls, kv[0], "", kv[1])
		if err != nil {
			t.Fatal(err)
		}
		r.Match = append(r.Match, term)
	}
	return r
}

func TestSystemCalls(t *testing.T) {
	var k *fakeKit
	for _, c := range []struct {
		name    string
		body    func(*T) error
		verdict Verdict
		says    string // in the reason, or what was touched
		events  int
	}{
		{"denied", func(*T) error {
			for range 3 {
				call(k.handler.(intercept.Scout), "fdatasync", "/data/wal/1", intercept.Denied)
			}
			return nil
		}, Passed, "2 of 3 fdatasync on db denied EIO", 2},
		{"another path", func(*T) error {
			call(k.handler.(intercept.Scout), "fsync", "/data/base/1", intercept.Denied)
			call(k.handler.(intercept.Scout), "fsync", "/data/base/2", intercept.Denied)
			call(k.handler.(intercept.Scout), "fsync", "/data/base/2", intercept.Denied)
			return nil
		}, Inconclusive, `no call like (db call="fsync", path="**/wal/**", after=1). Seen there instead: 2× fsync /data/base/2 (db); 1× fsync /data/base/1 (db)`, 0},
		{"no call", func(*T) error { return nil }, Inconclusive, "db made no call of fsync while the fault was armed", 0},
		{"traced", func(t *T) error {
			stop, err := t.Trace("db", []string{"fsync"})
			if err != nil {
				return err
			}
			call(k.handler.(intercept.Scout), "fsync", "/data/wal/1", intercept.Denied)
			stop()
			call(k.handler.(intercept.Scout), "fsync", "/data/wal/1", intercept.Denied)
			return nil
		}, Passed, "1 of 2 fsync on db denied EIO", 2},
		{"not watched", func(t *T) error {
			_, err := t.Trace("db", []string{"mkdir"})
			return err
		}, Failed, "`mkdir` of db is not watched", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r *Runner
			var out *collect
			r, k, out = fixture(&Test{Name: "t", Body: c.body, Rules: []intercept.Rule{callRule(t, "fsync", "**/wal/**")}})
			r.Calls = k
			verdict, _ := r.Run(t.Context())
			rec := out.tests[0]
			var touched []string
			for _, f := range rec.Faults {
				for _, x := range f.Touched {
					touched = append(touched, fmt.Sprintf("%d of %d %s on %s %s", x.Count, f.Matched, x.Op, x.Edge, x.Outcome))
				}
			}
			if text := rec.Reason + strings.Join(touched, "; "); verdict != c.verdict || !strings.Contains(text, c.says) {
				t.Errorf("verdict %s, %q; want %s, %q", verdict, text, c.verdict, c.says)
			}
			if n := len(slices.DeleteFunc(rec.Events, func(ev intercept.Event) bool { return ev.Kind != intercept.Syscall })); n != c.events {
				t.Errorf("%d calls in the timeline, want %d", n, c.events)
			}
			if k.calls["api"] != nil || fmt.Sprint(k.calls["db"]) != "[fsync]" {
				t.Errorf("watched %v", k.calls)
			}
		})
	}
}
