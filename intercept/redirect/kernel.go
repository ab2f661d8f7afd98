//go:build linux

package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"faultbox/bpf"
)

// kernel is the loaded programs and maps, and the cgroups they are attached to.
type kernel struct {
	objs bpf.RedirectObjects
	stop func() // ends the heartbeat

	mu    sync.Mutex
	hooks map[uint64]*hook // by cgroup id
}

// hook is one cgroup with the programs attached. Attachments of the same
// cgroup share it.
type hook struct {
	cgroup   uint64
	links    []link.Link
	users    map[uint64]*attachment // by network namespace cookie
	bypassed uint64                 // as reported so far
}

func load() (*kernel, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("remove memlock limit: %w", err)
	}
	k := &kernel{hooks: map[uint64]*hook{}}
	if err := bpf.LoadRedirectObjects(&k.objs, nil); err != nil {
		return nil, fmt.Errorf("load programs: %w", err)
	}
	stop, err := k.startHeartbeat()
	if err != nil {
		return nil, errors.Join(err, k.objs.Close())
	}
	k.stop = stop
	return k, nil
}

func (k *kernel) close() error {
	k.mu.Lock()
	n := len(k.hooks)
	k.mu.Unlock()
	if n > 0 {
		return fmt.Errorf("unload programs: %d cgroups are still attached", n)
	}
	k.stop()
	return k.objs.Close()
}

// join makes a a user of its cgroup's hook and attaches the programs if it is
// the first. leave undoes it.
func (k *kernel) join(path string, a *attachment) error {
	id, err := cgroupID(path)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.hooks[id]
	if h == nil {
		if h, err = k.attach(path, id); err != nil {
			return err
		}
		k.hooks[id] = h
	}
	if other := h.users[a.netns]; other != nil {
		return fmt.Errorf("cgroup %s: %s is attached here already", path, other.name)
	}
	h.users[a.netns] = a
	a.cgroup = id
	return nil
}

func (k *kernel) leave(a *attachment) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.hooks[a.cgroup]
	delete(h.users, a.netns)
	if len(h.users) > 0 {
		return nil
	}
	delete(k.hooks, a.cgroup)
	return h.detach()
}

func (k *kernel) attach(path string, id uint64) (*hook, error) {
	h := &hook{cgroup: id, users: map[uint64]*attachment{}}
	for _, p := range []struct {
		at   ebpf.AttachType
		prog *ebpf.Program
	}{ // connects last: what they rely on is then in place
		{ebpf.AttachCGroupSockOps, k.objs.Connecting},
		{ebpf.AttachCgroupInet4GetPeername, k.objs.Getpeername4},
		{ebpf.AttachCgroupInet6GetPeername, k.objs.Getpeername6},
		{ebpf.AttachCgroupInet4GetSockname, k.objs.Getsockname4},
		{ebpf.AttachCgroupInet6GetSockname, k.objs.Getsockname6},
		{ebpf.AttachCGroupUDP4Recvmsg, k.objs.Recvmsg4},
		{ebpf.AttachCGroupUDP6Recvmsg, k.objs.Recvmsg6},
		{ebpf.AttachCGroupUDP4Sendmsg, k.objs.Sendmsg4},
		{ebpf.AttachCGroupUDP6Sendmsg, k.objs.Sendmsg6},
		{ebpf.AttachCGroupInet4Connect, k.objs.Connect4},
		{ebpf.AttachCGroupInet6Connect, k.objs.Connect6},
	} {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: path, Attach: p.at, Program: p.prog})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("attach %s to cgroup %s: %w", p.at, path, err), h.detach())
		}
		h.links = append(h.links, l)
	}
	// The storage comes to life with the first link, and has to be told whose it is.
	if err := k.objs.Services.Put(id, bpf.RedirectService{Cgroup: id}); err != nil {
		return nil, errors.Join(fmt.Errorf("name cgroup %s: %w", path, err), h.detach())
	}
	return h, nil
}

func (h *hook) detach() error {
	var errs []error
	for _, l := range h.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// meant returns where the connection that the door's listener sees coming from
// source wanted to go, and whether the client chose the source.
func (k *kernel) meant(d *door, source netip.AddrPort) (to netip.AddrPort, bound bool, err error) {
	var s bpf.RedirectSocket
	err = k.objs.Connections.Lookup(bpf.RedirectSource{Netns: d.netns, Addr: endpoint(source), Listener: bigEndian(d.port)}, &s)
	return addrPort(s.Meant), s.Bound != 0, err
}

// exempt marks a socket as ours: its connections are never redirected.
func (k *kernel) exempt(fd uintptr) error {
	if err := k.objs.Sockets.Put(int32(fd), bpf.RedirectSocket{Own: 1}); err != nil {
		return fmt.Errorf("mark own socket: %w", err)
	}
	return nil
}

// cgroupID returns the id that the kernel knows a cgroup2 directory by.
func cgroupID(path string) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return 0, &os.PathError{Op: "open cgroup", Path: path, Err: err}
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return 0, fmt.Errorf("open cgroup %s: not a cgroup2 directory", path)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "open cgroup", Path: path, Err: err}
	}
	return st.Ino, nil
}
