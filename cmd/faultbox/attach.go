package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"faultbox/runtime"
	"faultbox/runtime/compose"
	"faultbox/runtime/docker"
	"faultbox/runtime/world"
)

// attachFlags are the flags of `faultbox attach`.
type attachFlags struct {
	testFlags
	project, spec string
}

func attachCommand() *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach --project NAME [--spec faults.star]",
		Short: "Run the tests of a spec on a compose project that is up",
		Long: `Run the tests of a spec on a compose project that is up.

Its containers keep running as they are. While a test runs, the connections
that its faults name are led through faultbox; at its end they go direct again,
also if faultbox is killed. Connections that exist when a test begins are cut
once, so that applications make them anew.

What the spec calls compose(…) stands for the project, whatever file it names:

  services = compose("compose.yaml")          # the spec that brings it up works as well
  services = compose(interfaces = {"db": interface("main", "postgres", 5432)})

A service with several containers is services["web-1"], services["web-2"] …
System calls of programs that run already cannot be faulted.

Exit codes are those of faultbox test. A container that ends while a test runs
makes that test an error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.setSeed(cmd)
			return f.attach(cmd)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.project, "project", "", "name of the project, as `docker compose ls` lists it")
	cmd.Flags().StringVar(&f.spec, "spec", defaultSpec, "the spec")
	cmd.MarkFlagRequired("project")
	return cmd
}

func (f *attachFlags) attach(cmd *cobra.Command) error {
	asked := false
	s, err := loadWith(cmd.Context(), f.spec, func(ctx context.Context, q runtime.ProjectQuery) (*runtime.Project, error) {
		asked = true
		if q.Up != "" && q.Up != f.project {
			return nil, fmt.Errorf("the spec is about project %q, and --project about %q", q.Up, f.project)
		}
		q.Up, q.Files = f.project, nil
		return runningProject(ctx, q)
	})
	switch {
	case err != nil:
		return err
	case !asked:
		return fmt.Errorf("attach to project %s: %s has no compose(…), which stands for the project's services; containers that a spec names with container= need no attach: `faultbox test %s`", f.project, f.spec, shellQuote(f.spec))
	}
	var ours []string
	for _, svc := range s.Services {
		if svc.Container != "" {
			ours = append(ours, svc.Container)
		}
	}
	ctx, cancel := context.WithCancel(cmd.Context())
	defer cancel()
	engine := docker.New(docker.Options{})
	err = engine.WatchProject(ctx, f.project, ours, func(text string) { fmt.Fprintf(cmd.ErrOrStderr(), "faultbox: %s\n", text) })
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	err = f.run(cmd, s, fmt.Sprintf("sudo faultbox attach --project %s --spec %s", shellQuote(f.project), shellQuote(f.spec)))
	cancel()
	return errors.Join(err, engine.Close())
}

// runningProject finds the services of a project that is up.
func runningProject(ctx context.Context, q runtime.ProjectQuery) (*runtime.Project, error) {
	engine := docker.New(docker.Options{Live: world.Live})
	members, err := engine.Members(ctx, q.Up)
	if err = errors.Join(err, engine.Close()); err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, m := range members {
		if m.State == "running" || m.State == "paused" {
			count[m.Service]++
		}
	}
	p := &runtime.Project{Guesses: map[string][]runtime.Guess{}}
	number := map[string]int{}
	for _, m := range members {
		if m.State != "running" && m.State != "paused" {
			if count[m.Service] == 0 {
				p.Warnings = append(p.Warnings, fmt.Sprintf("project %s: service %s is left out: its container %s does not run (%s)", q.Up, m.Service, m.Name, m.State))
			}
			continue
		}
		name := m.Service
		if number[name]++; count[name] > 1 {
			name = fmt.Sprintf("%s-%d", name, number[m.Service])
		}
		p.Services = append(p.Services, &runtime.Service{Name: name, Container: m.Name, Env: m.Env})
		p.Guesses[name] = compose.Guess(m.Image, m.Ports, m.Env)
	}
	for service, n := range count {
		if n > 1 {
			p.Warnings = append(p.Warnings, fmt.Sprintf("project %s: service %s has %d containers: services[%q] …", q.Up, service, n, service+"-1"))
		}
	}
	if len(p.Services) == 0 {
		return nil, fmt.Errorf("use project %q: none of its containers runs: %s", q.Up, strings.Join(p.Warnings, "; "))
	}
	return p, nil
}
