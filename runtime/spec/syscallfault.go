package spec

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// isCallFault reports whether v can stand behind a system call's name: a
// fault, or a list of them.
func isCallFault(v starlark.Value) bool {
	if items, ok := elements(v); ok {
		return len(items) > 0 && !slices.ContainsFunc(items, func(x starlark.Value) bool { return !isCallFault(x) })
	}
	_, ok := v.(*faultValue)
	return ok
}

// checkSyscall checks the name of a system call or family.
func (l *loader) checkSyscall(name string) error {
	if l.CheckSyscall == nil {
		return fmt.Errorf("`%s`: this build of faultbox has no faults of system calls", name)
	}
	return l.CheckSyscall(name)
}

// bindCall makes rules of the faults behind `name = …`, where name is a system
// call, a family, or an op of the service.
func (l *loader) bindCall(assumption string, s *serviceValue, name string, v starlark.Value) ([]intercept.Rule, error) {
	calls, path := name, ""
	if op := s.ops[name]; op != nil {
		calls, path = strings.Join(op.calls, "|"), op.path
	} else if err := l.checkSyscall(name); err != nil {
		text := err.Error()
		if near := suggest(name, s.opNames()); near != "" && !strings.Contains(text, "did you mean") {
			text += near
		}
		return nil, fmt.Errorf("%s", text)
	}
	var rules []intercept.Rule
	faults := []starlark.Value{v}
	if items, ok := elements(v); ok {
		faults = items
	}
	for _, x := range faults {
		rule, err := x.(*faultValue).callRule(l, assumption, s, calls, path)
		if err != nil {
			return nil, err
		}
		if rule != nil {
			rules = append(rules, *rule)
		}
	}
	return rules, nil
}

