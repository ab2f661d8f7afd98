//go:build !linux

package process

import (
	"context"
	goruntime "runtime"

	"faultbox/runtime"
)

// Helper does nothing: there are no helpers.
func Helper() {}

type driver struct{}

// New returns a driver that starts nothing: cgroups and namespaces need Linux.
func New(Options) runtime.Driver { return driver{} }

func (driver) Start(context.Context, runtime.World, *runtime.Service, runtime.Gate) (runtime.Instance, error) {
	return nil, &runtime.LacksError{What: "start local programs on " + goruntime.GOOS + ": this needs Linux; on a Mac, run faultbox in the Lima VM (see lima/)"}
}
