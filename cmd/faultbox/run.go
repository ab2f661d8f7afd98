package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"faultbox/intercept"
	"faultbox/intercept/syscalls"
	"faultbox/runtime"
	"faultbox/runtime/report"
	"faultbox/runtime/spec"
)

// runFlags are the flags of `faultbox run`.
type runFlags struct {
	faults  []string
	trace   []string
	seed    uint64
	verbose bool
}

// uncounted ends a fault that the kernel itself does: it is not seen or counted.
const uncounted = ",uncounted"

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run --fault CALL=ACTION[,KEY=VALUE…]… -- program [args…]",
		Short: "Run one program with faults of its system calls, without a spec",
		Long: `Run one program with faults of its system calls, without a spec. It needs no
root. The program keeps its terminal, descriptors, folder and environment; all
that it starts is faulted too.

CALL is a system call, or a family such as write, open, fsync, connect.
ACTION is an errno (EIO), a delay (20ms), short:BYTES, lie or crash.
Keys: after, nth, every, times, p (probability), path, fd (file, socket, any),
to (the address at a socket's other end: 10.0.0.5:5432, *:5432, /run/db.sock),
process, label; and uncounted alone: the kernel answers by itself, which costs
next to nothing, and nobody counts.

  faultbox run --fault 'fsync=EIO,after=3,path=**/wal/**' -- ./program args
  faultbox run --fault 'connect=ECONNREFUSED,p=20%' --fault 'write=20ms,path=/data/**' -- ./program

The exit code is the program's (128 and the signal's number if one killed it);
3 if the program succeeded although a fault touched nothing; 4 if this machine
lacks something.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("seed") {
				f.seed = newSeed()
			}
			return f.run(cmd, args)
		},
	}
	fs := cmd.Flags()
	fs.SetInterspersed(false)
	fs.StringArrayVar(&f.faults, "fault", nil, "a fault: CALL=ACTION[,KEY=VALUE…]; may be given several times")
	fs.StringSliceVar(&f.trace, "trace", nil, "system calls and families to print without faulting them")
	fs.Uint64Var(&f.seed, "seed", 0, "seed of all randomness (default: a new one, which the report names)")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "print every call that a fault acted on")
	return cmd
}

// plan is what the flags ask for.
type plan struct {
	rules []intercept.Rule
	watch []string
	deny  map[string]int
}

func (f *runFlags) plan(errs io.Writer) (*plan, error) {
	p := &plan{deny: map[string]int{}, watch: f.trace}
	o := spec.Options{CheckSyscall: syscalls.Check, CheckCall: syscalls.CheckFault}
	for _, name := range f.trace {
		if err := syscalls.Check(name); err != nil {
			return nil, fmt.Errorf("--trace %s: %w", name, err)
		}
	}
	for _, text := range f.faults {
		head, unseen := strings.CutSuffix(text, uncounted)
		r, warning, err := spec.ParseFault(head, o)
		switch {
		case err != nil:
			return nil, err
		case warning != "":
			fmt.Fprintf(errs, "faultbox: --fault %s: warning: %s\n", head, warning)
		}
		if !unseen {
			p.rules = append(p.rules, r)
			p.watch = append(p.watch, r.Watched()...)
			continue
		}
		if r.Fault.Do != intercept.Deny || r.Trigger != intercept.Always || strings.Contains(head, ",") {
			return nil, fmt.Errorf("--fault %s: uncounted goes with an errno alone: the kernel can do no more by itself", text)
		}
		for _, name := range r.Calls() {
			p.deny[name] = r.Fault.Errno
		}
	}
	if len(p.watch)+len(p.deny) == 0 {
		return nil, errors.New("name a --fault, or calls to --trace")
	}
	slices.Sort(p.watch)
	p.watch = slices.Compact(p.watch)
	return p, nil
}

// run runs the program and reports what the faults touched.
func (f *runFlags) run(cmd *cobra.Command, args []string) error {
	errs := cmd.ErrOrStderr()
	p, err := f.plan(errs)
	if err != nil {
		return err
	}
	watch := syscalls.New()
	if err := watch.Supported(); err != nil {
		return err
	}
	watch.Deny = p.deny
	solo := runtime.NewSolo(f.seed, spec.Solitary, f.trace, p.rules...)
	var mu sync.Mutex
	solo.Tell = func(ev intercept.Event) {
		if f.verbose || ev.Kind == intercept.Note || len(ev.Rules) == 0 {
			mu.Lock()
			defer mu.Unlock()
			fmt.Fprintf(errs, "faultbox: %s\n", report.Line(&ev))
		}
	}
	code, err := start(watch, p.watch, solo, args)
	if err = errors.Join(err, watch.Close()); err != nil {
		return err
	}
	idle := false
	for _, fault := range solo.Faults() {
		for _, line := range report.FaultLines(fault) {
			fmt.Fprintf(errs, "faultbox: %s\n", line)
		}
		if fault.Acted == 0 {
			idle = true
			fmt.Fprintf(errs, "faultbox: %s %s\n", fault.Name, fault.Why)
		}
	}
	if code == 0 && idle {
		code = runtime.Inconclusive.ExitCode()
	}
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// start runs the program under watch and returns its exit code.
func start(watch *syscalls.Interceptor, calls []string, h intercept.Handler, args []string) (int, error) {
	path, err := exec.LookPath(args[0])
	if err != nil && !errors.Is(err, exec.ErrDot) {
		fmt.Fprintf(os.Stderr, "faultbox: find program %s: %s\n", args[0], errors.Unwrap(err))
		return 127, nil
	}
	e := &intercept.Exec{Path: path, Argv: args}
	att, err := watch.Attach(context.Background(), intercept.Target{Name: spec.Solitary, Calls: calls, Exec: e}, h)
	if err != nil {
		return 0, err
	}
	defer att.Close()
	// The terminal sends its signals to the program itself.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	proc, err := os.StartProcess(e.Path, e.Argv, &os.ProcAttr{Env: os.Environ(), Files: append([]*os.File{os.Stdin, os.Stdout, os.Stderr}, e.Files...)})
	for _, f := range e.Files {
		f.Close()
	}
	if err != nil {
		return 0, fmt.Errorf("start program: %w", err)
	}
	go func() {
		for s := range signals {
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				proc.Signal(s)
			}
		}
	}()
	defer adoptOrphans(proc.Pid)()
	startErr := e.Started()
	state, err := proc.Wait()
	switch ws, _ := state.Sys().(syscall.WaitStatus); {
	case err != nil:
		return 0, fmt.Errorf("wait for program: %w", err)
	case startErr != nil && !state.Exited():
		return 0, startErr
	case startErr != nil:
		var lacks *intercept.LacksError
		if errors.As(startErr, &lacks) {
			return 0, startErr
		}
		return state.ExitCode(), nil // the shim has said why
	case ws.Signaled():
		return 128 + int(ws.Signal()), nil
	}
	return state.ExitCode(), nil
}
