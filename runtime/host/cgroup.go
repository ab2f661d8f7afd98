//go:build linux

package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Processes lists the processes in a cgroup and below it.
func Processes(cgroup string) (pids []int) {
	filepath.WalkDir(cgroup, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		f, err := os.Open(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil
		}
		defer f.Close()
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if pid, err := strconv.Atoi(lines.Text()); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// AwaitEmpty waits until no process is left in a cgroup and below it. One that
// does not exist is empty.
func AwaitEmpty(ctx context.Context, cgroup string) error {
	err := await(ctx, cgroup, "populated 0")
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("wait for processes %v in %s to die: %w (stuck in the kernel? look at `ps -o pid,stat,wchan,cmd`)", Processes(cgroup), cgroup, context.Cause(ctx))
	}
	return err
}

// await waits until cgroup.events says so (cgroups(7)), or the cgroup is gone.
func await(ctx context.Context, cgroup, event string) error {
	f, err := os.Open(filepath.Join(cgroup, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch cgroup: %w", err)
	}
	defer f.Close()
	buf := make([]byte, 256)
	for {
		n, err := f.ReadAt(buf, 0)
		if n == 0 && err != nil || strings.Contains(string(buf[:n]), event) {
			return nil // or removed by somebody else
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// The kernel raises POLLPRI when the file has changed since it was read.
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, 100); err != nil && err != unix.EINTR {
			return fmt.Errorf("watch cgroup: %w", err)
		}
	}
}

// RemoveCgroup removes an empty cgroup and those below it.
func RemoveCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := RemoveCgroup(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for try := 0; ; try++ {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || try == 50 {
			return fmt.Errorf("remove cgroup %s: %w", dir, err)
		}
		time.Sleep(time.Millisecond) // a last process is on its way out
	}
}
