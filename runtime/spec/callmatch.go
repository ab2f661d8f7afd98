package spec

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"faultbox/intercept"
)

// callTerms checks the matchers of a fault of system calls: what could never
// match is refused.
func (f *faultValue) callTerms(l *loader) (intercept.Match, error) {
	given := f.match
	defer func() { f.match = given }()
	f.match = slices.Clone(given)
	for i, m := range f.match {
		var err error
		switch m.name {
		case "to":
			f.match[i].value, err = f.otherEnd(l, m.value)
		case "path":
			if s, ok := m.value.(starlark.String); ok && s != "" {
				err = checkPath(string(s))
			}
		}
		if p, ok := err.(*Problem); ok {
			return nil, p
		}
		if err != nil {
			return nil, f.site.problem(f.site.keyword(m.name), "%s: `%s`: %s", f.kind, m.name, err)
		}
	}
	match, err := f.terms(intercept.Syscalls)
	if err != nil {
		return nil, err
	}
	return f.checkFD(match)
}

// checkPath refuses a pattern that no path meets.
func checkPath(pattern string) error {
	if strings.ContainsRune("/*?", rune(pattern[0])) {
		return nil
	}
	return fmt.Errorf("%q matches nothing: paths are absolute, as the service sees them; write %q", pattern, "**/"+strings.TrimPrefix(pattern, "./"))
}

// checkFD checks what fd= says; "any" is no condition.
func (f *faultValue) checkFD(match intercept.Match) (intercept.Match, error) {
	kinds := []string{"file", "socket", "other", "any"}
	for _, t := range match {
		if t.Name == "fd" && !slices.Contains(kinds, t.Pattern) {
			return nil, f.site.problem(f.site.keyword("fd"), "%s: `fd`: want one of %s, got %q", f.kind, enumerate(kinds, "and"), t.Pattern)
		}
	}
	return slices.DeleteFunc(match, func(t intercept.Term) bool { return t.Name == "fd" && t.Pattern == "any" }), nil
}

// otherEnd turns what to= says into the pattern of a socket's other end: a service,
// an interface of one, or an address.
func (f *faultValue) otherEnd(l *loader, v starlark.Value) (starlark.Value, error) {
	switch v := v.(type) {
	case *serviceValue:
		return starlark.String(v.svc.Name), nil
	case *interfaceRef:
		return starlark.String(v.svc.svc.Name + "." + v.itf.Name), nil
	case starlark.String:
		text := string(v)
		if strings.ContainsAny(text, ":/@") {
			return v, checkAddress(text)
		}
		if text == "" || strings.ContainsAny(text, "*?") {
			return v, nil // the empty pattern is refused like any other
		}
		return v, l.whenLoaded(func() *Problem {
			if l.named[text] != nil || slices.ContainsFunc(l.services, func(s *serviceValue) bool { return s.hasInterface(text) }) {
				return nil
			}
			if len(l.services) == 0 {
				return f.site.problem(f.site.keyword("to"), "%s: `to`: want an address such as \"10.0.0.5:5432\", \"*:5432\" or \"/run/db.sock\", got %q", f.kind, text)
			}
			return f.site.problem(f.site.keyword("to"), "%s: `to`: there is no service %q%s", f.kind, text, suggest(text, l.serviceNames()))
		})
	}
	return nil, wants(`a service, an interface of one, or an address such as "10.0.0.5:5432"`, v)
}

// hasInterface reports whether one of the service's interfaces has the name, as in "db.main".
func (s *serviceValue) hasInterface(name string) bool {
	return slices.ContainsFunc(s.refs, func(r *interfaceRef) bool { return name == s.svc.Name+"."+r.itf.Name })
}

// checkAddress refuses an address that no socket has: the kernel knows numbers only.
func checkAddress(text string) error {
	if strings.HasPrefix(text, "/") || strings.HasPrefix(text, "@") || strings.HasPrefix(text, "*/") {
		return nil // of a Unix socket
	}
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return fmt.Errorf("%q is no address; write for example \"10.0.0.5:5432\", \"*:5432\" or \"/run/db.sock\"", text)
	}
	host, port := text[:i], text[i+1:]
	if strings.ContainsAny(host, "*?") && strings.Trim(port, "0123456789*?") == "" && port != "" {
		return nil
	}
	if ap, err := netip.ParseAddrPort(strings.NewReplacer("*", "0", "?", "0").Replace(text)); err != nil || port == "" || strings.HasPrefix(host, "[") != ap.Addr().Is6() {
		return fmt.Errorf("%q is no address that a socket has: hosts are numbers; write for example \"10.0.0.5:5432\", \"[::1]:5432\" or \"*:5432\"", text)
	}
	return nil
}
