package spec

import (
	"fmt"
	"math"
	"slices"

	"go.starlark.net/starlark"
)

// started is what fault_start(…) armed.
type started struct {
	target starlark.Value // nil: that of the faults themselves
	disarm func()
}

// disarmAll takes off what fault_start(…) armed and fault_stop(…) did not.
func (a *action) disarmAll() {
	for _, s := range a.started {
		s.disarm()
	}
	a.started = nil
}

// arm reads the arguments common to fault, fault_all and fault_start, and arms
// their rules.
func (l *loader) arm(c *call, params ...param) (target starlark.Value, disarm func(), err error) {
	var fl faultList
	params = append(params, keyword("target", toTarget(&fl.target)))
	err = c.unpack(params, func(i int, v starlark.Value) error {
		if i == 0 && toTarget(&fl.target)(v) == nil {
			return nil
		}
		return fl.toFaults(v)
	}, fl.toCalls(l, params))
	if err != nil {
		return nil, nil, err
	}
	if len(fl.items)+len(fl.calls) == 0 {
		return nil, nil, c.errorf("it names no fault")
	}
	force := fl.inForce()
	rules, err := fl.rules(c, "")
	if err != nil {
		return nil, nil, err
	}
	rules = c.l.concrete(rules)
	t := actionOf(c.thread).t
	for i := range rules {
		if err := t.Watches(rules[i].To, rules[i].Watched()); err != nil {
			return nil, nil, c.errorf("%s", err)
		}
	}
	a := actionOf(c.thread)
	var off func()
	a.wait(func() { off = t.Arm(rules...) })
	return fl.target, func() {
		off()
		for _, s := range force {
			s.disarm()
		}
	}, nil
}

// inForce takes out of the list the standing faults that are in force already.
func (fl *faultList) inForce() (force []*started) {
	fl.items = slices.DeleteFunc(fl.items, func(v starlark.Value) bool {
		f, ok := v.(*faultValue)
		if ok && f.inForce != nil {
			force = append(force, f.inForce)
			return true
		}
		return false
	})
	return force
}

// faultRun is fault(…) and fault_all(…): the faults are armed while run runs.
func (l *loader) faultRun(c *call) (starlark.Value, error) {
	var run starlark.Callable
	_, disarm, err := l.arm(c, param{name: "run", set: toCallable(&run, 0), required: true, keyword: true})
	if err != nil {
		return nil, err
	}
	defer disarm()
	return starlark.Call(c.thread, run, nil, nil)
}

func (l *loader) faultStart(c *call) (starlark.Value, error) {
	target, disarm, err := l.arm(c)
	if err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	a.started = append(a.started, &started{target, disarm})
	return starlark.None, nil
}

// faultStop takes off what was started for a target, or everything.
func (l *loader) faultStop(c *call) (starlark.Value, error) {
	var target starlark.Value
	if err := c.unpack([]param{optional("target", toTarget(&target))}, nil, nil); err != nil {
		return nil, err
	}
	a := actionOf(c.thread)
	if target == nil {
		a.disarmAll()
		return starlark.None, nil
	}
	var kept []*started
	for _, s := range a.started {
		if s.target != target && !(s.target != nil && serviceOf(s.target) == target) {
			kept = append(kept, s)
			continue
		}
		s.disarm()
	}
	if len(kept) == len(a.started) {
		return nil, c.errorf("no fault was started for %s", target)
	}
	a.started = kept
	return starlark.None, nil
}

// parallel calls functions at the same time and returns their results in order.
func (l *loader) parallel(c *call) (starlark.Value, error) {
	var fns []starlark.Callable
	err := c.unpack(nil, func(_ int, v starlark.Value) error {
		var fn starlark.Callable
		err := toCallable(&fn, 0)(v)
		fns = append(fns, fn)
		return err
	}, nil)
	if err != nil {
		return nil, err
	}
	if len(fns) > math.MaxUint8 {
		return nil, fmt.Errorf("%d functions at once are too many", len(fns))
	}
	a := actionOf(c.thread)
	results, errs := make([]starlark.Value, len(fns)), make([]error, len(fns))
	done := make(chan struct{}, len(fns))
	for i, fn := range fns {
		thread, stop := a.thread(c.thread.Name)
		go func() {
			defer func() { done <- struct{}{} }()
			defer stop()
			a.turn.Lock()
			defer a.turn.Unlock()
			results[i], errs[i] = starlark.Call(thread, fn, nil, nil)
		}()
	}
	a.wait(func() {
		for range fns {
			<-done
		}
	})
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return starlark.NewList(results), nil
}
