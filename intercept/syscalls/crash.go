//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// follow keeps the journal: called for each call that is decided on, before it
// happens.
func (s *supervisor) follow(n *notification, name string) {
	if !slices.Contains(changes, name) {
		return
	}
	lies := s.handler.LiesAbout(&s.ev, &s.item)
	if !lies && s.journal.empty() {
		return
	}
	k := &looker{tid: n.tid}
	c, ok := s.changeOf(k, n, name)
	if !ok || !s.l.valid(n.id) {
		return
	}
	if err := s.journal.keep(k, c, s.ev.Key, lies); err != nil {
		s.note(err.Error())
	}
}

// settle tells the journal of a call that syncs for real. key is the file's path,
// if the call has one.
func (s *supervisor) settle(n *notification, name, key string) {
	if s.journal.empty() || !slices.Contains(syncings, name) {
		return
	}
	k := &looker{tid: n.tid}
	var err error
	switch name {
	case "fsync", "fdatasync":
		err = s.journal.synced(k, "fd/"+strconv.Itoa(int(int32(n.args[0]))))
	case "sync", "syncfs":
		err = s.journal.synced(k, "")
	case "msync":
		err = s.journal.synced(k, "root"+key)
	}
	if err != nil {
		s.note(err.Error())
	}
}

func (s *supervisor) note(text string) {
	s.handler.Done(intercept.Event{Kind: intercept.Note, From: s.name, To: s.name, Proto: intercept.Syscalls.Name, Note: text})
}

// crashTimeout bounds the death of processes that were sent SIGKILL.
const crashTimeout = 10 * time.Second

// Crash kills every process of the service at once, as a power cut would, and
// takes back what they wrote to files that they were lied to about.
func (a *attachment) Crash() error {
	s := a.supervisor.Load()
	if s == nil {
		return nil
	}
	return s.crash()
}

func (s *supervisor) crash() error {
	if err := s.killAll(); err != nil {
		return err
	}
	lost, err := s.journal.rollBack()
	if len(lost) > 0 {
		s.note("crashed: lost what was written since it was last really synced to " + strings.Join(lost, ", "))
	}
	return err
}

// killAll kills the processes of the service so that none outlives another long
// enough to see it.
func (s *supervisor) killAll() error {
	freeze := func(on string) {
		if s.cgroup != "" {
			os.WriteFile(filepath.Join(s.cgroup, "cgroup.freeze"), []byte(on), 0)
		}
	}
	freeze("1")
	defer freeze("0")
	for begin := time.Now(); time.Since(begin) < crashTimeout; time.Sleep(time.Millisecond) {
		pids := s.processes()
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
		}
		freeze("0") // what is frozen dies when it is thawed, on some kernels
	}
	return fmt.Errorf("kill the processes of %s: they do not die", s.name)
}

// processes lists the processes of the service that live: those in its cgroup,
// or, where it has none, its first process and what descends from that or from
// this process by way of orphans.
func (s *supervisor) processes() (pids []int) {
	if s.cgroup != "" {
		filepath.WalkDir(s.cgroup, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				text, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
				for _, field := range strings.Fields(string(text)) {
					if pid, err := strconv.Atoi(field); err == nil && pid > 0 && !dead(pid) {
						pids = append(pids, pid)
					}
				}
			}
			return nil
		})
		return pids
	}
	parents := make(map[int]int)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			if parent, state := parentOf(pid); state != "Z" && state != "X" {
				parents[pid] = parent
			}
		}
	}
	first, reaper := int(s.first.Load()), int(s.reaper.Load())
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if p == first || p != pid && p == reaper {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

// findReaper notes who keeps together the processes of a service without a cgroup.
func (s *supervisor) findReaper() {
	if s.cgroup != "" {
		return
	}
	if parent, _ := parentOf(int(s.first.Load())); parent > 1 && parent != os.Getpid() {
		s.reaper.Store(int64(parent))
	}
}

func dead(pid int) bool {
	_, state := parentOf(pid)
	return state == "" || state == "Z" || state == "X"
}

// parentOf reads a process's parent and state (proc_pid_stat(5)).
func parentOf(pid int) (parent int, state string) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return 0, ""
	}
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[0]
}

// kill ends the process that makes the call, which never happens. One that was
// lied to goes down with its whole service, and what it wrote is lost.
func (s *supervisor) kill(v *verdict) {
	if !s.l.valid(v.n.id) {
		s.conclude(v, response{flags: proceed}, intercept.Broken)
		return
	}
	if s.journal.empty() {
		if err := unix.Kill(int(v.n.tid), unix.SIGKILL); err != nil {
			s.conclude(v, response{flags: proceed}, intercept.Untouched)
			return
		}
		s.killed(v)
		return
	}
	s.beside(v, func() {
		if err := s.crash(); err != nil {
			s.note(err.Error())
		}
		s.killed(v)
	})
}

func (s *supervisor) killed(v *verdict) {
	s.arena.drop(v.slot)
	v.slot = -1
	s.ended(v)
	s.tell(v, intercept.Killed)
}
