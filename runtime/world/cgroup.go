//go:build linux

package world

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killTimeout bounds the death of processes that were sent SIGKILL: only one
// that is stuck in the kernel takes longer.
const killTimeout = 10 * time.Second

// errNoCgroup2 says that there is no cgroup2 hierarchy to use.
var errNoCgroup2 = errors.New("no cgroup2 file system is mounted: mount one (`mount -t cgroup2 none /sys/fs/cgroup/unified`)")

// cgroupBases returns the directories that a run's cgroup may be made in, best
// first: the top of the cgroup2 mount, which outlives the user's session, then
// our own cgroup, for where the top is not ours to write.
func cgroupBases() ([]string, error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("find cgroup2 mount: %w", err)
	}
	self, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, fmt.Errorf("find own cgroup: %w", err)
	}
	bases := basesOf(string(mountinfo), string(self))
	if bases == nil {
		return nil, errNoCgroup2
	}
	return bases, nil
}

// basesOf reads /proc/self/mountinfo and /proc/self/cgroup: see proc(5) and
// cgroups(7). A mount shows the hierarchy from its root field down.
func basesOf(mountinfo, self string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mountinfo) {
		left, right, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		if len(fields) < 6 || len(kind) < 1 || kind[0] != "cgroup2" {
			continue
		}
		root, mount := unescape.Replace(fields[3]), unescape.Replace(fields[4])
		bases := []string{mount}
		for line := range strings.Lines(self) {
			own, v2 := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::")
			if !v2 {
				continue
			}
			rel, err := filepath.Rel(root, own)
			if err == nil && rel != "." && filepath.IsLocal(rel) {
				bases = append(bases, filepath.Join(mount, rel))
			}
		}
		return bases
	}
	return nil
}

// killCgroup kills every process in a cgroup and below it, waits until they
// are gone and removes the directories. One that does not exist is fine.
func killCgroup(dir string) error {
	err := os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, statErr := os.Stat(dir); errors.Is(statErr, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("kill what runs in %s: the kernel has no cgroup.kill: Linux 5.14 or newer is needed", dir)
	case err != nil:
		return fmt.Errorf("kill what runs in %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := waitEmpty(ctx, dir); err != nil {
		return err
	}
	return removeCgroup(dir)
}

// waitEmpty waits until no process is left in a cgroup and below it.
func waitEmpty(ctx context.Context, dir string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
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
			return nil // empty, or removed by somebody else
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for processes %v in %s to die: %w (stuck in the kernel? look at `ps -o pid,stat,wchan,cmd`)", pidsIn(dir), dir, context.Cause(ctx))
		}
		// The kernel raises POLLPRI when the file has changed since it was read.
		fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, 100); err != nil && err != unix.EINTR {
			return fmt.Errorf("watch cgroup: %w", err)
		}
	}
}

// pidsIn lists the processes in a cgroup and below it.
func pidsIn(dir string) (pids []string) {
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		f, err := os.Open(filepath.Join(path, "cgroup.procs"))
		if err != nil {
			return nil
		}
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			pids = append(pids, sc.Text())
		}
		return nil
	})
	return pids
}

// removeCgroup removes an empty cgroup and those below it.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
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
