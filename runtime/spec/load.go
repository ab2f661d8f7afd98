package spec

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/runtime"
)

// Options says what a spec can refer to.
type Options struct {
	// Protocols are what interface(…) knows.
	Protocols []*protocols.Protocol
	// Steps are the methods of interfaces, by protocol name.
	Steps map[string][]runtime.Method
	// CheckSyscall returns nil for a system call or family that this build can
	// fault, else an error with a suggestion. nil: it can fault none.
	CheckSyscall func(name string) error
	// CheckCall returns an error if a fault cannot be done to a call or family,
	// or a warning if the call never does on its own what the fault does to it.
	// nil: every fault is fine.
	CheckCall func(name string, f intercept.Fault, match intercept.Match) (warning string, err error)
	// Recipes holds what @faultbox/recipes/ stands for. nil: nothing.
	Recipes fs.FS
	// Project finds the project that compose(…) names. nil: none can be.
	Project func(context.Context, runtime.ProjectQuery) (*runtime.Project, error)
	// LoadTimeout bounds the execution of the file; 0: DefaultLoadTimeout.
	LoadTimeout time.Duration
}

// DefaultLoadTimeout is how long a spec may take to load.
const DefaultLoadTimeout = 10 * time.Second

// recipePrefix marks modules that come with the program.
const recipePrefix = "@faultbox/recipes/"

// Load reads, executes and checks a spec. What is wrong with it is an *Error.
func Load(ctx context.Context, file string, o Options) (*runtime.Spec, error) {
	if o.LoadTimeout == 0 {
		o.LoadTimeout = DefaultLoadTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.LoadTimeout,
		fmt.Errorf("loading takes longer than %s; look for a loop that does not end", o.LoadTimeout))
	defer cancel()
	l, err := load(ctx, file, o, false)
	if err == nil && l.localhost && l.hasContainers() {
		// Addresses of local services were given out as localhost before a
		// container was declared that has to reach them by name.
		l, err = load(ctx, file, o, true)
	}
	if err != nil {
		return nil, l.explain(err)
	}
	return l.spec(), nil
}

// loader executes one spec; its builtins live on in the bodies of tests, which
// only read it.
type loader struct {
	Options
	file, dir   string
	predeclared starlark.StringDict

	byName    bool // local services are reached by their names, as containers are
	localhost bool // an address of a local service was given out as localhost

	modules map[string]*module // by the name that positions show
	byPath  map[string]*module
	order   []*module
	loading []*module // innermost last

	services []*serviceValue
	named    map[string]*serviceValue
	tests    []*testDecl
	declared map[string]site // tests, and assumptions with a prefix, by name
	monitors []*monitor
	checks   []func() *Problem // that need the whole spec
	warnings []string
	uses     *uses
	loaded   bool
}

// module is one file of the spec.
type module struct {
	name, path string
	src        string
	file       *syntax.File
	calls      map[place]*syntax.CallExpr
	globals    starlark.StringDict
	recipe     bool
}

func load(ctx context.Context, file string, o Options, byName bool) (*loader, error) {
	l := &loader{
		Options: o, file: file, byName: byName,
		modules: map[string]*module{}, byPath: map[string]*module{},
		named: map[string]*serviceValue{}, declared: map[string]site{},
	}
	l.predeclared = l.builtins()
	abs, err := filepath.Abs(file)
	if err != nil {
		return l, err
	}
	l.dir = filepath.Dir(abs)
	thread := &starlark.Thread{Name: "load", Load: l.loadModule, Print: l.printAtLoad}
	defer context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })()
	open := func() (fs.File, error) { return os.Open(abs) }
	if _, err := l.module(thread, file, abs, open); err != nil {
		return l, err
	}
	l.uses = findUses(l.order)
	return l, l.finish()
}

// loadModule is load(…).
func (l *loader) loadModule(thread *starlark.Thread, name string) (starlark.StringDict, error) {
	globals, err := l.find(thread, name)
	if err == nil || l.knows(err) {
		return globals, err
	}
	s := l.siteAt(thread.CallFrame(0).Pos)
	return nil, s.errorf("load %q: %s", name, err)
}

