//go:build linux

package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Kill ends every process of the service at once with SIGKILL and returns when
// they are gone. The instance can still be stopped, which cleans up.
func (i *instance) Kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	// Frozen, none sees another die. Not cgroup.kill: see Stop.
	if err := i.Freeze(true); err != nil {
		return err
	}
	for _, pid := range pidsIn(i.cgroup) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := i.Freeze(false); err != nil {
		return err
	}
	if err := waitEmpty(ctx, i.cgroup); err != nil {
		return fmt.Errorf("kill service: %w", err)
	}
	select {
	case <-i.exited:
	case <-ctx.Done():
	}
	return nil
}

// Freeze stops every process of the service where it is, or lets them go on. It
// returns when they have stopped.
func (i *instance) Freeze(on bool) error {
	want := "0"
	if on {
		want = "1"
	}
	if err := os.WriteFile(filepath.Join(i.cgroup, "cgroup.freeze"), []byte(want), 0); err != nil {
		if os.IsNotExist(err) {
			return nil // stopped in between
		}
		return fmt.Errorf("freeze service: %w", err)
	}
	f, err := os.Open(filepath.Join(i.cgroup, "cgroup.events"))
	if err != nil {
		return nil
	}
	defer f.Close()
	buf := make([]byte, 256)
	for range 25 { // a process in an uninterruptible call freezes when that ends
		n, _ := f.ReadAt(buf, 0)
		if strings.Contains(string(buf[:n]), "frozen "+want) {
			return nil
		}
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		unix.Poll(fds, 20)
	}
	return nil
}
