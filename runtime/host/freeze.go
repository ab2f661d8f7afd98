//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// freezeTimeout bounds how long Freeze waits: a process in an uninterruptible
// call freezes when that ends.
const freezeTimeout = 500 * time.Millisecond

// Freeze stops every process of a cgroup where it is, or lets them go on. It
// returns when they have stopped. A cgroup that does not exist is fine.
func Freeze(cgroup string, on bool) error {
	word := "0"
	if on {
		word = "1"
	}
	err := os.WriteFile(filepath.Join(cgroup, "cgroup.freeze"), []byte(word), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("freeze processes: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), freezeTimeout)
	defer cancel()
	if err := await(ctx, cgroup, "frozen "+word); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// Pause is Freeze for as long as this process lives: if it is killed, they go
// on. thaw lets them go on now; it may be called again.
func Pause(cgroup string) (thaw func() error, err error) {
	// A shell waits for our end of a pipe to be closed, by us or by the kernel.
	guard := exec.Command("/bin/sh", "-c", `read -r _; echo 0 >"$0/cgroup.freeze"`, cgroup)
	guard.Dir = "/"
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := guard.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("pause processes: %w", err)
	}
	if err := guard.Start(); err != nil {
		pipe.Close()
		return nil, fmt.Errorf("pause processes: start what lets them go on if faultbox dies: %w", err)
	}
	if err := Freeze(cgroup, true); err != nil {
		pipe.Close()
		guard.Wait()
		return nil, err
	}
	return sync.OnceValue(func() error {
		err := Freeze(cgroup, false)
		pipe.Close()
		guard.Wait()
		return err
	}), nil
}

// Kill ends every process of a cgroup at once with SIGKILL and returns when
// they are gone. Frozen, none sees another die. It leaves cgroup.kill alone: on
// some kernels (seen on 6.18) what is cloned into a cgroup that was killed once
// is killed at birth.
func Kill(ctx context.Context, cgroup string) error {
	if err := Freeze(cgroup, true); err != nil {
		return err
	}
	for _, pid := range Processes(cgroup) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := Freeze(cgroup, false); err != nil {
		return err
	}
	return AwaitEmpty(ctx, cgroup)
}
