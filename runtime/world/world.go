//go:build linux

package world

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// worlds makes the worlds of one run.
type worlds struct {
	id, root string
	ownRoot  bool          // root is ours to remove when it is empty
	bare     bool          // without cgroups
	turn     chan struct{} // holds a token while a world of the host's network is open; nil otherwise

	mu   sync.Mutex
	run  *run // open while there are worlds
	open int
	made int
}

// New returns what makes the worlds of one run.
func New(o Options) runtime.Worlds {
	w := &worlds{id: safeName(o.RunID), root: o.Root, bare: o.NoCgroups}
	if o.RunID == "" {
		w.id = newRunID()
	}
	if w.root == "" {
		w.root, w.ownRoot = filepath.Join(os.TempDir(), rootName()), true
	}
	if o.HostNetwork {
		w.turn = make(chan struct{}, 1)
	}
	return w
}

// safeName returns name if it is fit for a file and a cgroup (no dot: the
// kernel's own files in a cgroup have one), else something near it that no
// other name gives.
func safeName(name string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, name)
	if safe == name && name != "" && len(name) <= 40 {
		return name
	}
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("%.31s-%08x", safe, h.Sum32())
}

// Supported makes a world and closes it.
func (w *worlds) Supported() error {
	select {
	case w.turn <- struct{}{}:
	default:
		if w.turn != nil {
			return nil // the world that is open is proof enough
		}
	}
	world, err := w.make("probe")
	if err != nil {
		return err
	}
	return world.Close()
}

// New makes a world.
func (w *worlds) New(ctx context.Context, name string) (runtime.World, error) {
	if w.turn != nil {
		select {
		case w.turn <- struct{}{}:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return w.make(name)
}

// make makes a world; the caller has its turn.
func (w *worlds) make(name string) (runtime.World, error) {
	world := &world{worlds: w}
	if err := world.build(name); err != nil {
		return nil, errors.Join(lacks(err), world.Close())
	}
	return world, nil
}

// lacks turns what went wrong into what this machine lacks, if that is it.
func lacks(err error) error {
	switch {
	case errors.Is(err, errNoCgroup2), errors.Is(err, errNoKill):
		return &runtime.LacksError{What: err.Error()}
	case !errors.Is(err, fs.ErrPermission) && !errors.Is(err, unix.EROFS):
		return err
	case os.Geteuid() != 0:
		return &runtime.LacksError{What: "services run in network namespaces and cgroups of their own, and making those needs root: run `sudo faultbox test …`"}
	}
	return &runtime.LacksError{What: fmt.Sprintf("this root may not make network namespaces and cgroups (%v): in a container, start that with `--privileged --cgroupns=host`", err)}
}

// enter counts a world in, and opens the run for the first.
func (w *worlds) enter() (*run, int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.run == nil {
		r, err := openRun(w.id, w.root, w.bare)
		if err != nil {
			return nil, 0, err
		}
		w.run = r
	}
	w.open++
	w.made++
	return w.run, w.made, nil
}

// leave counts a world out, and closes the run after the last.
func (w *worlds) leave() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open--; w.open > 0 {
		return nil
	}
	r := w.run
	w.run = nil
	defer w.tidy()
	return r.close()
}

// tidy removes the folder of all runs if this was the last.
func (w *worlds) tidy() {
	if w.ownRoot {
		os.Remove(w.root)
	}
}

// world implements runtime.World.
type world struct {
	worlds  *worlds
	entered bool // the run counts us
	dir     string
	cgroup  string
	ns      *os.File

	closing  sync.Once
	closeErr error
}

func (w *world) build(name string) error {
	r, n, err := w.worlds.enter()
	if err != nil {
		return err
	}
	w.entered = true
	name = fmt.Sprintf("%.20s-%d", safeName(name), n)
	cgroup, dir := filepath.Join(r.cgroup, name), filepath.Join(r.dir, name)
	if !w.worlds.bare {
		if err := os.Mkdir(cgroup, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		w.cgroup = cgroup
		if _, err := os.Stat(filepath.Join(cgroup, "cgroup.kill")); errors.Is(err, fs.ErrNotExist) {
			return errNoKill
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	w.dir = dir
	if !w.worlds.bare { // it is every service's TMPDIR, whatever user the service runs as
		if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
			return fmt.Errorf("make temporary folder: %w", err)
		}
	}
	if w.worlds.turn != nil {
		w.ns, err = host.NetNS()
	} else {
		w.ns, err = newNetNS(w.worlds.bare)
	}
	return err
}

func (w *world) Dir() string     { return w.dir }
func (w *world) NetNS() *os.File { return w.ns }

// OnHost reports whether the world's network is the machine's own.
func (w *world) OnHost() bool { return w.worlds.turn != nil }

func (w *world) Cgroup(service string) (string, error) {
	if w.worlds.bare {
		return "", nil
	}
	dir := filepath.Join(w.cgroup, safeName(service))
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make cgroup: %w", err)
	}
	return dir, nil
}

func (w *world) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if w.worlds.turn != nil || strings.HasPrefix(network, "unix") {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	return dialInside(ctx, w.ns, network, address)
}

// Peer returns the interface's port at every address: services of a world
// share a loopback.
func (w *world) Peer(_ *runtime.Service, i *runtime.Interface) netip.AddrPort {
	return netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(i.Port))
}

// Close kills what runs in the world and removes it. It may be called again,
// and on a world that was half made.
func (w *world) Close() error {
	w.closing.Do(func() {
		var errs []error
		if w.cgroup != "" {
			errs = append(errs, killCgroup(w.cgroup))
		}
		if w.dir != "" {
			errs = append(errs, killAdopted(w.dir))
		}
		if w.ns != nil {
			if !w.OnHost() {
				errs = append(errs, unplug(w.ns))
			}
			errs = append(errs, w.ns.Close())
		}
		if w.dir != "" {
			errs = append(errs, os.RemoveAll(w.dir))
		}
		if w.entered {
			errs = append(errs, w.worlds.leave())
		}
		if w.worlds.turn != nil {
			<-w.worlds.turn
		}
		w.closeErr = errors.Join(errs...)
	})
	return w.closeErr
}
