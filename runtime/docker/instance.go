//go:build linux

package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"
	"golang.org/x/sys/unix"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// grace is how long a container may take to end after its stop signal.
const grace = 5 * time.Second

// instance is a container that was started. It implements runtime.Instance.
type instance struct {
	cli     *client.Client
	world   *world
	service *runtime.Service
	id      string
	foreign bool      // it was there before, and stays
	since   time.Time // of its lines; zero: from the first on
	tty     bool      // they come as a terminal shows them

	pid   int
	pidfd *os.File // of its first process
	ns    *os.File // its network namespace

	exited chan struct{}
	err    error       // valid once exited is closed
	killed atomic.Bool // by Kill

	mu      sync.Mutex
	last    []string // lines, once the container is removed
	gone    bool
	asked   chan struct{} // closed when somebody reads its lines, or no longer may
	reading chan struct{} // closed when the last line was read; nil: nobody reads
	hangUp  func()        // ends the reading
}

// watch takes hold of the container's first process and namespace.
func (i *instance) watch(pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch the container's process: %w", err)
	}
	i.pid, i.pidfd = pid, os.NewFile(uintptr(fd), "pidfd")
	if i.ns, err = os.Open(fmt.Sprintf("/proc/%d/ns/net", pid)); err != nil {
		return fmt.Errorf("enter the container's network namespace: %w", err)
	}
	go i.wait()
	return nil
}

// wait tells how the container ended. A pidfd becomes readable at the end of
// its process, pidfd_open(2).
func (i *instance) wait() {
	raw, err := i.pidfd.SyscallConn()
	if err == nil {
		err = raw.Read(dead)
	}
	if err == nil {
		i.err = i.ending()
	} else if !errors.Is(err, os.ErrClosed) {
		i.err = fmt.Errorf("wait for container: %w", err)
	}
	if len(i.service.Observe) > 0 {
		i.awaitLines()
	}
	close(i.exited)
}

func dead(pidfd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, 0)
	return n > 0
}

// ending asks the engine how the container ended.
func (i *instance) ending() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	for {
		c, err := i.cli.ContainerInspect(ctx, i.id)
		switch {
		case err != nil:
			return fmt.Errorf("its process ended, and how is not known: %w", stopped(err))
		case c.State.Running && pause(ctx, 5*time.Millisecond): // the engine has not noticed yet
			continue
		case c.State.OOMKilled:
			return errors.New("killed: it used more memory than it may")
		case c.State.ExitCode > 128 && c.State.ExitCode < 128+65:
			return fmt.Errorf("exit code %d (%s)", c.State.ExitCode, unix.SignalName(unix.Signal(c.State.ExitCode-128)))
		case c.State.ExitCode != 0:
			return fmt.Errorf("exit code %d", c.State.ExitCode)
		}
		return nil
	}
}

func (i *instance) Exited() <-chan struct{} { return i.exited }

// Err says how the container ended: nil for exit code 0 and while it runs.
func (i *instance) Err() error {
	select {
	case <-i.exited:
		return i.err
	default:
		return nil
	}
}

// Dial connects from the container's network namespace. localhost is
// 127.0.0.1, then ::1; a name is a service's.
func (i *instance) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	name, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	hosts := []string{name}
	if name == "localhost" || name == "" {
		hosts = []string{"127.0.0.1", "::1"}
	} else if ip, ok := i.world.addrs[name]; ok {
		hosts = []string{ip.String()}
	}
	return host.Dial(ctx, i.ns, network, hosts, port)
}

// Stop sends the image's stop signal, waits for the grace period or until ctx
// ends, kills, and removes the container. A process that is deaf to the signal
// is killed at once. A foreign container is left alone. It may be called again.
func (i *instance) Stop(ctx context.Context) error {
	i.mu.Lock()
	gone := i.gone
	i.mu.Unlock()
	if gone {
		return nil
	}
	select {
	case <-i.exited:
	default:
		if !i.foreign {
			i.end(ctx)
		}
	}
	last := i.tail(100)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	if err := i.abandon(ctx); err != nil {
		return err
	}
	if i.foreign && i.killed.Load() {
		if err := i.revive(); err != nil {
			return err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.last, i.gone = last, true
	return nil
}

// end asks the container to end, and then has it killed.
func (i *instance) end(ctx context.Context) {
	i.ask(ctx)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
	defer cancel()
	select {
	case <-i.exited:
		return
	default:
	}
	if i.cli.ContainerKill(ctx, i.id, "SIGKILL") != nil {
		return // removing it kills it too
	}
	select {
	case <-i.exited:
	case <-ctx.Done():
	}
}

// ask sends the stop signal and waits.
func (i *instance) ask(ctx context.Context) {
	c, err := i.cli.ContainerInspect(ctx, i.id)
	if err != nil {
		return
	}
	signal := c.Config.StopSignal
	if signal == "" {
		signal = "SIGTERM"
	}
	if !hears(i.pid, signal) || i.cli.ContainerKill(ctx, i.id, signal) != nil {
		return
	}
	select {
	case <-i.exited:
	case <-time.After(grace):
	case <-ctx.Done():
	}
}

// hears reports whether a process has a handler for a signal. The first
// process of a PID namespace is deaf to others: pid_namespaces(7).
func hears(pid int, signal string) bool {
	number := unix.SignalNum(signal)
	if n, err := strconv.Atoi(signal); err == nil {
		number = unix.Signal(n)
	} else if number == 0 {
		number = unix.SignalNum("SIG" + signal)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || number <= 0 {
		return true
	}
	for line := range bytes.Lines(status) {
		if mask, ok := strings.CutPrefix(string(bytes.TrimSpace(line)), "SigCgt:"); ok {
			caught, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err != nil || caught&(1<<(number-1)) != 0
		}
	}
	return true
}

// abandon removes the container, unless it is foreign, and lets go of what
// belonged to it.
func (i *instance) abandon(ctx context.Context) (err error) {
	if !i.foreign {
		err = removeContainer(ctx, i.cli, i.id)
	}
	if i.pidfd == nil {
		return err
	}
	if err == nil && !i.foreign {
		<-i.exited
	}
	i.letGo()
	return err
}

func (i *instance) letGo() {
	i.unfollow()
	i.pidfd.Close()
	if i.ns != nil {
		i.ns.Close()
	}
}
