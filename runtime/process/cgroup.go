//go:build linux

package process

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"faultbox/runtime/host"
)

// cgroupTree is the processes of a service that has a cgroup.
type cgroupTree struct {
	dir  string
	proc *os.Process // the first
}

func (t *cgroupTree) wait() (syscall.WaitStatus, error) {
	state, err := t.proc.Wait()
	if err != nil {
		return 0, err
	}
	return state.Sys().(syscall.WaitStatus), nil
}

func (t *cgroupTree) empty(ctx context.Context) error { return host.AwaitEmpty(ctx, t.dir) }

func (t *cgroupTree) signal(sig syscall.Signal) {
	if t.proc.Signal(sig) != nil {
		for _, pid := range host.Processes(t.dir) {
			syscall.Kill(pid, sig)
		}
	}
}

func (t *cgroupTree) abort() {
	t.proc.Kill()
	t.proc.Wait()
}

func (t *cgroupTree) kill(ctx context.Context) error { return host.Kill(ctx, t.dir) }

func (t *cgroupTree) pause() (thaw func() error, err error) { return host.Pause(t.dir) }

// end removes the cgroup: on some kernels (seen on 6.18) what is cloned into
// one that was killed once is killed at birth, and the next start needs a new one.
func (t *cgroupTree) end(ctx context.Context) error {
	err := os.WriteFile(filepath.Join(t.dir, "cgroup.kill"), []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := host.AwaitEmpty(ctx, t.dir); err != nil {
		return err
	}
	return host.RemoveCgroup(t.dir)
}
