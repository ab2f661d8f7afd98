//go:build linux

package world

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Sweep kills and removes what runs left behind that were killed themselves.
func (w *worlds) Sweep() error {
	bases, err := cgroupBases()
	if err != nil {
		return err
	}
	var errs []error
	for _, base := range bases {
		errs = append(errs, sweep(base, cgroupPrefix, killCgroup))
	}
	errs = append(errs, sweep(w.root, dirPrefix, removeFolder))
	w.tidy()
	return errors.Join(errs...)
}

// sweep removes the directories in base that have a run's name and whose lock
// is free.
func sweep(base, prefix string, remove func(string) error) error {
	entries, err := os.ReadDir(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		id, ours := strings.CutPrefix(e.Name(), prefix)
		if !ours || !e.IsDir() || id != safeName(id) {
			continue
		}
		path := filepath.Join(base, e.Name())
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
