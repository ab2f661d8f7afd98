package main

import (
	"os"
	"os/signal"
	"unsafe"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of orphans below it, and buries
// them, until stop is called: hosts with ptrace_scope=1 (Yama) let a process
// read the arguments of calls of its descendants only. child is waited for by
// somebody else.
func adoptOrphans(child int) (stop func()) {
	if unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != nil {
		return func() {}
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	go func() {
		for range ended {
			for pid := deadChild(); pid > 0 && pid != child; pid = deadChild() {
				unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
	}()
	return func() {
		signal.Stop(ended)
		close(ended)
	}
}

// deadChild returns a child that has ended and was not waited for, 0 if there is none.
func deadChild() int {
	var info struct { // siginfo_t of SIGCHLD
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	if unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) != nil {
		return 0
	}
	return int(info.pid)
}
