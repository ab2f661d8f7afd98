package spec

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.starlark.net/starlark"

	"faultbox/intercept"
	"faultbox/runtime"
)

// action is one run of a body. Its Starlark threads take turns: turn is held
// by the one that runs, and given up while a builtin waits. So functions given
// to parallel(…) may share variables.
type action struct {
	l    *loader
	t    *runtime.T
	turn sync.Mutex

	monitors []*monitor
	started  []*started
	traced   []*started
}

const actionKey = "faultbox.action"

// actionOf returns the action that a thread belongs to; nil while loading.
func actionOf(thread *starlark.Thread) *action {
	a, _ := thread.Local(actionKey).(*action)
	return a
}

// thread makes a thread of the action that ends with the test. stop releases it.
func (a *action) thread(name string) (thread *starlark.Thread, stop func() bool) {
	thread = &starlark.Thread{Name: name, Print: a.print}
	thread.SetLocal(actionKey, a)
	ctx := a.t.Context()
	return thread, context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })
}

// print puts what a spec prints into the timeline.
func (a *action) print(_ *starlark.Thread, msg string) {
	a.t.Log().Add(intercept.Event{Kind: intercept.Note, From: testSource, Note: msg})
}

// wait runs f while other threads of the action go on.
func (a *action) wait(f func()) {
	a.turn.Unlock()
	defer a.turn.Lock()
	f()
}

// perform runs fn as the action's first thread and judges the monitors when it
// held.
func (l *loader) perform(t *runtime.T, fn func(a *action, thread *starlark.Thread) error) error {
	a := &action{l: l, t: t, monitors: l.monitors}
	a.turn.Lock()
	defer a.turn.Unlock()
	thread, stop := a.thread(t.Name())
	defer stop()
	err := fn(a, thread)
	a.disarmAll()
	if err == nil {
		err = a.judgeMonitors(thread)
	}
	return l.failure(err)
}

// hook makes the runner's form of seed= and reset=.
func (l *loader) hook(fn starlark.Callable) func(*runtime.T) error {
	if fn == nil {
		return nil
	}
	return func(t *runtime.T) error {
		err := l.perform(t, func(a *action, thread *starlark.Thread) error {
			a.monitors = nil
			_, err := starlark.Call(thread, fn, nil, nil)
			return err
		})
		var f *runtime.Failure
		if errors.As(err, &f) {
			return fmt.Errorf("%s: %s", f.Pos, f.Message)
		}
		return err
	}
}

// body makes the runner's form of a test: scenario, then expectation with the
// faults still armed for the services but not for the test's own steps.
func (l *loader) body(d *testDecl) func(*runtime.T) error {
	return func(t *runtime.T) error {
		return l.perform(t, func(a *action, thread *starlark.Thread) error {
			e, special := d.expect.(*expectation)
			begin := time.Now()
			var observed starlark.Value
			var err error
			ended := true
			if special && e.hang() {
				observed, ended, err = a.callWithin(d.scenario, e.limit)
			} else {
				observed, err = starlark.Call(thread, d.scenario, nil, nil)
			}
			if err != nil || d.expect == nil {
				return err
			}
			took := time.Since(begin)
			t.Immune(true)
			if special {
				return e.judge(observed, took, ended)
			}
			return a.expect(thread, d, observed)
		})
	}
}

// expect calls an expectation of the spec's own. One that returns False has
// failed; the assertions inside it speak for themselves.
func (a *action) expect(thread *starlark.Thread, d *testDecl, observed starlark.Value) error {
	got, err := starlark.Call(thread, d.expect, starlark.Tuple{observed}, nil)
	if err != nil || got != starlark.False {
		return err
	}
	pos := d.site.String()
	if f, ok := d.expect.(*starlark.Function); ok {
		pos = f.Position().String()
	}
	return &runtime.Failure{Pos: pos, Message: fmt.Sprintf("expect returned False for %s", full(observed))}
}

// callWithin calls fn on a thread of its own and reports whether it ended
// within limit; one that did not is cancelled.
func (a *action) callWithin(fn starlark.Callable, limit time.Duration) (v starlark.Value, ended bool, err error) {
	thread, stop := a.thread(a.t.Name())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer stop()
		a.turn.Lock()
		defer a.turn.Unlock()
		v, err = starlark.Call(thread, fn, nil, nil)
	}()
	a.wait(func() {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-done:
			ended = true
		case <-timer.C:
		case <-a.t.Context().Done():
		}
	})
	if ended {
		return v, true, err
	}
	thread.Cancel("it was expected to hang, and did")
	return starlark.None, false, nil
}
