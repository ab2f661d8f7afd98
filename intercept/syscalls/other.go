//go:build !linux

package syscalls

import (
	"context"

	"faultbox/intercept"
)

// Interceptor watches system calls, on Linux only.
type Interceptor struct{ Deny map[string]int }

var errLinux = &intercept.LacksError{What: "faults of system calls need Linux"}

// New returns an interceptor that can do nothing here.
func New() *Interceptor { return &Interceptor{} }

func (*Interceptor) Supported() error { return errLinux }
func (*Interceptor) Close() error     { return nil }
func (*Interceptor) Attach(context.Context, intercept.Target, intercept.Handler) (intercept.Attachment, error) {
	return nil, errLinux
}

// Helper does nothing here.
func Helper() {}
