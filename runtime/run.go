package runtime

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"sync"
	"time"

	"faultbox/intercept"
)

// Through connects the test's own steps to a peer through the proxy: as if a
// service of that name had connected. dial reaches the peer itself.
type Through func(ctx context.Context, from string, peer intercept.Peer, h intercept.Handler, dial func(context.Context) (net.Conn, error)) (net.Conn, error)

// Runner runs the tests of a spec. Its fields are set once, before Run.
type Runner struct {
	Spec        *Spec
	Worlds      Worlds
	Local       Driver // for local programs
	Container   Driver // for images, builds and running containers; nil: not in this build
	Interceptor intercept.Interceptor
	Calls       intercept.Interceptor // of system calls; nil: not in this build
	Network     Network               // nil: not in this build
	Through     Through
	Steppers    map[string]Stepper // by protocol name
	Sinks       []Sink
	CA          []byte // certificate (PEM) that the proxy signs with; nil: TLS is not looked into

	Version string
	Tier    string // how the tests run, for people; "" if nothing is lacking
	Lacks   string // what is not available so
	Seed    uint64
	Select  func(name string) bool   // nil: every test
	Timeout time.Duration            // of a test's body that names none; 0: DefaultTimeout
	Jobs    int                      // tests at once, each in its own world; 0 or 1: one
	Repeat  func(test string) string // the command that repeats a test; nil: none is told

	selected []*Test
	mu       sync.Mutex // guards the sinks
	sinkErr  error
	unheard  context.CancelFunc // ends a run whose report cannot be written
}

// DefaultTimeout bounds a test's body.
const DefaultTimeout = 30 * time.Second

// stopTimeout bounds the polite end of a test's services.
const stopTimeout = 10 * time.Second

// ErrNoTest says that nothing was selected.
var ErrNoTest = errors.New("no test matches")

// Run runs the selected tests and returns the worst verdict. An error means
// that the run could not take place, or its reports could not be written.
func (r *Runner) Run(ctx context.Context) (Verdict, error) {
	for _, t := range r.Spec.Tests {
		if r.Select == nil || r.Select(t.Name) {
			r.selected = append(r.selected, t)
		}
	}
	if len(r.selected) == 0 {
		return Error, ErrNoTest
	}
	ctx, r.unheard = context.WithCancel(ctx)
	defer r.unheard()
	begin := time.Now()
	end := &EndRecord{Counts: make(map[Verdict]int), Verdict: Passed}
	r.emit(Record{Start: &StartRecord{Version: r.Version, File: r.Spec.File, Seed: r.Seed, Tests: len(r.selected), Warnings: r.Spec.Warnings, Tier: r.Tier, Lacks: r.Lacks}})
	r.runAll(ctx, func(rec *TestRecord) {
		end.Counts[rec.Verdict]++
		end.Verdict = end.Verdict.Worse(rec.Verdict)
		r.emitLocked(Record{Test: rec})
	})
	if ctx.Err() != nil {
		end.Verdict = Interrupted
	}
	end.Took = time.Since(begin)
	r.emit(Record{End: end})
	for _, s := range r.Sinks {
		r.sinkErr = errors.Join(r.sinkErr, s.Close())
	}
	return end.Verdict, r.sinkErr
}

// runAll feeds the tests to the workers; done is called for each outcome, one
// at a time, with r.mu held.
func (r *Runner) runAll(ctx context.Context, done func(*TestRecord)) {
	tests := make(chan *Test)
	var wg sync.WaitGroup
	for range max(r.Jobs, 1) {
		wg.Go(func() {
			w := &worker{runner: r}
			defer w.close()
			for t := range tests {
				rec := w.run(ctx, t)
				r.mu.Lock()
				done(rec)
				r.mu.Unlock()
			}
		})
	}
feed:
	for _, t := range r.selected {
		select {
		case tests <- t:
		case <-ctx.Done():
			break feed
		}
	}
	close(tests)
	wg.Wait()
}

// emit hands a record to every sink.
func (r *Runner) emit(rec Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.emitLocked(rec)
}

func (r *Runner) emitLocked(rec Record) {
	for _, s := range r.Sinks {
		if err := s.Write(rec); err != nil && r.sinkErr == nil {
			r.sinkErr = fmt.Errorf("write report: %w", err)
			r.unheard()
		}
	}
}

func (r *Runner) driver(s *Service) Driver {
	if s.Local() {
		return r.Local
	}
	return r.Container
}