// find returns the module of that name, relative to the file that loads it.
func (l *loader) find(thread *starlark.Thread, name string) (starlark.StringDict, error) {
	if recipe, ok := strings.CutPrefix(name, recipePrefix); ok {
		return l.loadRecipe(thread, name, recipe)
	}
	if strings.HasPrefix(name, "@") {
		return nil, fmt.Errorf("what starts with @ must be %sNAME.star", recipePrefix)
	}
	from := l.loading[len(l.loading)-1]
	if from.recipe {
		return l.loadRecipe(thread, recipePrefix+path.Join(path.Dir(from.path), name), path.Join(path.Dir(from.path), name))
	}
	shown, abs := name, name
	if !filepath.IsAbs(name) {
		shown, abs = filepath.Join(filepath.Dir(from.name), name), filepath.Join(filepath.Dir(from.path), name)
	}
	return l.module(thread, shown, filepath.Clean(abs), func() (fs.File, error) { return os.Open(abs) })
}

func (l *loader) loadRecipe(thread *starlark.Thread, name, file string) (starlark.StringDict, error) {
	if l.Recipes == nil {
		return nil, fmt.Errorf("this build has no recipes")
	}
	globals, err := l.module(thread, name, file, func() (fs.File, error) { return l.Recipes.Open(file) })
	if os.IsNotExist(err) {
		names, _ := fs.Glob(l.Recipes, "*.star")
		return nil, fmt.Errorf("there is no such recipe%s (there are %s)", suggest(file, names), enumerate(names, "and"))
	}
	return globals, err
}

// module executes a file, once however often it is loaded.
func (l *loader) module(thread *starlark.Thread, name, path string, open func() (fs.File, error)) (starlark.StringDict, error) {
	if m := l.byPath[path]; m != nil {
		if m.globals == nil {
			return nil, fmt.Errorf("the file is being loaded already: %s", l.cycle(m))
		}
		return m.globals, nil
	}
	src, err := readSource(open)
	if err != nil {
		if len(l.loading) > 0 {
			return nil, err
		}
		return nil, &Problem{Pos: name, Text: "read the spec: " + err.Error()}
	}
	m := &module{name: name, path: path, src: src, recipe: strings.HasPrefix(name, recipePrefix)}
	l.byPath[path], l.modules[name] = m, m
	if err := checkNesting(name, src); err != nil {
		return nil, err
	}
	if m.file, err = dialect.Parse(name, src, 0); err != nil {
		return nil, err
	}
	m.calls = reorder(m.file)
	if err := checkTestNames(m); err != nil {
		return nil, err
	}
	program, err := starlark.FileProgram(m.file, l.predeclared.Has)
	if err != nil {
		return nil, err
	}
	l.loading = append(l.loading, m)
	globals, err := program.Init(thread, l.predeclared)
	l.loading = l.loading[:len(l.loading)-1]
	if err != nil {
		return nil, err
	}
	globals.Freeze() // tests share them, and may run side by side
	m.globals = globals
	l.order = append(l.order, m)
	return globals, nil
}

// cycle writes the chain of loads that leads back to m.
func (l *loader) cycle(m *module) string {
	var names []string
	for _, x := range l.loading {
		if x == m || names != nil {
			names = append(names, x.name)
		}
	}
	return strings.Join(append(names, m.name), " loads ")
}

func (l *loader) printAtLoad(thread *starlark.Thread, msg string) {
	l.warnings = append(l.warnings, fmt.Sprintf("%s: %s", l.siteOf(thread), msg))
}

func (l *loader) hasContainers() bool {
	for _, s := range l.services {
		if !s.svc.Local() {
			return true
		}
	}
	return false
}

// spec returns what was loaded.
func (l *loader) spec() *runtime.Spec {
	s := &runtime.Spec{File: l.file, Dir: l.dir, Warnings: l.warnings}
	for _, v := range l.services {
		s.Services = append(s.Services, v.svc)
	}
	for _, d := range l.tests {
		s.Tests = append(s.Tests, l.test(d))
	}
	return s
}
