//go:build !linux

package docker

import (
	"context"
	goruntime "runtime"

	"faultbox/runtime"
)

// Engine is an engine that cannot be used: its containers' traffic is
// intercepted on Linux only.
type Engine struct{}

// New returns it.
func New(Options) *Engine { return &Engine{} }

// Close does nothing.
func (*Engine) Close() error { return nil }

// Supported says that this is not Linux.
func (*Engine) Supported() error {
	return &runtime.LacksError{What: "run containers on " + goruntime.GOOS + ": their traffic is intercepted on Linux; on a Mac, run faultbox in the Lima VM (see lima/)"}
}

// Worlds returns inner.
func (*Engine) Worlds(inner runtime.Worlds) runtime.Worlds { return inner }

// Members fails.
func (e *Engine) Members(context.Context, string) ([]Member, error) { return nil, e.Supported() }

// WatchProject fails.
func (e *Engine) WatchProject(context.Context, string, []string, func(string)) error {
	return e.Supported()
}

// Start fails.
func (e *Engine) Start(context.Context, runtime.World, *runtime.Service, runtime.Gate) (runtime.Instance, error) {
	return nil, e.Supported()
}