// callRule aims a fault at the calls of a service. allow() makes no rule.
func (f *faultValue) callRule(l *loader, name string, s *serviceValue, calls, path string) (*intercept.Rule, error) {
	p := intercept.Syscalls
	switch {
	case !slices.Contains(p.Faults, f.kind):
		return nil, f.site.errorf("%s: it is no fault of system calls; those are %s", f.kind, enumerate(p.Faults, "and"))
	case f.source != "":
		return nil, f.site.problem(f.site.keyword("source"), "%s: `source` is for traffic; system calls are made by the target", f.kind)
	case f.fault.When == intercept.After:
		return nil, f.site.problem(f.site.keyword("when"), "%s: `when`: a system call is faulted before the kernel does it", f.kind)
	case f.target != nil:
		return nil, f.site.problem(f.site.keyword("target"), "%s: a fault of system calls has the target of what uses it", f.kind)
	}
	match, err := f.callTerms(l)
	if err != nil {
		return nil, err
	}
	if f.kind == "allow" {
		if len(match) > 0 || f.trigger != intercept.Always {
			return nil, f.site.errorf("allow: it takes no conditions; it says that a call is not faulted")
		}
		return nil, nil
	}
	implied := f.implied(calls, path)
	var all intercept.Match
	for _, kv := range implied {
		t, err := intercept.NewTerm(p, kv[0], "", kv[1])
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	fault := f.fault
	fault.Do = map[string]intercept.Do{"deny": intercept.Deny, "short": intercept.Short, "lie": intercept.Lie, "crash": intercept.Kill}[f.kind]
	all = append(all, match...)
	if err := f.checkCall(l, calls, fault, all); err != nil {
		return nil, err
	}
	return &intercept.Rule{
		Name: f.ruleName(name), Pos: f.site.String(), Origin: fmt.Sprintf("%s of %s on %s", f.origin, calls, s), To: s.svc.Name, Proto: p.Name,
		Match: all, Trigger: f.trigger, Fault: fault,
	}, nil
}

// checkCall refuses what cannot be done to the calls, and warns of what they
// never do by themselves.
func (f *faultValue) checkCall(l *loader, calls string, fault intercept.Fault, match intercept.Match) error {
	if l.CheckCall == nil {
		return nil
	}
	for name := range strings.SplitSeq(calls, "|") {
		warning, err := l.CheckCall(name, fault, match)
		if err != nil {
			return f.site.errorf("%s: %s", f.kind, err)
		}
		if text := fmt.Sprintf("%s: %s", f.site, warning); warning != "" && !l.loaded && !slices.Contains(l.warnings, text) {
			l.warnings = append(l.warnings, text)
		}
	}
	return nil
}

func (f *faultValue) matches(name string) bool {
	return slices.ContainsFunc(f.match, func(m matchArg) bool { return m.name == name })
}

// implied returns the matchers that hold where the spec does not say otherwise:
// an op's path, the kind of descriptor that an error belongs to, and that the
// files of the system (libraries, /proc …) are spared.
func (f *faultValue) implied(calls, path string) [][2]string {
	terms := [][2]string{{"call", calls}}
	switch kind := f.fdKind(calls); {
	case f.matches("path") || f.matches("files"):
	case path != "":
		return append(terms, [2]string{"path", path})
	case kind == "socket":
		return append(terms, [2]string{"fd", kind})
	case kind == "file":
		terms = append(terms, [2]string{"fd", kind}, [2]string{"files", "own"})
	case !f.onSocket() && someOf(calls, onFiles):
		terms = append(terms, [2]string{"files", "own"})
	}
	return terms
}

// onSocket reports whether the spec says that a socket is meant.
func (f *faultValue) onSocket() bool {
	return f.matches("to") || slices.ContainsFunc(f.match, func(m matchArg) bool {
		return m.name == "fd" && m.value == starlark.String("socket")
	})
}

// fdKind says which descriptors a denied call acts on when the spec does not:
// EIO is a file's error and ECONNRESET a socket's, and read and write work on both.
func (f *faultValue) fdKind(calls string) string {
	if f.kind != "deny" || f.matches("fd") || f.matches("to") || !allOf(calls, onBoth) {
		return ""
	}
	switch name := unix.ErrnoName(unix.Errno(f.fault.Errno)); {
	case slices.Contains(fileErrors, name):
		return "file"
	case slices.Contains(socketErrors, name):
		return "socket"
	}
	return ""
}

// member reports whether a call, or family, belongs to one of the families.
func member(name string, families []string) bool {
	return slices.ContainsFunc(families, func(family string) bool {
		return strings.EqualFold(name, family) || slices.Contains(intercept.SyscallNames(family), strings.ToLower(name))
	})
}

func someOf(calls string, families []string) bool {
	return slices.ContainsFunc(strings.Split(calls, "|"), func(name string) bool { return member(name, families) })
}

func allOf(calls string, families []string) bool {
	return !slices.ContainsFunc(strings.Split(calls, "|"), func(name string) bool { return !member(name, families) })
}

var (
	// onBoth are the families of calls that work on files and sockets alike.
	onBoth = []string{"read", "write", "close", "fcntl", "ioctl", "dup"}
	// onFiles are those that work on files, also if not on files alone.
	onFiles = append([]string{
		"access", "chmod", "chown", "fallocate", "fsync", "getdents", "getxattr", "link", "lseek", "mkdir", "mknod", "open",
		"readlink", "rename", "rmdir", "setxattr", "stat", "statfs", "symlink", "truncate", "unlink", "utime",
	}, onBoth...)
	fileErrors = []string{
		"EIO", "ENOSPC", "EROFS", "EDQUOT", "EFBIG", "ENOENT", "EEXIST", "EISDIR", "ENOTDIR", "ENOTEMPTY",
		"ENAMETOOLONG", "ELOOP", "ESTALE", "ETXTBSY", "EXDEV", "ESPIPE", "EMLINK",
	}
	socketErrors = []string{
		"ECONNRESET", "ECONNREFUSED", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "ENETUNREACH", "ENETDOWN", "ENETRESET",
		"EHOSTUNREACH", "EHOSTDOWN", "ENOTCONN", "EISCONN", "EADDRINUSE", "EADDRNOTAVAIL", "EMSGSIZE", "EDESTADDRREQ",
		"ESHUTDOWN", "ENOBUFS",
	}
)

// errnos maps every name of errno(3) to its number.
var errnos = func() map[string]int {
	m := map[string]int{}
	for n := 1; n < 256; n++ {
		if name := unix.ErrnoName(unix.Errno(n)); name != "" {
			m[name] = n
		}
	}
	for alias, name := range map[string]string{"EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK", "EOPNOTSUPP": "ENOTSUP", "ENOTSUP": "EOPNOTSUPP"} {
		if n, ok := m[name]; ok {
			m[alias] = n
		}
	}
	return m
}()

func toErrno(dst *int) func(starlark.Value) error {
	return func(v starlark.Value) error {
		var name string
		if err := toWord(&name)(v); err != nil {
			return err
		}
		n, ok := errnos[strings.ToUpper(name)]
		if !ok {
			return fmt.Errorf("there is no errno %q%s", name, suggest(name, sortedKeys(errnos)))
		}
		*dst = n
		return nil
	}
}
