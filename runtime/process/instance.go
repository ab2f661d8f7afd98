//go:build linux

package process

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/runtime"
)

// killTimeout bounds the death of processes that were sent SIGKILL.
const killTimeout = 10 * time.Second

// instance implements runtime.Instance.
type instance struct {
	world runtime.World
	grace time.Duration
	tree  tree
	logs  *logs

	exited chan struct{}
	err    error // valid once exited is closed
}

// wait reaps the first process and tells how the service ended.
func (i *instance) wait() {
	ws, err := i.tree.wait()
	switch {
	case err != nil:
		i.err = fmt.Errorf("wait for process: %w", err)
	case ws.Exited() && ws.ExitStatus() == 0:
		// A daemon goes on without its first process, until it is killed.
		i.err = i.tree.empty(context.Background())
	default:
		i.err = ending(ws)
	}
	i.logs.end()
	close(i.exited)
}

// ending puts a wait status in words.
func ending(ws syscall.WaitStatus) error {
	if !ws.Signaled() {
		return fmt.Errorf("exit code %d", ws.ExitStatus())
	}
	name := unix.SignalName(ws.Signal())
	if name == "" {
		name = fmt.Sprintf("signal %d", ws.Signal())
	}
	if ws.CoreDump() {
		name += " (core dumped)"
	}
	return fmt.Errorf("killed by %s", name)
}

func (i *instance) Exited() <-chan struct{} { return i.exited }

// Err says how the service ended: nil for exit code 0 and while it runs.
func (i *instance) Err() error {
	select {
	case <-i.exited:
		return i.err
	default:
		return nil
	}
}

func (i *instance) Tail(n int) []string { return i.logs.tail(n) }

// Lines has fn called for every line of the streams that the service's
// Observe names, from the first on, in order, from one goroutine; the last
// call returns before Exited is closed. It is called once, after Start.
func (i *instance) Lines(fn func(stream, line string)) { i.logs.follow(fn) }

func (i *instance) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return i.world.Dial(ctx, network, address)
}

// Stop sends SIGTERM to the first process (to all of them, if a daemon's first
// is gone), waits for the grace period or until ctx ends, and then kills every
// process of the service and cleans up. It may be called again.
func (i *instance) Stop(ctx context.Context) error {
	i.tree.signal(syscall.SIGTERM)
	grace := time.NewTimer(i.grace)
	defer grace.Stop()
	select {
	case <-i.exited:
	case <-grace.C:
	case <-ctx.Done():
	}
	// Not bounded by ctx: what was killed goes at once, unless it is stuck.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	if err := i.tree.end(ctx); err != nil {
		return fmt.Errorf("stop service: %w", err)
	}
	<-i.exited
	return nil
}
