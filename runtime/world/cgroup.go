//go:build linux

package world

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"faultbox/runtime/host"
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

// errNoKill says that the kernel cannot end all that runs in a cgroup at once.
var errNoKill = errors.New("this kernel lacks cgroup.kill: Linux 5.14 or newer is needed")

// writeFile writes to a file that is there; os.WriteFile would try to make it,
// which a cgroup forbids in other words.
func writeFile(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// killCgroup kills every process in a cgroup and below it, waits until they
// are gone and removes the directories. One that does not exist is fine.
func killCgroup(dir string) error {
	err := writeFile(filepath.Join(dir, "cgroup.kill"), "1")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := host.RemoveCgroup(dir); err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil // it was empty, or not there
		}
		return fmt.Errorf("kill what runs in %s: %w", dir, errNoKill)
	case err != nil:
		return fmt.Errorf("kill what runs in %s: %w", dir, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	if err := host.AwaitEmpty(ctx, dir); err != nil {
		return err
	}
	return host.RemoveCgroup(dir)
}
