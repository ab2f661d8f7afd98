package spec

import (
	"slices"
	"sort"
	"strings"
)

// finish makes the checks that need the whole spec and finds the tests that
// are tests by their name. Every problem found is told.
func (l *loader) finish() error {
	e := &Error{}
	for _, check := range l.checks {
		if p := check(); p != nil {
			e.Problems = append(e.Problems, *p)
		}
	}
	l.checkDependencies(e)
	for _, m := range l.order {
		found, err := l.testFunctions(m)
		for _, d := range found {
			if err == nil {
				err = l.addTest(d)
			}
		}
		if err != nil {
			e.Problems = append(e.Problems, l.explain(err).Problems...)
		}
	}
	if len(e.Problems) > 0 {
		return e
	}
	l.loaded = true
	return nil
}

// checkDependencies refuses depends_on that names no service, or that goes
// round in a circle.
func (l *loader) checkDependencies(e *Error) {
	blame := func(s *serviceValue, format string, args ...any) {
		e.Problems = append(e.Problems, *s.site.problem(s.site.keyword("depends_on"), "service: `depends_on`: "+format, args...))
	}
	for _, s := range l.services {
		for _, name := range s.after {
			if l.named[name] == nil {
				blame(s, "there is no service %q%s", name, suggest(name, l.serviceNames()))
				continue
			}
			if !slices.Contains(s.svc.DependsOn, name) {
				s.svc.DependsOn = append(s.svc.DependsOn, name)
			}
		}
	}
	const visiting, done = 1, 2
	state := map[*serviceValue]int{}
	var visit func(s *serviceValue, chain []string)
	visit = func(s *serviceValue, chain []string) {
		chain = append(chain, s.svc.Name)
		switch state[s] {
		case done:
			return
		case visiting:
			start := slices.Index(chain, s.svc.Name)
			blame(s, "services wait for each other: %s", strings.Join(chain[start:], " → "))
			return
		}
		state[s] = visiting
		for _, name := range s.svc.DependsOn {
			visit(l.named[name], chain)
		}
		state[s] = done
	}
	for _, s := range l.services {
		visit(s, nil)
	}
}

// declare notes that a name is taken, by kind, and refuses one that is.
func (l *loader) declare(kind, name string, s site) error {
	key := kind + " " + name
	if other, taken := l.declared[key]; taken {
		return s.errorf("two %ss are named %q; the other is at %s", kind, name, other)
	}
	l.declared[key] = s
	return nil
}

func sortBy[T any](items []T, less func(a, b T) bool) {
	sort.SliceStable(items, func(i, j int) bool { return less(items[i], items[j]) })
}
