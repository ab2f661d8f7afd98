//go:build linux

package world

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// adopted is a file in a world's folder: a line for each process that is to be
// ended with the world, its number and when it started. SIGTERM has it end all
// that descends from it, and then itself.
const adopted = ".processes"

// Adopt notes that process pid is to be ended with the world: by Close, or by
// Sweep if this run is killed.
func (w *world) Adopt(pid int) error {
	start, err := startOf(pid)
	if err != nil {
		return fmt.Errorf("note process %d: %w", pid, err)
	}
	f, err := os.OpenFile(filepath.Join(w.dir, adopted), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("note process %d: %w", pid, err)
	}
	_, err = fmt.Fprintln(f, pid, start)
	return errors.Join(err, f.Close())
}

// removeRun ends what the worlds of a run adopted and removes its folder.
func removeRun(dir string) error {
	var errs []error
	if _, err := os.Lstat(filepath.Join(dir, marker)); err == nil {
		worlds, _ := os.ReadDir(dir)
		for _, w := range worlds {
			errs = append(errs, killAdopted(filepath.Join(dir, w.Name())))
		}
	}
	return errors.Join(append(errs, removeFolder(dir))...)
}

// killAdopted ends what a world adopted, and waits until it is gone.
func killAdopted(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, adopted))
	if err != nil {
		return nil // nothing was
	}
	var errs []error
	for line := range bytes.Lines(text) {
		number, start, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		pid, err := strconv.Atoi(number)
		if err == nil && pid > 1 {
			errs = append(errs, killProcess(pid, start))
		}
	}
	return errors.Join(errs...)
}

// killProcess ends a process, unless its number has become another's.
func killProcess(pid int, start string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if now, err := startOf(pid); err != nil || now != start {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("end process %d: %w", pid, err)
	}
	for end := time.Now().Add(killTimeout); time.Now().Before(end); {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 100)
		if n > 0 || err != nil && err != unix.EINTR {
			return nil
		}
	}
	return fmt.Errorf("end process %d: it is still there after %s (stuck in the kernel? look at `ps -o pid,stat,wchan,cmd`)", pid, killTimeout)
}

// startOf returns when a process started, as proc_pid_stat(5) has it: with its
// number that is its name.
func startOf(pid int) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 20 {
		return "", errors.New("read its start: /proc tells less than it should")
	}
	return fields[19], nil
}
