package spec

import (
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/runtime"
)

// serviceValue is what service(…) returns.
type serviceValue struct {
	opaque
	l     *loader
	svc   *runtime.Service
	site  site
	refs  []*interfaceRef
	ops   map[string]*opValue
	after []string // depends_on, as given
}

func (s *serviceValue) String() string        { return fmt.Sprintf("service(%q)", s.svc.Name) }
func (s *serviceValue) Type() string          { return "service" }
func (s *serviceValue) Hash() (uint32, error) { return starlark.String(s.svc.Name).Hash() }

// Attr returns an interface, or what the only interface has.
func (s *serviceValue) Attr(name string) (starlark.Value, error) {
	if name == "name" {
		return starlark.String(s.svc.Name), nil
	}
	for _, r := range s.refs {
		if r.itf.Name == name {
			return r, nil
		}
	}
	if len(s.refs) == 1 && slices.Contains(s.AttrNames(), name) {
		return s.refs[0].Attr(name)
	}
	return nil, noAttr(s, name)
}

// noAttr says that a service or an interface has no such attribute.
func noAttr(v starlark.HasAttrs, name string) error {
	names := v.AttrNames()
	return starlark.NoSuchAttrError(fmt.Sprintf("%s has no `%s`%s (it has %s)", v, name, suggest(name, names), enumerate(names, "and")))
}

