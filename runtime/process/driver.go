//go:build linux

package process

import (
	"context"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/runtime"
)

type driver struct {
	o       Options
	private sync.Once
}

// New returns the driver for local programs.
func New(o Options) runtime.Driver {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	if o.Dir == "" {
		o.Dir, _ = os.Getwd()
	}
	return &driver{o: o}
}

// Start implements runtime.Driver. A mistake that shows before the service
// would run (no such program, no such user) is returned without calling gate.
func (d *driver) Start(ctx context.Context, w runtime.World, s *runtime.Service, gate runtime.Gate) (runtime.Instance, error) {
	s, overlays, err := trusting(s, w.Dir())
	if err != nil {
		return nil, err
	}
	cmd, err := resolve(s, w, d.o.Dir)
	if err != nil {
		return nil, err
	}
	cgroup, err := w.Cgroup(s.Name)
	if err == nil && cgroup == "" {
		err = cmd.asOurselves(s)
	}
	if err != nil {
		return nil, err
	}
	logs, err := openLogs(w.Dir(), s, cmd.cred)
	if err != nil {
		return nil, err
	}
	defer logs.closeOutputs()
	exec := &intercept.Exec{Path: cmd.path, Argv: cmd.argv, Outputs: logs.outputs()}
	defer closeAll(exec)
	if err := gate(intercept.Target{Name: s.Name, Cgroup: cgroup, NetNS: w.NetNS(), Exec: exec}); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := portsFree(w, s); err != nil {
		return nil, err
	}
	// What faultbox itself was started with beyond 0, 1 and 2 is not for services.
	d.private.Do(func() { unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) })
	tree, err := cmd.start(exec, birth{w.NetNS(), append(hostsOf(w), overlays...), cgroup, w}, logs)
	if err != nil {
		return nil, err
	}
	closeAll(exec)
	if exec.Started != nil {
		if err := exec.Started(); err != nil {
			tree.abort()
			return nil, cmd.explain(err)
		}
	}
	i := &instance{world: w, grace: d.o.Grace, tree: tree, logs: logs, exited: make(chan struct{})}
	go i.wait()
	return i, nil
}

// closeAll closes what is for the program alone. It may be called again.
func closeAll(exec *intercept.Exec) {
	for _, f := range exec.Files {
		f.Close()
	}
	exec.Files = nil
}

// birth is where a service is to be born.
type birth struct {
	ns       *os.File // network namespace
	overlays []overlay
	cgroup   string // "": none; a reaper keeps its processes together
	world    runtime.World
}

// start executes the command, or what was put in front of it.
func (c *command) start(exec *intercept.Exec, at birth, logs *logs) (tree, error) {
	if at.cgroup == "" {
		return c.startReaped(exec, at, logs)
	}
	cg, err := os.Open(at.cgroup)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	defer cg.Close()
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	attr := &os.ProcAttr{
		Dir:   c.dir,
		Env:   c.env,
		Files: append([]*os.File{null, logs.stdout, logs.stderr}, exec.Files...),
		Sys:   &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(cg.Fd()), Credential: c.cred},
	}
	var proc *os.Process
	if err := birthplace(at.ns, at.overlays, func() (err error) {
		if proc, err = os.StartProcess(exec.Path, exec.Argv, attr); err != nil {
			err = c.explain(err)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return &cgroupTree{at.cgroup, proc}, nil
}
