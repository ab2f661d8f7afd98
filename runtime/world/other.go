//go:build !linux

package world

import (
	"context"
	"crypto/rand"
	"net/netip"
	"os"
	goruntime "runtime"
	"strings"

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

// Live returns false: there are no runs.
func Live(string) bool { return false }

// NewRunID makes up a name that no other run has.
func NewRunID() string { return strings.ToLower(rand.Text()[:10]) }

// Join fails.
func Join(*os.File, string, netip.Prefix, netip.Addr) error { return worlds{}.Supported() }
