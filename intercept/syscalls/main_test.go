//go:build linux

package syscalls

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// oldKernel has programs started as a kernel before Linux 5.19 would, if it is
// in the environment.
const oldKernel = "FAULTBOX_OLD_KERNEL"

func TestMain(m *testing.M) {
	if os.Getenv(oldKernel) != "" {
		waitKillable = 0
	}
	Helper()
	if fn := programs[os.Args[0]]; fn != nil {
		fn(os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// programs are targets that this binary plays, by their argv[0].
var programs = map[string]func([]string){}

// recorder is a Handler over rules that keeps every event.
type recorder struct {
	*intercept.Rules
	trace bool // want every watched call

	mu     sync.Mutex
	events []intercept.Event
	count  atomic.Int64
	quiet  bool // count only
}

func newRecorder(rules ...intercept.Rule) *recorder {
	r := &recorder{Rules: intercept.NewRules(1)}
	r.Arm(rules...)
	return r
}

func (r *recorder) Decide(ev *intercept.Event, it *protocols.Item) intercept.Decision {
	return r.Rules.Decide(ev, it)
}

func (r *recorder) Needs(ev *intercept.Event) intercept.Needs {
	n := r.Rules.Needs(ev)
	if r.trace {
		n |= intercept.NeedsFile | intercept.NeedsPeer
	}
	return n
}

func (r *recorder) Done(ev intercept.Event) {
	r.count.Add(1)
	r.Ended(&ev)
	if r.quiet {
		return
	}
	r.mu.Lock()
	r.events = append(r.events, ev)
	r.mu.Unlock()
}

// fired returns the events on which a rule fired, as "op key outcome err".
func (r *recorder) fired() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if len(ev.Rules) > 0 {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", ev.Op, ev.Key, ev.Outcome, ev.Err)))
		}
	}
	return out
}

func (r *recorder) notes() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		if ev.Kind == intercept.Note {
			out = append(out, ev.Note)
		}
	}
	return out
}

// rule makes a rule of service "svc": matchers by name, then what it does.
func rule(tb testing.TB, fault intercept.Fault, trigger intercept.Trigger, match ...string) intercept.Rule {
	tb.Helper()
	r := intercept.Rule{Name: "rule", To: "svc", Proto: intercept.Syscalls.Name, Trigger: trigger, Fault: fault}
	named := false
	for _, m := range match {
		name, pattern, _ := strings.Cut(m, "=")
		named = named || name == "path" || name == "files"
		t, err := intercept.NewTerm(intercept.Syscalls, name, "", pattern)
		if err != nil {
			tb.Fatal(err)
		}
		r.Match = append(r.Match, t)
	}
	if !named {
		t, _ := intercept.NewTerm(intercept.Syscalls, "files", "", "own")
		r.Match = append(r.Match, t)
	}
	return r
}

// watched is a program that runs under a filter.
type watched struct {
	*exec.Cmd
	out      bytes.Buffer
	attached intercept.Attachment
}

// start starts a program under an interceptor, watching calls.
func start(tb testing.TB, h intercept.Handler, calls []string, argv ...string) *watched {
	tb.Helper()
	return startTarget(tb, New(), intercept.Target{Name: "svc", Calls: calls}, h, argv...)
}

func startTarget(tb testing.TB, i *Interceptor, target intercept.Target, h intercept.Handler, argv ...string) *watched {
	tb.Helper()
	w, err := tryStart(tb, i, target, h, argv...)
	if err != nil {
		tb.Fatalf("start %q: %v\n%s", argv, err, w.out.String())
	}
	return w
}

func tryStart(tb testing.TB, i *Interceptor, target intercept.Target, h intercept.Handler, argv ...string) (*watched, error) {
	tb.Helper()
	path := argv[0]
	if programs[path] != nil {
		path = self
	} else if p, err := exec.LookPath(path); err == nil {
		path = p
	}
	e := &intercept.Exec{Path: path, Argv: argv}
	target.Exec = e
	att, err := i.Attach(context.Background(), target, h)
	if err != nil {
		tb.Fatal(err)
	}
	w := &watched{attached: att}
	w.Cmd = &exec.Cmd{Path: e.Path, Args: e.Argv, Stdout: &w.out, Stderr: &w.out, ExtraFiles: e.Files, WaitDelay: 10 * time.Second}
	if err := w.Start(); err != nil {
		tb.Fatal(err)
	}
	for _, f := range e.Files {
		f.Close()
	}
	tb.Cleanup(func() {
		w.Process.Kill()
		att.Close()
		i.Close()
	})
	if err := e.Started(); err != nil {
		held := time.AfterFunc(10*time.Second, func() { w.Process.Kill() }) // it may be held up yet
		w.Wait()
		held.Stop()
		return w, err
	}
	return w, nil
}

// run runs a program to its end and returns its output and exit code.
func run(tb testing.TB, h intercept.Handler, calls []string, argv ...string) (string, int) {
	tb.Helper()
	w := start(tb, h, calls, argv...)
	w.Wait()
	w.attached.Close()
	return w.out.String(), w.ProcessState.ExitCode()
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
