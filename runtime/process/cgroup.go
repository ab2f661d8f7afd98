//go:build linux

package process

import (
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

// pidsIn lists the processes in a cgroup.
func pidsIn(cgroup string) (pids []int) {
	procs, _ := os.ReadFile(filepath.Join(cgroup, "cgroup.procs"))
	for _, field := range strings.Fields(string(procs)) {
		if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// waitEmpty waits until no process is left in a cgroup and below it. A cgroup
// that does not exist is empty.
func waitEmpty(ctx context.Context, cgroup string) error {
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
		if n == 0 && err != nil || strings.Contains(string(buf[:n]), "populated 0") {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for processes %v to die: %w", pidsIn(cgroup), context.Cause(ctx))
		}
		// The kernel raises POLLPRI when the file has changed since it was read.
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, 100); err != nil && err != unix.EINTR {
			return fmt.Errorf("watch cgroup: %w", err)
		}
	}
}

// removeCgroup removes an empty cgroup and those below it.
func removeCgroup(dir string) error {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroup(filepath.Join(dir, e.Name())); err != nil {
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
