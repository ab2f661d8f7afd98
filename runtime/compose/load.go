package compose

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/interpolation"
	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"

	"faultbox/runtime"
)

// Load reads the project that q.Files declare.
func Load(ctx context.Context, q runtime.ProjectQuery) (*runtime.Project, error) {
	for _, file := range q.Files {
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("read compose file %s: %w", shown(q.Dir, file), bare(err))
		}
	}
	r := &reader{q: q, places: findPlaces(q.Dir, q.Files), unset: map[string]bool{}}
	r.beside()
	project, err := r.read(ctx)
	if err != nil {
		return nil, r.explain(err)
	}
	if err := r.refuse(project); err != nil {
		return nil, err
	}
	return r.convert(project)
}

// bare leaves out of an error what it was that was tried, and with which file.
func bare(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// shown is a path as the user would write it.
func shown(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// reader reads one project.
type reader struct {
	q        runtime.ProjectQuery
	places   places
	unset    map[string]bool // variables
	refused  []refusal
	left     map[string][]string // attributes without which it goes on, by what is said of them
	warnings []string
}

// mute guards what compose-go logs: it has no other way to warn.
var mute sync.Mutex

func (r *reader) read(ctx context.Context) (*types.Project, error) {
	mute.Lock()
	defer mute.Unlock()
	log := logrus.StandardLogger()
	out, hooks := log.Out, log.ReplaceHooks(logrus.LevelHooks{logrus.WarnLevel: {warnings{r}}})
	log.SetOutput(io.Discard)
	defer func() { log.SetOutput(out); log.ReplaceHooks(hooks) }()
	dotenv.RegisterFormat("raw", raw)
	defer atHome()()

	env := make([]string, 0, len(r.q.Env))
	for _, name := range slices.Sorted(maps.Keys(r.q.Env)) {
		env = append(env, name+"="+r.q.Env[name])
	}
	options, err := cli.NewProjectOptions(r.q.Files,
		cli.WithWorkingDirectory(filepath.Dir(r.q.Files[0])),
		cli.WithEnv(env), cli.WithOsEnv, cli.WithEnvFiles(), cli.WithDotEnv,
		cli.WithDefaultProfiles(r.q.Profiles...), cli.WithInterpolation(true),
		cli.WithLoadOptions(r.strict, loader.WithUnsupportedAttributesCheck(patterns(), r.note), loader.WithSupportedAttributes(supported(), nil)),
	)
	if err != nil {
		return nil, err
	}
	project, err := options.LoadProject(ctx)
	if err != nil {
		return nil, err
	}
	if len(r.unset) > 0 {
		return nil, unsetError(slices.Sorted(maps.Keys(r.unset)))
	}
	if err := r.knowProfiles(project); err != nil {
		return nil, err
	}
	if len(r.q.Only) > 0 {
		return r.only(project)
	}
	return project, nil
}

// beside warns of an override that the docker command reads by itself when no
// file is named.
func (r *reader) beside() {
	if len(r.q.Files) != 1 {
		return
	}
	file := r.q.Files[0]
	base, ext := strings.TrimSuffix(file, filepath.Ext(file)), filepath.Ext(file)
	if name := filepath.Base(base); name != "compose" && name != "docker-compose" {
		return
	}
	for _, override := range []string{base + ".override.yaml", base + ".override.yml"} {
		if _, err := os.Stat(override); err == nil {
			r.warnings = append(r.warnings, fmt.Sprintf("%s is not read: name both to have it in: [%q, %q]", shown(r.q.Dir, override), filepath.Base(base)+ext, filepath.Base(override)))
		}
	}
}

// raw reads an env_file of the format `raw`: lines of NAME=value, with nothing
// in a value that stands for something else. A name alone has the environment's value.
func raw(in io.Reader, file string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name == "" || strings.ContainsAny(name, " \t") {
			return fmt.Errorf("failed to read %s: line %d: %q is no name of a variable", file, n, name)
		}
		if !found {
			if value, found = lookup(name); !found {
				continue
			}
		}
		vars[name] = value
	}
	return lines.Err()
}

// atHome makes ~ and $HOME those of whose project it is, who ran sudo or is
// outside the VM that this is in, and returns what undoes that.
func atHome() (undo func()) {
	was, home := os.Getenv("HOME"), os.Getenv("FAULTBOX_HOME")
	if home == "" {
		self, err := user.Current()
		if err != nil || was != self.HomeDir {
			return func() {}
		}
		who, err := user.Lookup(os.Getenv("SUDO_USER"))
		if err != nil {
			return func() {}
		}
		home = who.HomeDir
	}
	os.Setenv("HOME", home)
	return func() { os.Setenv("HOME", was) }
}

// strict notes the variables that have neither a value nor a default: compose
// goes on with nothing in their place.
func (r *reader) strict(o *loader.Options) {
	if o.Interpolate == nil {
		o.Interpolate = &interpolation.Options{}
	}
	o.Interpolate.Substitute = func(text string, values template.Mapping) (string, error) {
		return template.SubstituteWithOptions(text, values, template.WithoutLogging, template.WithReplacementFunction(
			func(part string, values template.Mapping, c *template.Config) (string, error) {
				value, found, err := template.DefaultReplacementAppliedFunc(part, values, c)
				if err == nil && !found {
					r.unset[strings.Trim(part, "${}")] = true
				}
				return value, err
			}))
	}
}

type unsetError []string

func (e unsetError) Error() string { return "" }

// knowProfiles refuses a profile that no service has.
func (r *reader) knowProfiles(p *types.Project) error {
	var known []string
	for _, services := range []types.Services{p.Services, p.DisabledServices} {
		for _, s := range services {
			known = append(known, s.Profiles...)
		}
	}
	slices.Sort(known)
	known = slices.Compact(known)
	for _, name := range r.q.Profiles {
		if name == "*" || slices.Contains(known, name) {
			continue
		}
		if len(known) == 0 {
			return fmt.Errorf("find profile %q: no service has profiles", name)
		}
		return fmt.Errorf("find profile %q: no service has it (there are %s)", name, strings.Join(known, ", "))
	}
	return nil
}

// only keeps the services that the query names and those they depend on.
func (r *reader) only(p *types.Project) (*types.Project, error) {
	for _, name := range r.q.Only {
		if _, err := p.GetService(name); err != nil {
			return nil, fmt.Errorf("find service %q: there is none of that name (there are %s)", name, strings.Join(p.ServiceNames(), ", "))
		}
	}
	return p.WithSelectedServices(r.q.Only)
}

// warnings is what compose-go warns about. That `version` is out of use it says
// of many files that work: it changes nothing, so it is not passed on.
type warnings struct{ r *reader }

func (w warnings) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

func (w warnings) Fire(e *logrus.Entry) error {
	if !strings.Contains(e.Message, "attribute `version` is obsolete") {
		w.r.warnings = append(w.r.warnings, e.Message)
	}
	return nil
}
