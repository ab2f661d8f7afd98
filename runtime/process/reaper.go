//go:build linux

package process

import (
	"encoding/binary"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A reaper is the parent of a service that has no cgroup. Whatever descends
// from the service and loses its parent becomes the reaper's child
// (PR_SET_CHILD_SUBREAPER), so that none is out of its reach; it buries them
// and ends with the last. If faultbox dies it goes on, and so does the service;
// on SIGTERM it kills all.

// reaperName is the name under which faultbox starts itself as a reaper.
const reaperName = "faultbox-reaper"

const self = "/proc/self/exe"

// Helper does the work of a reaper, and does not return, if this process was
// started as one. Every program that starts services without cgroups calls it
// first thing in main.
func Helper() {
	if os.Args[0] == reaperName {
		os.Exit(reap(os.Args[1:]))
	}
}

// What the reaper is told and tells, each followed by a word.
const (
	cmdStart    = 's'
	cmdSignal   = 't' // the word is the signal
	cmdStop     = 'f'
	cmdContinue = 'c'
	cmdKill     = 'k'

	toldStarted = 'S' // the word is the process
	toldFailed  = 'E' // the word is the errno of execve(2)
	toldEnded   = 'X' // the word is the first process's status
	toldDone    = 'D' // what was asked for
)

func message(what byte, word uint32) []byte {
	return binary.NativeEndian.AppendUint32([]byte{what}, word)
}

// reaper is the reaper's side.
type reaper struct {
	sock int

	mu    sync.Mutex // held while a child is buried
	first int        // 0 once it is buried
}

// reap starts the program: args are the number of descriptors that it gets from
// 3 on, its path and its arguments from the zeroth on.
func reap(args []string) int {
	runtime.LockOSThread()
	n, err := strconv.Atoi(args[0])
	if err != nil || unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return 126
	}
	// What a user namespace gave faultbox is not for services.
	unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	r := &reaper{sock: 3}
	files := []uintptr{0, 1, 2}
	for fd := 3; fd <= 3+n; fd++ {
		unix.CloseOnExec(fd)
		if fd > 3 {
			files = append(files, uintptr(fd))
		}
	}
	if what, _, err := r.receive(); err != nil || what != cmdStart {
		return 126
	}
	r.first, err = syscall.ForkExec(args[1], args[2:], &syscall.ProcAttr{Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{Setsid: true}})
	if err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		r.tell(toldFailed, uint32(errno))
		return 126
	}
	for fd := range 4 + n {
		if fd != r.sock {
			unix.Close(fd)
		}
	}
	r.tell(toldStarted, uint32(r.first))
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE)
	go func() {
		for s := range terminated {
			if s == unix.SIGTERM {
				killAll()
			}
		}
	}()
	go r.obey()
	r.bury()
	return 0
}

// bury waits for children to end until there are none.
func (r *reaper) bury() {
	for {
		var info struct { // siginfo_t of SIGCHLD
			signo, errno, code, _ int32
			pid                   int32
			_                     [108]byte
		}
		switch err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOWAIT, nil); err {
		case nil:
		case unix.EINTR:
			continue
		default: // ECHILD
			return
		}
		var ws unix.WaitStatus
		r.mu.Lock()
		unix.Wait4(int(info.pid), &ws, 0, nil)
		if int(info.pid) == r.first {
			r.first = 0
			r.tell(toldEnded, uint32(ws))
		}
		r.mu.Unlock()
	}
}

// obey does what faultbox says. If that is gone, nothing may stay stopped.
func (r *reaper) obey() {
	for {
		what, word, err := r.receive()
		if err != nil {
			signalAll(unix.SIGCONT)
			return
		}
		switch what {
		case cmdSignal:
			r.signal(unix.Signal(word))
		case cmdStop:
			stopAll()
		case cmdContinue:
			signalAll(unix.SIGCONT)
		case cmdKill:
			killAll()
		}
		r.tell(toldDone, 0)
	}
}

func (r *reaper) signal(sig unix.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.first == 0 {
		signalAll(sig)
		return
	}
	unix.Kill(r.first, sig)
}

func (r *reaper) tell(what byte, word uint32) {
	unix.Sendmsg(r.sock, message(what, word), nil, nil, unix.MSG_NOSIGNAL)
}

func (r *reaper) receive() (what byte, word uint32, err error) { return receive(r.sock) }

func receive(sock int) (what byte, word uint32, err error) {
	var b [5]byte
	for {
		n, err := unix.Read(sock, b[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, 0, err
		case n != len(b):
			return 0, 0, unix.ECONNRESET
		}
		return b[0], binary.NativeEndian.Uint32(b[1:]), nil
	}
}

// killAll kills whatever descends from this process, stopped first so that none
// sees another die, and returns when it is dead.
func killAll() {
	stopAll()
	for len(descendants()) > 0 {
		signalAll(unix.SIGKILL)
		time.Sleep(time.Millisecond)
	}
}

// stopAll stops whatever descends from this process, and returns when it has
// stopped. One in an uninterruptible call stops when that ends.
func stopAll() {
	for range 200 {
		running := false
		for pid, state := range descendants() {
			if state != "T" && state != "t" {
				running = true
				unix.Kill(pid, unix.SIGSTOP)
			}
		}
		if !running {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func signalAll(sig unix.Signal) {
	for pid := range descendants() {
		unix.Kill(pid, sig)
	}
}

// descendants returns the processes below this one that live, and their states
// (proc_pid_stat(5)).
func descendants() map[int]string {
	parents, states := make(map[int]int), make(map[int]string)
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 1 {
			states[pid] = fields[0]
			parents[pid], _ = strconv.Atoi(fields[1])
		}
	}
	below, own := make(map[int]string), os.Getpid()
	for pid, state := range states {
		for p := parents[pid]; p > 1; p = parents[p] {
			if p == own {
				if state != "Z" && state != "X" {
					below[pid] = state
				}
				break
			}
		}
	}
	return below
}
