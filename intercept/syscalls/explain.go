//go:build linux

package syscalls

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// explain notes what a program cannot do because it is watched.
func (s *supervisor) explain(n *notification, name string) {
	note := ""
	switch {
	case name == "seccomp":
		if n.args[0] == unix.SECCOMP_SET_MODE_FILTER && n.args[1]&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0 {
			note = "seccomp(SECCOMP_FILTER_FLAG_NEW_LISTENER) fails with EBUSY: the kernel allows one listener, and faultbox's watches this process for faults of system calls; a program that supervises others' calls cannot be a service with such faults"
		}
	case s.bound:
		path := s.executed(n, name)
		info, err := os.Stat(string(s.look.proc0("root")) + path)
		if err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			note = fmt.Sprintf("%s is setuid and runs without its privileges: faultbox watches this service's system calls without being root, which needs no-new-privileges (prctl(2)); run faultbox as root and the service without user=, or start what it does another way", path)
		}
	}
	if note != "" && note != s.explained { // who fails may try again
		s.explained = note
		s.note(note)
	}
}

// executed returns the program that execve(2) or execveat(2) names.
func (s *supervisor) executed(n *notification, name string) string {
	s.look.tid = n.tid
	dirfd, arg := unix.AT_FDCWD, n.args[0]
	if name == "execveat" {
		dirfd, arg = int(int32(n.args[0])), n.args[1]
	}
	path, _ := s.look.text(arg)
	return s.look.resolve(dirfd, path, true)
}