func (r *Runner) keepsStage() bool {
	for _, s := range r.Spec.Services {
		if s.Reuse {
			return true
		}
	}
	return false
}

// seed is the seed of one test: it does not depend on which others run.
func (r *Runner) seed(t *Test) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s", r.Seed, t.Name)
	return h.Sum64()
}

// worker runs tests one after the other, on a stage that it keeps while the
// spec has services to reuse.
type worker struct {
	runner *Runner
	stage  *stage
}

// run runs one test from an empty or reused stage to its verdict.
func (w *worker) run(ctx context.Context, test *Test) *TestRecord {
	r, begin := w.runner, time.Now()
	r.emit(Record{Begin: &BeginRecord{Test: test.Name}})
	rec := w.perform(ctx, test)
	rec.Took = time.Since(begin)
	rec.Seed = r.Seed
	if r.Repeat != nil {
		rec.Repeat = r.Repeat(test.Name)
	}
	return rec
}

func (w *worker) perform(ctx context.Context, test *Test) *TestRecord {
	t := &T{test: test, rules: intercept.NewRules(w.runner.seed(test)), log: NewLog(), sessions: make(map[sessionKey]*session), ctx: ctx}
	if err := w.set(ctx, test); err != nil {
		return w.unable(ctx, t, err)
	}
	s := w.stage
	t.stage = s
	s.now.Store(t)
	defer s.now.Store(nil)

	err := s.raise(ctx, t)
	var rec *TestRecord
	if err != nil {
		rec = w.unable(ctx, t, err)
	} else {
		rec = w.play(ctx, t)
	}
	if rec.Verdict != Passed {
		rec.Logs = s.tails(10)
	}
	t.closeSessions()
	if err := w.leave(ctx, rec); err != nil && rec.Verdict == Passed {
		rec.Verdict, rec.Reason = Error, err.Error()
	}
	rec.Events, rec.Lost = t.log.Timeline()
	return rec
}

// set makes sure that there is a stage.
func (w *worker) set(ctx context.Context, test *Test) error {
	if w.stage != nil {
		return nil
	}
	world, err := w.runner.Worlds.New(ctx, test.Name)
	if err != nil {
		return fmt.Errorf("make a world: %w", err)
	}
	w.stage = &stage{runner: w.runner, world: world, actors: make(map[string]*actor)}
	return nil
}

// play arms the rules and runs the body under its timeout.
func (w *worker) play(ctx context.Context, t *T) *TestRecord {
	limit := t.test.Timeout
	if limit == 0 {
		limit = w.runner.Timeout
	}
	if limit == 0 {
		limit = DefaultTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w after %s: the body did not end; raise timeout= or look for what hangs", ErrTimeout, limit))
	defer cancel()
	t.ctx = ctx
	t.stage.armed.Store(true)
	disarm := t.Arm(t.test.Rules...)
	err := t.test.Body(t)
	t.stage.armed.Store(false)
	disarm()
	if unable := t.unable.Load(); unable != nil && ctx.Err() == nil {
		return w.unable(ctx, t, *unable)
	}
	return judge(ctx, t, err)
}

// unable is the record of a test whose stage did not come up.
func (w *worker) unable(ctx context.Context, t *T, err error) *TestRecord {
	rec := &TestRecord{Name: t.test.Name, Pos: t.test.Pos, Verdict: Error, Reason: err.Error()}
	var lacks *LacksError
	switch {
	case ctx.Err() != nil:
		rec.Verdict, rec.Reason = Interrupted, "interrupted"
	case errors.As(err, &lacks):
		rec.Verdict = NotRun
	}
	return rec
}

// LacksError says that this machine lacks something a test needs.
type LacksError = intercept.LacksError

// leave ends the test's services, and the world unless a later test reuses it.
func (w *worker) leave(ctx context.Context, rec *TestRecord) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if w.runner.keepsStage() && rec.Verdict != Error && rec.Verdict != Interrupted {
		return w.stage.strike(ctx, false)
	}
	return w.clear(ctx)
}

func (w *worker) clear(ctx context.Context) error {
	s := w.stage
	w.stage = nil
	return errors.Join(s.strike(ctx, true), s.world.Close())
}

func (w *worker) close() {
	if w.stage == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := w.clear(ctx); err != nil {
		w.runner.mu.Lock()
		w.runner.sinkErr = errors.Join(w.runner.sinkErr, fmt.Errorf("clean up: %w", err))
		w.runner.mu.Unlock()
	}
}
