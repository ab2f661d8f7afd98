package spec

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// projectValue is what compose(…) returns: services by name.
type projectValue struct {
	opaque
	services []*serviceValue
}

func (p *projectValue) String() string {
	return "compose(" + enumerate(quoteAll(p.AttrNames()), "and") + ")"
}
func (p *projectValue) Type() string { return "project" }

// AttrNames implements starlark.HasAttrs.
func (p *projectValue) AttrNames() []string {
	names := make([]string, len(p.services))
	for i, s := range p.services {
		names[i] = s.svc.Name
	}
	return names
}

func (p *projectValue) find(name string) (*serviceValue, error) {
	i := slices.IndexFunc(p.services, func(s *serviceValue) bool { return s.svc.Name == name })
	if i < 0 {
		names := p.AttrNames()
		return nil, fmt.Errorf("the project has no service %q%s (it has %s)", name, suggest(name, names), enumerate(names, "and"))
	}
	return p.services[i], nil
}

// Attr implements starlark.HasAttrs.
func (p *projectValue) Attr(name string) (starlark.Value, error) {
	s, err := p.find(name)
	if err != nil {
		return nil, starlark.NoSuchAttrError(err.Error())
	}
	return s, nil
}

// Get implements starlark.Mapping: names such as "order-api" are no identifiers.
func (p *projectValue) Get(k starlark.Value) (starlark.Value, bool, error) {
	name, ok := starlark.AsString(k)
	if !ok {
		return nil, false, wants("the name of a service", k)
	}
	s, err := p.find(name)
	return s, err == nil, err
}

// Iterate implements starlark.Iterable, over the names as a dict does.
func (p *projectValue) Iterate() starlark.Iterator {
	var names []starlark.Value
	for _, name := range p.AttrNames() {
		names = append(names, starlark.String(name))
	}
	return starlark.NewList(names).Iterate()
}

var _ interface {
	starlark.HasAttrs
	starlark.Mapping
	starlark.Iterable
} = (*projectValue)(nil)

// compose declares the services of a compose project.
func (l *loader) compose(c *call) (starlark.Value, error) {
	q := runtime.ProjectQuery{Dir: l.dir, Env: map[string]string{}}
	given := map[string][]*interfaceDecl{}
	words := func(dst *[]string) func(starlark.Value) error {
		return toList(func(v starlark.Value) error {
			var word string
			err := toWord(&word)(v)
			*dst = append(*dst, word)
			return err
		})
	}
	var env []string
	err := c.unpack([]param{
		optional("file", toList(func(v starlark.Value) error {
			var file string
			err := toWord(&file)(v)
			q.Files = append(q.Files, l.path(file))
			return err
		})),
		keyword("interfaces", toInterfaces(given)),
		keyword("profiles", words(&q.Profiles)), keyword("only", words(&q.Only)),
		keyword("env", toEnv(&env)), keyword("ignore", words(&q.Ignore)),
		keyword("ports", toBool(&q.Publish)), keyword("project", toWord(&q.Up)),
	}, nil, nil)
	if err != nil {
		return nil, err
	}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		q.Env[name] = value
	}
	if q.Up != "" && len(q.Files) > 0 {
		return nil, c.errorf("`project` is a project that is up, and `file` one to bring up: give one of them")
	}
	if l.Project == nil {
		return nil, c.errorf("this build of faultbox cannot run compose projects")
	}
	found, err := l.Project(context.Background(), q)
	if err != nil {
		return nil, c.errorf("%s", err)
	}
	l.warnings = append(l.warnings, found.Warnings...)
	return l.adopt(c, found, given)
}

// adopt makes the project's services those of the spec.
func (l *loader) adopt(c *call, found *runtime.Project, given map[string][]*interfaceDecl) (starlark.Value, error) {
	p := &projectValue{}
	for _, svc := range found.Services {
		v := &serviceValue{l: l, svc: svc, site: c.site, ops: map[string]*opValue{}, after: svc.DependsOn}
		svc.DependsOn = nil
		if other := l.named[svc.Name]; other != nil {
			return nil, c.errorf("two services are named %q; the other is at %s", svc.Name, other.site)
		}
		if !validName.MatchString(svc.Name) || svc.Name == testSource {
			return nil, c.errorf("the project has a service %q, which is no name that a spec can use", svc.Name)
		}
		decls, ok := given[svc.Name]
		if !ok {
			decls = l.guessed(found.Guesses[svc.Name])
		}
		delete(given, svc.Name)
		for _, d := range decls {
			if err := v.addInterface(d); err != nil {
				return nil, c.at(c.site.keyword("interfaces"), fmt.Errorf("`interfaces`: %s: %w", svc.Name, err))
			}
		}
		p.services = append(p.services, v)
		l.services = append(l.services, v)
		l.named[svc.Name] = v
	}
	for _, name := range sortedKeys(given) {
		_, err := p.find(name)
		return nil, c.at(c.site.keyword("interfaces"), fmt.Errorf("`interfaces`: %w", err))
	}
	return p, nil
}

// guessed are the interfaces that a service probably has, of the protocols that
// this build knows.
func (l *loader) guessed(guesses []runtime.Guess) (decls []*interfaceDecl) {
	for _, g := range guesses {
		d := &interfaceDecl{itf: runtime.Interface{Name: g.Name, Port: g.Port, Pos: "guessed by " + g.Why}}
		if l.toProtocol(&d.itf.Protocol)(starlark.String(g.Protocol)) == nil {
			decls = append(decls, d)
		}
	}
	return decls
}

func toInterfaces(dst map[string][]*interfaceDecl) func(starlark.Value) error {
	return toDict(`a dict such as {"db": interface("main", "postgres", 5432)}`, func(service string, v starlark.Value) error {
		dst[service] = []*interfaceDecl{}
		return toList(func(v starlark.Value) error {
			d, ok := v.(*interfaceDecl)
			if !ok {
				return fmt.Errorf("%s: %w", service, wants("interface(…), or a list of them", v))
			}
			dst[service] = append(dst[service], d)
			return nil
		})(v)
	})
}
