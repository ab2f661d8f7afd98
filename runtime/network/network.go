//go:build linux

package network

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"faultbox/bpf"
	"faultbox/intercept"
	"faultbox/runtime"
)

// Impairer implements runtime.Network. It is safe for concurrent use.
type Impairer struct {
	// Sockets returns the map of redirected sockets, which know where they meant
	// to go.
	Sockets func() (*ebpf.Map, error)

	mu    sync.Mutex
	objs  *bpf.NetworkObjects // loaded by the first impairment
	hooks map[string]*hook    // by the cgroup of a world
	free  uint64              // impairments that are not in use, a bit each
}

// hook is the programs on a world's cgroup.
type hook struct {
	links []link.Link
	users int
}

// New returns an Impairer. It costs nothing before it is used.
func New(sockets func() (*ebpf.Map, error)) *Impairer {
	return &Impairer{Sockets: sockets, hooks: make(map[string]*hook), free: math.MaxUint64}
}

// Close unloads the programs.
func (n *Impairer) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.objs == nil {
		return nil
	}
	err := n.objs.Close()
	n.objs = nil
	return err
}

// load loads the programs. n.mu is held.
func (n *Impairer) load() error {
	if n.objs != nil {
		return nil
	}
	sockets, err := n.Sockets()
	if err != nil {
		return err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return fmt.Errorf("remove memlock limit: %w", err)
	}
	spec, err := bpf.LoadNetwork()
	if err != nil {
		return err
	}
	spec.Maps[bpf.NetworkMapSockets].ValueSize = sockets.ValueSize()
	objs := &bpf.NetworkObjects{}
	err = spec.LoadAndAssign(objs, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{bpf.NetworkMapSockets: sockets}})
	if err != nil {
		return fmt.Errorf("load programs: %w", err)
	}
	n.objs = objs
	return nil
}

// Impair implements runtime.Network.
func (n *Impairer) Impair(w runtime.World, from *runtime.Service, to []*runtime.Service, f intercept.Fault, prob float64, seed uint64) (runtime.Impairment, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.load(); err != nil {
		return nil, fmt.Errorf("impair the network: %w", err)
	}
	if n.free == 0 {
		return nil, errors.New("impair the network: 64 impairments are in force already; more are not possible at once")
	}
	i := &impairment{n: n, world: w, from: from, to: to, index: uint32(bits.TrailingZeros64(n.free))}
	if err := n.objs.Impairments.Put(i.index, state(f, prob, seed)); err != nil {
		return nil, fmt.Errorf("impair the network: %w", err)
	}
	n.free &^= 1 << i.index
	if err := i.enter(); err != nil {
		return nil, errors.Join(fmt.Errorf("impair the network: %w", err), i.lift())
	}
	return i, nil
}

// minBurst is how much passes at once whatever the rate: less than a packet of
// the loopback, which may run into debt.
const minBurst = 4 << 10

// state is an impairment as the programs know it.
func state(f intercept.Fault, prob float64, seed uint64) *bpf.NetworkImpairment {
	s := &bpf.NetworkImpairment{Seed: seed}
	if f.Do == intercept.Lose {
		s.Share = uint64(prob * (1 << 32))
	}
	if f.Rate > 0 {
		s.Rate = max(f.Rate/8, 1)
		s.Burst = max(s.Rate/20, minBurst) // 50 ms
		s.Tokens = int64(s.Burst)
	}
	return s
}

// impairment implements runtime.Impairment.
type impairment struct {
	n     *Impairer
	world runtime.World
	from  *runtime.Service
	to    []*runtime.Service
	index uint32

	base  string // cgroup of the world, once hooked
	flows []bpf.NetworkFlow
}

// Struck is how many packets vanished.
func (i *impairment) Struck() uint64 {
	i.n.mu.Lock()
	defer i.n.mu.Unlock()
	var s bpf.NetworkImpairment
	if i.n.objs == nil || i.n.objs.Impairments.Lookup(i.index, &s) != nil {
		return 0
	}
	return s.Struck
}

// Refresh finds the services again after one was started anew.
func (i *impairment) Refresh() error {
	i.n.mu.Lock()
	defer i.n.mu.Unlock()
	return errors.Join(i.leave(), i.enter())
}

// Lift takes the impairment out of force.
func (i *impairment) Lift() error {
	i.n.mu.Lock()
	defer i.n.mu.Unlock()
	return i.lift()
}

func (i *impairment) lift() error {
	err := i.leave()
	if h := i.n.hooks[i.base]; h != nil {
		if h.users--; h.users == 0 {
			for _, l := range h.links {
				err = errors.Join(err, l.Close())
			}
			delete(i.n.hooks, i.base)
		}
	}
	i.n.free |= 1 << i.index
	return err
}

// add sets the impairment's bit in a flow. n.mu is held.
func (i *impairment) add(f bpf.NetworkFlow) error {
	var mask uint64
	i.n.objs.Flows.Lookup(f, &mask)
	if err := i.n.objs.Flows.Put(f, mask|1<<i.index); err != nil {
		return fmt.Errorf("name packets to impair: %w", err)
	}
	i.flows = append(i.flows, f)
	return nil
}

// leave clears the bit again.
func (i *impairment) leave() (err error) {
	for _, f := range i.flows {
		var mask uint64
		if i.n.objs.Flows.Lookup(f, &mask) != nil {
			continue
		}
		if mask &^= 1 << i.index; mask == 0 {
			err = errors.Join(err, i.n.objs.Flows.Delete(f))
		} else {
			err = errors.Join(err, i.n.objs.Flows.Put(f, mask))
		}
	}
	i.flows = nil
	return err
}

func (i *impairment) hook(base string) error {
	h := i.n.hooks[base]
	if h == nil {
		h = &hook{}
		for _, p := range []struct {
			prog   *ebpf.Program
			attach ebpf.AttachType
		}{{i.n.objs.Leave, ebpf.AttachCGroupInetEgress}, {i.n.objs.Arrive, ebpf.AttachCGroupInetIngress}} {
			l, err := link.AttachCgroup(link.CgroupOptions{Path: base, Attach: p.attach, Program: p.prog})
			if err != nil {
				for _, l := range h.links {
					l.Close()
				}
				return fmt.Errorf("attach program to %s: %w", base, err)
			}
			h.links = append(h.links, l)
		}
		i.n.hooks[base] = h
	}
	h.users++
	i.base = base
	return nil
}
