package pgserver

import "syscall"

// attr makes a child run as owner (nil: as ourselves) and end when we are killed.
func attr(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGINT}
}
