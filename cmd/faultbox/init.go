package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/starter"
	"faultbox/runtime"
	"faultbox/runtime/compose"
)

// initFlags are the flags of `faultbox init`.
type initFlags struct {
	compose  []string
	profiles []string
	ignore   []string
	output   string
	force    bool
	noRun    bool
}

func initCommand() *cobra.Command {
	var f initFlags
	cmd := &cobra.Command{
		Use:   "init [--from-compose compose.yaml]",
		Short: "Write a first spec",
		Long: `Write a first spec, to go on from.

With --from-compose it is about the services of a compose file: what they speak
is guessed by their images and ports, each that answers HTTP gets a scenario,
each database, cache and broker a test that asks it something, and each edge
between them a fault. The spec is then run, and the faults of which a test does
not hold are commented out, with what was seen. Where it cannot be run (no root,
no Docker), or with --no-run, all faults are commented out.

Without it, the spec is an example about a local program.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.init(cmd) },
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&f.compose, "from-compose", nil, "compose file; further ones override it")
	fs.StringSliceVar(&f.profiles, "profile", nil, "profile of the compose file to activate")
	fs.StringSliceVar(&f.ignore, "ignore", nil, "attribute of the compose file to go on without, such as services.web.gpus")
	fs.StringVarP(&f.output, "output", "o", defaultSpec, "file to write")
	fs.BoolVar(&f.force, "force", false, "write over a file that exists")
	fs.BoolVar(&f.noRun, "no-run", false, "do not run the spec")
	return cmd
}

func (f *initFlags) init(cmd *cobra.Command) error {
	begin := time.Now()
	if _, err := os.Lstat(f.output); err == nil && !f.force {
		return fmt.Errorf("write %s: it exists already: --force writes over it, -o names another file", f.output)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write %s: %w", f.output, err)
	}
	if len(f.compose) == 0 {
		return f.finish(cmd, starter.Local, "edit it, then: faultbox check "+shellQuote(f.output))
	}
	s, err := f.survey(cmd.Context())
	if err != nil {
		return err
	}
	text := s.Write(nil)
	next := "run it: " + asRoot.asUs("sudo faultbox test "+shellQuote(f.output))
	if !f.noRun {
		seen, err := f.try(cmd, s, begin)
		switch {
		case cmd.Context().Err() != nil:
			return exitCode(runtime.Interrupted.ExitCode())
		case err != nil:
			fmt.Fprintf(cmd.ErrOrStderr(), "faultbox: the spec was not tried: %s\n", err)
		default:
			text = s.Write(seen)
		}
	}
	return f.finish(cmd, text, next)
}

func (f *initFlags) finish(cmd *cobra.Command, text, next string) error {
	if err := os.WriteFile(f.output, []byte(text), 0o666); err != nil {
		return fmt.Errorf("write the spec: %w", err)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote %s; %s\n", f.output, next)
	return err
}

// survey reads the compose files as the spec will.
func (f *initFlags) survey(ctx context.Context) (*starter.Survey, error) {
	dir, err := filepath.Abs(filepath.Dir(f.output))
	if err != nil {
		return nil, err
	}
	s := &starter.Survey{Profiles: f.profiles, Ignore: f.ignore}
	q := runtime.ProjectQuery{Dir: dir, Profiles: f.profiles, Ignore: f.ignore}
	for _, file := range f.compose {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		q.Files = append(q.Files, abs)
		shown := abs
		if rel, err := filepath.Rel(dir, abs); err == nil {
			shown = rel
		}
		s.Files = append(s.Files, filepath.ToSlash(shown))
	}
	if s.Project, err = compose.Load(ctx, q); err != nil {
		return nil, withFlag(err)
	}
	return s, nil
}

// ignorable is what the error about an attribute advises for specs.
var ignorable = regexp.MustCompile(`ignore = \["([^"]+)"\]`)

// withFlag adds what the advice is for this command.
func withFlag(err error) error {
	var names []string
	for _, m := range ignorable.FindAllStringSubmatch(err.Error(), -1) {
		names = append(names, m[1])
	}
	if len(names) == 0 {
		return err
	}
	return fmt.Errorf("%w\nto write a spec that goes on without: --ignore %s", err, shellQuote(strings.Join(names, ",")))
}

// try runs the spec with everything in it, beside the place where it will be,
// and returns how each of its tests ended.
func (f *initFlags) try(cmd *cobra.Command, s *starter.Survey, begin time.Time) (map[string]starter.Outcome, error) {
	file, err := os.CreateTemp(filepath.Dir(f.output), ".faultbox-init-*.star")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	_, err = io.WriteString(file, s.Write(starter.Everything))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	loaded, err := load(cmd.Context(), file.Name())
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "faultbox: trying %s …\n", count(len(loaded.Tests), "test"))
	var out timedReport
	quiet := &cobra.Command{}
	quiet.SetContext(cmd.Context())
	quiet.SetOut(&out)
	quiet.SetErr(cmd.ErrOrStderr())
	var t testFlags
	t.register(quiet)
	t.format, t.seed, t.jobs = "json", newSeed(), 1 // a whole project at a time is enough for a machine
	var code exitCode
	if err := t.run(quiet, loaded, ""); err != nil && !errors.As(err, &code) {
		return nil, err
	}
	seen, err := outcomes(&out.Buffer)
	if err == nil {
		since := func(t time.Time) time.Duration { return t.Sub(begin).Round(100 * time.Millisecond) }
		fmt.Fprintf(cmd.ErrOrStderr(), "faultbox: tried %s in %s, the first verdict came after %s\n", count(len(seen), "test"), since(time.Now()), since(out.first))
	}
	return seen, err
}

// timedReport is a report in JSON, and when its first verdict came.
type timedReport struct {
	bytes.Buffer
	first time.Time
}

func (t *timedReport) Write(line []byte) (int, error) {
	if t.first.IsZero() && bytes.Contains(line, []byte(`"type":"test"`)) {
		t.first = time.Now()
	}
	return t.Buffer.Write(line)
}

// outcomes reads the report of a run. That none of its tests could be judged is
// an error.
func outcomes(report io.Reader) (map[string]starter.Outcome, error) {
	seen := map[string]starter.Outcome{}
	judged, lacking := false, ""
	for d := json.NewDecoder(report); ; {
		var line struct {
			Type, Name, Verdict, Reason string
		}
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			if !judged && lacking != "" {
				return nil, errors.New(lacking)
			}
			return seen, nil
		case err != nil:
			return nil, fmt.Errorf("read the report: %w", err)
		}
		if line.Verdict != "" && line.Name != "" {
			reason, _, _ := strings.Cut(line.Reason, "\n")
			reason = strings.TrimSuffix(reason, "; its last lines:")
			switch runtime.Verdict(line.Verdict) {
			case runtime.Error, runtime.NotRun:
				lacking = reason
			default:
				judged = true
			}
			seen[line.Name] = starter.Outcome{Passed: line.Verdict == string(runtime.Passed), Seen: reason}
		}
	}
}
