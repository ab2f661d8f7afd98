//go:build !linux

package pgserver

import "syscall"

// attr makes a child run as owner (nil: as ourselves).
func attr(owner *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: owner}
}
