//go:build !linux

package world

import (
	"context"
	goruntime "runtime"

	"faultbox/runtime"
)

type worlds struct{}

// New returns worlds that cannot be made: they need Linux.
func New(Options) runtime.Worlds { return worlds{} }

func (worlds) Supported() error {
	return &runtime.LacksError{What: "run services on " + goruntime.GOOS + ": this needs Linux; on a Mac, run faultbox in the Lima VM (see lima/)"}
}

func (w worlds) New(context.Context, string) (runtime.World, error) { return nil, w.Supported() }

func (worlds) Sweep() error { return nil }
