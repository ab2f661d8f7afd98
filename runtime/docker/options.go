package docker

import (
	"io"
	"net/netip"
	"os"

	"faultbox/runtime"
)

// Options says what containers a run needs and what it shares with its worlds.
type Options struct {
	// RunID tells this run from others on the machine; Live reports whether the
	// run of that id is still on.
	RunID string
	Live  func(runID string) bool
	// Services are all services of the spec, local ones too.
	Services []*runtime.Service
	// Join makes a network namespace a host of a bridge network.
	Join func(ns *os.File, bridge string, address netip.Prefix, gateway netip.Addr) error
	// HostNetwork: local services and steps are in the machine's own namespace.
	HostNetwork bool
	// Program is what is put into containers as their gate; "": this program. It
	// is linked statically and imports package shim.
	Program string
	// Progress takes lines about what takes long: pulls and builds. nil: none.
	Progress io.Writer
}

// Labels of everything that is made.
const (
	labelRun     = "faultbox.run"
	labelWorld   = "faultbox.world"
	labelService = "faultbox.service"
	labelBuild   = "faultbox.build"
)
