//go:build !linux

package network

import (
	"github.com/cilium/ebpf"

	"faultbox/intercept"
	"faultbox/runtime"
)

// Impairer implements runtime.Network, on Linux only.
type Impairer struct{}

// New returns an Impairer that can do nothing here.
func New(func() (*ebpf.Map, error)) *Impairer { return &Impairer{} }

// Close does nothing.
func (*Impairer) Close() error { return nil }

// Impair says what is lacking.
func (*Impairer) Impair(runtime.World, *runtime.Service, []*runtime.Service, intercept.Fault, float64, uint64) (runtime.Impairment, error) {
	return nil, &runtime.LacksError{What: "impairing the network needs Linux"}
}
