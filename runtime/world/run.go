//go:build linux

package world

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupPrefix = "faultbox-"
	dirPrefix    = "run-"
	// marker is a file in a run's folder: only folders that hold it are ever
	// removed with what is in them.
	marker = ".faultbox-run"
	// mark is an extended attribute of a run's cgroup, with the run's id in it:
	// only cgroups that have it are ever killed with what is in them.
	mark = "user.faultbox.run"
)

// run is what the worlds of one run share: a cgroup and a folder, both locked
// for as long as they exist.
type run struct {
	cgroup, dir         string
	cgroupLock, dirLock *os.File
}

// newRunID makes up a name that no other run has.
func newRunID() string { return strings.ToLower(rand.Text()[:10]) }

// rootName is the folder of all runs; users without privileges have one each.
func rootName() string {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Sprintf("faultbox-%d", uid)
	}
	return "faultbox"
}

// openRun makes the run's folder and, unless bare, its cgroup. The caller
// closes it.
func openRun(id, root string, bare bool) (*run, error) {
	r := &run{dir: filepath.Join(root, dirPrefix+id)}
	var err error
	if !bare {
		err = r.openCgroup(id)
	}
	if err == nil {
		err = r.openFolder(root)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *run) openCgroup(id string) error {
	bases, err := cgroupBases()
	if err != nil {
		return err
	}
	for _, base := range bases {
		path := filepath.Join(base, cgroupPrefix+id)
		if r.cgroupLock, err = makeLocked(path); err == nil {
			r.cgroup = path
			break
		}
	}
	if err == nil {
		err = os.NewSyscallError("setxattr", unix.Setxattr(r.cgroup, mark, []byte(id), 0))
	}
	if err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return nil
}

func (r *run) openFolder(root string) (err error) {
	for range 10 { // another run may remove an empty root under our feet
		if err = makeRoot(root); err == nil {
			r.dirLock, err = makeLocked(r.dir)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, marker), nil, 0o644); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	return nil
}

// close removes the run's cgroup and folder, and whatever is left in them.
func (r *run) close() error {
	var errs []error
	if r.cgroupLock != nil {
		errs = append(errs, killCgroup(r.cgroup), r.cgroupLock.Close())
		r.cgroupLock = nil
	}
	if r.dirLock != nil {
		errs = append(errs, removeFolder(r.dir), r.dirLock.Close())
		r.dirLock = nil
	}
	return errors.Join(errs...)
}

// makeRoot makes the folder that runs' folders go into, and refuses one that
// another user could tamper with.
func makeRoot(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(root)
	if err != nil {
		return err
	}
	stat := info.Sys().(*syscall.Stat_t)
	private := info.IsDir() && int(stat.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	if !private && !sticky {
		return fmt.Errorf("%s is not safe to use (%s, owned by uid %d): remove it, or set TMPDIR", root, info.Mode(), stat.Uid)
	}
	return nil
}

// removeFolder removes a run's folder. Without the marker nothing but an empty
// folder is removed. The marker goes last, so that a removal that was cut
// short is taken up again by Sweep.
func removeFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, marker)); err == nil {
		for _, e := range entries {
			if e.Name() == marker {
				continue
			}
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return fmt.Errorf("remove temporary folder: %w", err)
			}
		}
		os.Remove(filepath.Join(dir, marker))
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove temporary folder: %w", err)
	}
	return nil
}

// errLocked says that a directory belongs to a run that lives.
var errLocked = errors.New("in use by another run")

// makeLocked makes a directory, unless it exists, and locks it.
func makeLocked(path string) (*os.File, error) {
	for try := 0; ; try++ {
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err := lockDir(path)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, errLocked) && try < 20:
			time.Sleep(5 * time.Millisecond) // perhaps a sweep that took it for a leftover
		case !errors.Is(err, fs.ErrNotExist) || try >= 20:
			return nil, err
		}
	}
}

// lockDir locks a directory until the file is closed, or its holder dies. It
// returns errLocked if somebody else holds it, fs.ErrNotExist if it is gone.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("lock %s: %w", path, errLocked)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	locked, err := f.Stat()
	if err == nil {
		var there os.FileInfo
		if there, err = os.Lstat(path); err == nil && !os.SameFile(locked, there) {
			err = fs.ErrNotExist // it was removed before we had the lock
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
