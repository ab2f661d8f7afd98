package main

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/intercept/syscalls"
	"faultbox/runtime"
	"faultbox/runtime/docker"
	"faultbox/runtime/process"
	"faultbox/runtime/report"
	"faultbox/runtime/steps"
	"faultbox/runtime/world"
)

// testFlags are the flags of `faultbox test`.
type testFlags struct {
	pattern string
	seed    uint64
	timeout time.Duration
	format  string
	junit   string
	jobs    int
	network string
	verbose bool

	tier tier  // see settle
	why  error // why not a better one
}

func testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test [faultbox.star]",
		Short: "Run the tests of a spec and judge them",
		Long: `Run the tests of a spec and judge them.

Exit codes: 0 passed, 2 failed, 3 inconclusive (a fault touched nothing),
1 the spec does not load or the system does not come up, 4 this machine lacks
something, 130 interrupted.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.settle(); err != nil {
				return err
			}
			f.setSeed(cmd)
			return f.test(cmd, specArg(args), "sudo faultbox test "+shellQuote(specArg(args)))
		},
	}
	f.register(cmd)
	return cmd
}

func (f *testFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.pattern, "test", "", "run only tests whose name matches: a glob, or a part of the name")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of all randomness (default: a new one, which the report names)")
	fs.DurationVar(&f.timeout, "timeout", 0, "time limit of tests that set none (default 30s)")
	fs.StringVar(&f.format, "format", "text", "text or json (one object a line)")
	fs.StringVar(&f.junit, "junit", "", "also write a JUnit XML report to this file")
	fs.IntVarP(&f.jobs, "jobs", "j", min(goruntime.NumCPU(), 8), "tests to run at once, each in a world of its own")
	fs.StringVar(&f.network, "network", "world", "network of local services: world (a namespace per test) or host")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "show every service start and every test's timeline")
}

// setSeed draws a seed unless one was given.
func (f *testFlags) setSeed(cmd *cobra.Command) {
	if cmd.Flags().Changed("seed") {
		return
	}
	f.seed = newSeed()
}

// newSeed draws a seed that is short enough to type.
func newSeed() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:]) >> 33
}

// test loads and runs a spec. again is the command that a report suggests for
// repeating a test, less its flags.
func (f *testFlags) test(cmd *cobra.Command, file, again string) error {
	s, err := load(cmd.Context(), file)
	if err != nil {
		return errors.Join(err, f.unloaded(cmd, file, err))
	}
	return f.run(cmd, s, again)
}

// run runs a spec.
func (f *testFlags) run(cmd *cobra.Command, s *runtime.Spec, again string) error {
	if f.format != "text" && f.format != "json" {
		return fmt.Errorf("choose a format: --format is text or json, not %q", f.format)
	}
	if fs := cmd.Flags(); fs.Changed("timeout") && f.timeout <= 0 || f.jobs < 1 {
		return fmt.Errorf("choose limits: --timeout is more than 0 and --jobs 1 or more, not %s and %d", f.timeout, f.jobs)
	}
	if f.network != "world" && f.network != "host" {
		return fmt.Errorf("choose a network: --network is world or host, not %q", f.network)
	}
	r, closeAll, err := f.runner(cmd, s, again)
	if err != nil {
		return err
	}
	verdict, err := r.Run(cmd.Context())
	err = errors.Join(err, closeAll())
	switch {
	case errors.Is(err, runtime.ErrNoTest):
		return fmt.Errorf("find a test: none matches --test %q; the spec has: %s", f.pattern, names(s))
	case err != nil:
		return err
	case verdict != runtime.Passed:
		return exitCode(verdict.ExitCode())
	}
	return nil
}

func names(s *runtime.Spec) string {
	var out []string
	for _, t := range s.Tests {
		out = append(out, t.Name)
	}
	if len(out) == 0 {
		return "no tests (write a scenario(), a fault_scenario() or a def test_…)"
	}
	return strings.Join(out, ", ")
}

// runner puts a runner together from the parts of this build.
func (f *testFlags) runner(cmd *cobra.Command, s *runtime.Spec, again string) (*runtime.Runner, func() error, error) {
	id := world.NewRunID()
	worlds := world.New(world.Options{RunID: id, HostNetwork: f.network == "host", NoCgroups: f.tier != asRoot})
	if err := worlds.Supported(); err != nil {
		return nil, nil, err
	}
	ca, err := proxy.NewCA()
	if err != nil {
		return nil, nil, err
	}
	terminate := &proxy.TLS{CA: ca}
	parts, err := f.tier.parts(terminate, again)
	if err != nil {
		return nil, nil, err
	}
	calls := syscalls.New()
	containers := f.containers(cmd, s, id)
	if containers != nil {
		worlds = containers.Worlds(worlds)
	}
	r := &runtime.Runner{
		Spec:        s,
		Worlds:      worlds,
		Local:       process.New(process.Options{Dir: s.Dir}),
		Interceptor: parts.interceptor,
		Calls:       calls,
		Network:     parts.network,
		Through:     stepProxy{terminate}.through,
		CA:          ca.PEM(),
		Steppers:    steps.All(),
		Version:     programVersion(),
		Tier:        f.tier.describe(f.why),
		Lacks:       f.tier.lacks(),
		Seed:        f.seed,
		Select:      selector(f.pattern, s.Tests),
		Timeout:     f.timeout,
		Jobs:        f.jobs,
		Repeat: func(test string) string {
			flags := ""
			if cmd.Flags().Changed("network") {
				flags += " --network " + f.network
			}
			if f.timeout > 0 {
				flags += " --timeout " + f.timeout.String()
			}
			return fmt.Sprintf("%s --test %s --seed %d%s", f.tier.asUs(again), shellQuote(test), f.seed, flags)
		},
	}
	if containers != nil {
		r.Container = containers
	} else if f.tier != asRoot {
		r.Container = unavailable{again}
	}
	if err := worlds.Sweep(); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "faultbox: %s\n", err)
	}
	if r.Sinks, err = f.reports(cmd); err != nil {
		return nil, nil, errors.Join(err, parts.close())
	}
	if f.format == "text" {
		out := cmd.OutOrStdout()
		r.Sinks = append(r.Sinks, &report.Console{W: out, Color: colorful(out), Verbose: f.verbose})
	}
	return r, func() error {
		return errors.Join(parts.close(), calls.Close(), containers.Close())
	}, nil
}

// containers returns what runs the spec's containers, nil if it has none.
func (f *testFlags) containers(cmd *cobra.Command, s *runtime.Spec, runID string) *docker.Engine {
	if f.tier != asRoot || !slices.ContainsFunc(s.Services, func(svc *runtime.Service) bool { return !svc.Local() }) {
		return nil
	}
	return docker.New(docker.Options{
		RunID: runID, Live: world.Live, Join: world.Join, Services: s.Services,
		HostNetwork: f.network == "host", Progress: cmd.ErrOrStderr(),
	})
}

// selector makes a predicate of --test: a test's name, else a glob over the
// whole name, or a part of it.
func selector(pattern string, tests []*runtime.Test) func(string) bool {
	if pattern == "" {
		return nil
	}
	if slices.ContainsFunc(tests, func(t *runtime.Test) bool { return t.Name == pattern }) {
		return func(name string) bool { return name == pattern }
	}
	return func(name string) bool {
		return intercept.Glob(pattern, name) || strings.Contains(name, pattern)
	}
}

// shellQuote quotes a word for a shell where it needs it.
func shellQuote(s string) string {
	if s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r == '_' || r == '-' || r == '.' || r == '/' || r == '=' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
	}) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
