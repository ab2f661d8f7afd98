package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/recipes"
	"faultbox/intercept/syscalls"
	"faultbox/protocols/all"
	"faultbox/runtime"
	"faultbox/runtime/compose"
	"faultbox/runtime/spec"
	"faultbox/runtime/steps"
)

// defaultSpec is the file that commands read when none is named.
const defaultSpec = "faultbox.star"

func checkCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check [faultbox.star]",
		Short: "Load and validate a spec, without running it",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := load(cmd.Context(), specArg(args))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			for _, w := range s.Warnings {
				fmt.Fprintf(out, "warning: %s\n", w)
			}
			fmt.Fprintf(out, "%s is fine: %s, %s\n", s.File, count(len(s.Services), "service"), count(len(s.Tests), "test"))
			for _, t := range s.Tests {
				fmt.Fprintf(out, "  %s\n", t.Name)
			}
			return nil
		},
	}
}

// count says how many of something there are.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func specArg(args []string) string {
	if len(args) == 0 {
		return defaultSpec
	}
	return args[0]
}

func load(ctx context.Context, file string) (*runtime.Spec, error) {
	return loadWith(ctx, file, declared)
}

// declared finds the projects of compose(…) for tests that bring them up.
func declared(ctx context.Context, q runtime.ProjectQuery) (*runtime.Project, error) {
	switch {
	case q.Up != "":
		return runningProject(ctx, q)
	case len(q.Files) == 0:
		return nil, errors.New(`name a compose file, or with project="NAME" one that is up`)
	}
	return compose.Load(ctx, q)
}

func loadWith(ctx context.Context, file string, project func(context.Context, runtime.ProjectQuery) (*runtime.Project, error)) (*runtime.Spec, error) {
	methods := make(map[string][]runtime.Method)
	for name, s := range steps.All() {
		methods[name] = s.Methods()
	}
	return spec.Load(ctx, file, spec.Options{
		Protocols: all.Protocols(), Steps: methods, Recipes: recipes.FS,
		CheckSyscall: syscalls.Check, CheckCall: syscalls.CheckFault,
		Project: project,
	})
}
