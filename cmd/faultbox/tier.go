package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"faultbox/cmd/faultbox/vm"
	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/intercept/redirect"
	"faultbox/runtime"
	"faultbox/runtime/network"
)

// tier is what this process can do to keep services apart and to get in their
// way.
type tier int

const (
	// asRoot: cgroups, network namespaces, programs in the kernel.
	asRoot tier = iota
	// inNamespace: a user namespace gives each test a network of its own;
	// connections are led to the proxy at connect(2).
	inNamespace
	// onHost: the same on the machine's own network, one test at a time.
	onHost
)

// means is what there is to choose a tier by.
type means struct {
	root   bool  // may do everything to the machine
	inside bool  // may make network namespaces, in a user namespace
	host   bool  // the machine's own network is asked for
	userNS error // why no user namespace can be made; nil: one can
}

// choose returns the tier that keeps services apart best.
func choose(m means) tier {
	switch {
	case m.root:
		return asRoot
	case m.host:
		return onHost
	case m.inside, m.userNS == nil:
		return inNamespace
	}
	return onHost
}

// needsRoot is what the other tiers lack.
const needsRoot = "partition, loss, bandwidth, UDP faults, containers, running systems, user="

// describe says for the report how the tests run, and why not better; "" for
// root, where nothing is lacking.
func (t tier) describe(why error) string {
	switch {
	case t == inNamespace:
		return "without root, in a user namespace"
	case t == onHost && why != nil:
		return fmt.Sprintf("without root, on the machine's own network, one test at a time, as user namespaces are forbidden: %s", why)
	case t == onHost:
		return "without root, on the machine's own network, one test at a time"
	}
	return ""
}

// lacks says for the report what is not available.
func (t tier) lacks() string {
	if t == asRoot {
		return ""
	}
	return needsRoot
}

// settle chooses the tier. If that takes a user namespace, all happens in there,
// and the error is the exit code.
func (f *testFlags) settle() error {
	m := look(f.network == "host")
	f.tier = choose(m)
	switch {
	case f.tier == inNamespace && !m.inside:
		return enterNamespace()
	case f.tier == inNamespace:
		return settleIn()
	case f.tier == onHost:
		f.network, f.why = "host", m.userNS
	}
	if f.network == "host" {
		f.jobs = 1 // there is one such network
	}
	return nil
}

// parts are what a tier gets in the way with.
type parts struct {
	interceptor intercept.Interceptor
	network     runtime.Network
	close       func() error
}

// parts makes the parts of a tier. as is the command that does all as root.
func (t tier) parts(terminate *proxy.TLS, as string) (*parts, error) {
	if t != asRoot {
		i := redirect.NewByCall()
		i.TLS = terminate
		return &parts{i, unavailable{as}, i.Close}, i.Supported()
	}
	i := redirect.New()
	i.TLS = terminate
	n := network.New(i.Sockets)
	return &parts{i, n, func() error { return errors.Join(n.Close(), i.Close()) }}, i.Supported()
}

// unavailable stands in for what needs root. as is the command that would do it.
type unavailable struct{ as string }

func (u unavailable) lack(what string) error {
	return &runtime.LacksError{What: fmt.Sprintf("%s needs root: run `%s`", what, u.as)}
}

// Start implements runtime.Driver, for containers.
func (u unavailable) Start(_ context.Context, _ runtime.World, s *runtime.Service, _ runtime.Gate) (runtime.Instance, error) {
	return nil, u.lack("intercepting what containers do (service " + s.Name + ")")
}

// Impair implements runtime.Network.
func (u unavailable) Impair(_ runtime.World, from *runtime.Service, _ []*runtime.Service, _ intercept.Fault, _ float64, _ uint64) (runtime.Impairment, error) {
	return nil, u.lack("dropping or holding back the packets of " + from.Name)
}

// asUs makes the command for root one for the tier. Who is outside the VM that
// this is in needs no root there.
func (t tier) asUs(command string) string {
	if t == asRoot && os.Getenv(vm.Inside) == "" {
		return command
	}
	return strings.TrimPrefix(command, "sudo ")
}
