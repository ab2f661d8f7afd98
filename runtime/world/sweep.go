//go:build linux

package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Sweep kills and removes what runs left behind that were killed themselves.
func (w *worlds) Sweep() error {
	var errs []error
	if !w.bare {
		bases, err := cgroupBases()
		if err != nil {
			return err
		}
		for _, base := range bases {
			errs = append(errs, sweep(base, cgroupPrefix, marked, killCgroup))
		}
	}
	folder := func(string, string) bool { return true } // removeFolder looks for its marker
	errs = append(errs, sweep(w.root, dirPrefix, folder, removeRun))
	w.tidy()
	return errors.Join(errs...)
}

// marked reports whether a cgroup was made by the run of that id.
func marked(path, id string) bool {
	value := make([]byte, 64)
	n, err := unix.Lgetxattr(path, mark, value)
	return err == nil && string(value[:n]) == id
}

// sweep removes the directories in base that have a run's name, are the run's,
// and whose lock is free.
func sweep(base, prefix string, ours func(path, id string) bool, remove func(string) error) error {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		id, named := strings.CutPrefix(e.Name(), prefix)
		path := filepath.Join(base, e.Name())
		if !named || !e.IsDir() || id != safeName(id) || !ours(path, id) {
			continue
		}
		lock, err := lockDir(path)
		if errors.Is(err, errLocked) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, remove(path))
		lock.Close()
	}
	return errors.Join(errs...)
}

// Live reports whether the run of that id is on, in any namespace.
func Live(runID string) bool {
	bases, err := cgroupBases()
	if err != nil {
		return true // better to leave something than to take it from somebody
	}
	for _, base := range bases {
		lock, err := lockDir(filepath.Join(base, cgroupPrefix+runID))
		switch {
		case err == nil:
			lock.Close()
		case !errors.Is(err, fs.ErrNotExist):
			return true
		}
	}
	return false
}

// NewRunID makes up a name that no other run has.
func NewRunID() string { return newRunID() }
