//go:build linux

package process

import (
	"context"
	"syscall"
)

// tree is every process of a service: its first one and all that descend from
// that, those too that left its session or lost their parent.
type tree interface {
	// wait waits for the end of the first process. It is called once.
	wait() (syscall.WaitStatus, error)
	// empty waits until no process is left.
	empty(ctx context.Context) error
	// signal sends a signal to the first process; if that is gone, to all.
	signal(sig syscall.Signal)
	// pause stops all where they are, until thaw is called or faultbox dies.
	pause() (thaw func() error, err error)
	// kill sends SIGKILL to all, so that none sees another die, and waits until
	// they are gone.
	kill(ctx context.Context) error
	// end kills all, waits until they are gone and cleans up.
	end(ctx context.Context) error
	// abort ends a first process that did not become the service.
	abort()
}