func (s *serviceValue) AttrNames() []string {
	names := []string{"name"}
	for _, r := range s.refs {
		names = append(names, r.itf.Name)
	}
	if len(s.refs) == 1 {
		names = append(names, s.refs[0].AttrNames()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// validName is what containers and hosts can be called.
var validName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$`)

// testSource is the name under which the test's own steps travel.
const testSource = "test"

func (l *loader) service(c *call) (starlark.Value, error) {
	svc := &runtime.Service{Pos: c.site.String()}
	v := &serviceValue{l: l, svc: svc, site: c.site, ops: map[string]*opValue{}}
	var seed, reset starlark.Callable
	positional := 0
	params := []param{
		required("name", toServiceName(&svc.Name)),
		keyword("binary", toWord(&svc.Binary)), keyword("image", toWord(&svc.Image)),
		keyword("build", toWord(&svc.Build)), keyword("container", toWord(&svc.Container)),
		keyword("args", toList(toArg(&svc.Args))), keyword("env", toEnv(&svc.Env)),
		keyword("workdir", toWord(&svc.Workdir)), keyword("user", toWord(&svc.User)),
		keyword("depends_on", toList(v.toDependency)), keyword("healthcheck", toHealth(&svc.Health)),
		keyword("volumes", l.toVolumes(&svc.Volumes)), keyword("ports", toPorts(&svc.Ports)),
		keyword("observe", toList(toObserver(&svc.Observe))), keyword("ops", v.toOps),
		keyword("seed", toCallable(&seed, 0)), keyword("reset", toCallable(&reset, 0)),
		keyword("reuse", toBool(&svc.Reuse)),
	}
	err := c.unpack(params, func(_ int, a starlark.Value) error {
		positional++
		return v.positional(a, positional)
	}, nil)
	if err != nil {
		return nil, err
	}
	if err := l.checkService(c, v); err != nil {
		return nil, err
	}
	if reset != nil && !svc.Reuse {
		l.warnings = append(l.warnings, fmt.Sprintf("%s: service: `reset` of %q is never called: without `reuse = True` each test has a service of its own", c.site, svc.Name))
	}
	svc.Seed, svc.Reset = l.hook(seed), l.hook(reset)
	l.services = append(l.services, v)
	l.named[svc.Name] = v
	return v, nil
}

// positional takes what may follow the name: a binary, then interfaces.
func (s *serviceValue) positional(a starlark.Value, n int) error {
	switch a := a.(type) {
	case *interfaceDecl:
		return s.addInterface(a)
	case starlark.String:
		if n == 1 && s.svc.Binary == "" {
			return toWord(&s.svc.Binary)(a)
		}
		return fmt.Errorf("%s: only the argument after the name can be a string, the path of the binary", a)
	}
	return wants("interface(…)", a)
}

func (s *serviceValue) addInterface(d *interfaceDecl) error {
	for _, r := range s.refs {
		switch {
		case r.itf.Name == d.itf.Name:
			return fmt.Errorf("two interfaces are named %q; the other is at %s", d.itf.Name, r.itf.Pos)
		case r.itf.Port == d.itf.Port && r.itf.Protocol.Datagram == d.itf.Protocol.Datagram:
			return fmt.Errorf("interfaces %q and %q have the same port %d", r.itf.Name, d.itf.Name, d.itf.Port)
		}
	}
	itf := d.itf
	s.refs = append(s.refs, &interfaceRef{svc: s, itf: &itf})
	s.svc.Interfaces = append(s.svc.Interfaces, &itf)
	return nil
}

// checkService checks what concerns several arguments, and makes paths absolute.
func (l *loader) checkService(c *call, v *serviceValue) error {
	svc := v.svc
	if other := l.named[svc.Name]; other != nil {
		return c.errorf("two services are named %q; the other is at %s", svc.Name, other.site)
	}
	var sources []string
	for name, value := range map[string]string{"binary": svc.Binary, "image": svc.Image, "build": svc.Build, "container": svc.Container} {
		if value != "" {
			sources = append(sources, "`"+name+"`")
		}
	}
	slices.Sort(sources)
	switch len(sources) {
	case 0:
		return c.errorf("%q has no source: give it one of `binary`, `image`, `build` or `container`", svc.Name)
	case 1:
	default:
		return c.errorf("%q has several sources: %s; give it one", svc.Name, enumerate(sources, "and"))
	}
	for _, m := range []struct {
		name     string
		given    bool
		conflict bool
		why      string
	}{
		{"volumes", len(svc.Volumes) > 0, svc.Local() || svc.Container != "", "is for `image` and `build`"},
		{"ports", len(svc.Ports) > 0, svc.Local() || svc.Container != "", "is for `image` and `build`"},
		{"args", len(svc.Args) > 0, svc.Container != "", "cannot be given to a container that runs already"},
		{"workdir", svc.Workdir != "", svc.Container != "", "cannot be given to a container that runs already"},
		{"user", svc.User != "", svc.Container != "", "cannot be given to a container that runs already"},
	} {
		if m.given && m.conflict {
			return c.site.problem(c.site.keyword(m.name), "%s: `%s` %s", c.name, m.name, m.why)
		}
	}
	if strings.Contains(svc.Binary, "/") {
		svc.Binary = l.path(svc.Binary)
	}
	if svc.Build != "" {
		svc.Build = l.path(svc.Build)
	}
	if svc.Local() && svc.Workdir != "" {
		svc.Workdir = l.path(svc.Workdir)
	}
	return nil
}

// path makes a path absolute, seen from the spec's folder.
func (l *loader) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.dir, p)
}

func toServiceName(dst *string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if err := toWord(dst)(v); err != nil {
			return err
		}
		if !validName.MatchString(*dst) {
			return fmt.Errorf("%q cannot name a host; use letters, digits, -, _ and . only", *dst)
		}
		if *dst == testSource {
			return fmt.Errorf("%q is the name of the test itself; take another", *dst)
		}
		return nil
	}
}

// toArg takes a command-line argument.
func toArg(dst *[]string) func(starlark.Value) error {
	return func(v starlark.Value) error {
		switch v := v.(type) {
		case starlark.String:
			*dst = append(*dst, string(v))
		case starlark.Int:
			*dst = append(*dst, v.String())
		default:
			return wants("a string or an int", v)
		}
		return nil
	}
}

func toEnv(dst *[]string) func(starlark.Value) error {
	return toDict("a dict of environment variables", func(key string, v starlark.Value) error {
		if key == "" || strings.ContainsAny(key, "=\x00") {
			return fmt.Errorf("%q cannot name an environment variable", key)
		}
		var text string
		switch v := v.(type) {
		case starlark.String:
			text = string(v)
		case starlark.Int:
			text = v.String()
		case starlark.Bool:
			text = strconv.FormatBool(bool(v))
		default:
			return fmt.Errorf("%s: want a string, an int or a bool, got %s %s", key, v.Type(), show(v))
		}
		if strings.Contains(text, "\x00") {
			return fmt.Errorf("%s: a value cannot hold a NUL byte", key)
		}
		*dst = append(*dst, key+"="+text)
		return nil
	})
}

func (s *serviceValue) toDependency(v starlark.Value) error {
	switch v := v.(type) {
	case *serviceValue:
		s.after = append(s.after, v.svc.Name)
	case starlark.String:
		s.after = append(s.after, string(v))
	default:
		return wants("a service or its name", v)
	}
	return nil
}

// toVolumes takes {"host": "container"} or "host:container"; both may end in
// ":ro" or ":rw".
func (l *loader) toVolumes(dst *[]runtime.Bind) func(starlark.Value) error {
	add := func(host, rest string) error {
		container, mode, _ := strings.Cut(rest, ":")
		if host == "" || !strings.HasPrefix(container, "/") || mode != "" && mode != "ro" && mode != "rw" {
			return fmt.Errorf(`%q is no volume; write {"./host": "/container"} or {"./host": "/container:ro"}`, host+":"+rest)
		}
		*dst = append(*dst, runtime.Bind{Host: l.path(host), Container: container, Mode: mode})
		return nil
	}
	return func(v starlark.Value) error {
		if _, ok := elements(v); ok {
			return toList(func(v starlark.Value) error {
				var s string
				if err := toWord(&s)(v); err != nil {
					return err
				}
				host, rest, _ := strings.Cut(s, ":")
				return add(host, rest)
			})(v)
		}
		return toDict(`a dict such as {"./host": "/container"}`, func(host string, v starlark.Value) error {
			rest, ok := starlark.AsString(v)
			if !ok {
				return wants("a path in the container", v)
			}
			return add(host, rest)
		})(v)
	}
}

// toPorts takes {host: container} or a list of ports published as they are.
func toPorts(dst *[]runtime.PortMap) func(starlark.Value) error {
	return func(v starlark.Value) error {
		if d, ok := v.(*starlark.Dict); ok {
			for _, kv := range d.Items() {
				var p runtime.PortMap
				if err := toInt(&p.Host, 1, math.MaxUint16)(kv[0]); err != nil {
					return err
				}
				if err := toInt(&p.Container, 1, math.MaxUint16)(kv[1]); err != nil {
					return err
				}
				*dst = append(*dst, p)
			}
			return nil
		}
		return toList(func(v starlark.Value) error {
			var port int
			if err := toInt(&port, 1, math.MaxUint16)(v); err != nil {
				return err
			}
			*dst = append(*dst, runtime.PortMap{Host: port, Container: port})
			return nil
		})(v)
	}
}

// opValue is what op(…) returns: a named group of system calls.
type opValue struct {
	opaque
	calls []string
	path  string
	site  site
}

func (o *opValue) String() string { return fmt.Sprintf("op(syscalls=%q, path=%q)", o.calls, o.path) }
func (o *opValue) Type() string   { return "op" }

func (l *loader) op(c *call) (starlark.Value, error) {
	o := &opValue{site: c.site}
	err := c.unpack([]param{
		required("syscalls", toList(func(v starlark.Value) error {
			var name string
			if err := toWord(&name)(v); err != nil {
				return err
			}
			o.calls = append(o.calls, name)
			return l.checkSyscall(name)
		})),
		optional("path", func(v starlark.Value) error {
			if err := toWord(&o.path)(v); err != nil {
				return err
			}
			return checkPath(o.path)
		}),
	}, nil, nil)
	if err == nil && len(o.calls) == 0 {
		err = c.errorf("`syscalls` names no system call")
	}
	return o, err
}

func (s *serviceValue) toOps(v starlark.Value) error {
	return toDict("a dict of op(…) by name", func(name string, v starlark.Value) error {
		o, ok := v.(*opValue)
		if !ok {
			return fmt.Errorf("%s: %w", name, wants("op(…)", v))
		}
		s.ops[name] = o
		return nil
	})(v)
}

func (s *serviceValue) opNames() []string { return slices.Sorted(maps.Keys(s.ops)) }
