package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	goruntime "runtime"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"faultbox/cmd/faultbox/demo"
	"faultbox/cmd/faultbox/vm"
	"faultbox/intercept/syscalls"
	"faultbox/runtime"
	"faultbox/runtime/process"
)

// version is set by the linker.
var version = ""

func main() {
	syscalls.Helper()
	process.Helper()
	helper()
	os.Exit(run(os.Args[1:]))
}

// run runs the command and returns its exit code.
func run(args []string) int {
	ctx, stop := interruptible(context.Background())
	defer stop()
	if vm.Wanted(goruntime.GOOS, args) {
		code, err := vm.Run(ctx, programVersion(), args)
		if err != nil {
			fmt.Fprintf(os.Stderr, "faultbox: %s\n", err)
		}
		return code
	}
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var code exitCode
	var lacks *runtime.LacksError
	switch {
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &lacks):
		fmt.Fprintf(os.Stderr, "faultbox: %s\n", err)
		return runtime.NotRun.ExitCode()
	case err != nil && ctx.Err() != nil:
		fmt.Fprintf(os.Stderr, "faultbox: interrupted: %s\n", err)
		return runtime.Interrupted.ExitCode()
	case err != nil:
		fmt.Fprintf(os.Stderr, "faultbox: %s\n", err)
		return 1
	}
	return 0
}

// exitCode ends the program with that code; what there is to say was said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// interruptible returns a context that the first SIGINT, SIGTERM or SIGHUP
// ends. Clean-up then takes its time; later signals are told so and ignored.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	// Who reads our output may go first (| head): writes then fail, instead of
	// killing us with all that runs. Ignored, it would be so in services too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel()
		for range signals {
			fmt.Fprintln(os.Stderr, "faultbox: cleaning up, a moment please")
		}
	}()
	return ctx, cancel
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "faultbox",
		Short:         "What does my system do when its database, cache or broker misbehaves?",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(testCommand(), attachCommand(), initCommand(), runCommand(), checkCommand(), demoCommand(), recipesCommand(), referenceCommand(), vm.Command(), versionCommand())
	root.AddCommand(demo.Commands()...)
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "faultbox "+programVersion())
			return err
		},
	}
}

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
