package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"faultbox/runtime"
)

// refuse names every attribute of the project's services that cannot be
// honoured and is not ignored, each with its place.
func (r *reader) refuse(p *types.Project) error {
	for name := range p.Services {
		if name == "test" {
			r.cannot("services.test", "that is what the test itself is called; take another name")
		}
	}
	used := map[string]bool{}
	var errs []error
	for _, f := range r.refused {
		if !concerns(p, f.path) {
			continue
		}
		if i := slices.IndexFunc(r.q.Ignore, func(s string) bool { return covers(s, f.path) }); i >= 0 {
			used[r.q.Ignore[i]] = true
			continue
		}
		text := f.path + " cannot be honoured"
		if f.why != "" {
			text += ": " + f.why
		}
		errs = append(errs, at(r.places.of(strings.Split(f.path, ".")...), "%s; to go on without it: ignore = [%q]", text, f.path))
	}
	for _, s := range r.q.Ignore {
		if !used[s] {
			errs = append(errs, fmt.Errorf("ignore %q: there is nothing of that name that could not be honoured", s))
		}
	}
	return errors.Join(errs...)
}

// covers reports whether what is ignored is path, or a whole that it is part of.
func covers(ignored, path string) bool {
	return ignored == path || strings.HasPrefix(path, ignored+".")
}

// told returns the warnings: one for each reason, naming the attributes.
func (r *reader) told(p *types.Project) []string {
	var out []string
	for _, text := range r.warnings {
		out = append(out, r.places.first()+": "+text)
	}
	for why, paths := range r.left {
		paths = slices.DeleteFunc(paths, func(path string) bool { return !concerns(p, path) })
		if len(paths) == 0 {
			continue
		}
		slices.Sort(paths)
		out = append(out, fmt.Sprintf("%s: without %s: %s", r.places.of(strings.Split(paths[0], ".")...), strings.Join(paths, ", "), why))
	}
	slices.Sort(out)
	return out
}

// convert makes services of a project's.
func (r *reader) convert(p *types.Project) (*runtime.Project, error) {
	out := &runtime.Project{Guesses: map[string][]runtime.Guess{}}
	c := &converter{r: r, project: p, networks: map[string]*runtime.Net{}, volumes: map[string]*runtime.Volume{}, builds: map[*types.BuildConfig]*runtime.Build{}}
	var errs []error
	for _, name := range p.ServiceNames() {
		s := p.Services[name]
		svc, err := c.service(&s)
		if err != nil {
			errs = append(errs, at(r.places.of("services", name), "service %s: %w", name, err))
			continue
		}
		out.Services = append(out.Services, svc)
		out.Guesses[name] = asked(Guess(s.Image, ports(&s), svc.Env), &s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	c.judge(out.Services)
	out.Warnings = r.told(p)
	return out, nil
}
