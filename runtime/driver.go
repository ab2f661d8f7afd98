package runtime

import (
	"context"
	"net"
	"net/netip"
	"os"

	"faultbox/intercept"
)

// World is the place in which one test happens: its own network, cgroups and
// folder. Close kills what still runs in it and leaves nothing behind.
type World interface {
	// Dir is the world's temporary folder.
	Dir() string
	// NetNS is the network namespace that local services share. Owned by the world.
	NetNS() *os.File
	// Cgroup returns the cgroup2 directory of a service, making it if needed.
	Cgroup(service string) (string, error)
	// Dial connects from inside the world, around all interception.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Peer returns where services of the world reach an interface. An
	// unspecified IP means every address with that port.
	Peer(s *Service, i *Interface) netip.AddrPort
	Close() error
}

// Worlds makes worlds.
type Worlds interface {
	// Supported returns nil, or an error that says what this machine lacks and
	// what to do about it.
	Supported() error
	// New makes a world. name is short, for people; it need not be unique.
	New(ctx context.Context, name string) (World, error)
	// Sweep removes what a killed run left behind. It never touches a run that lives.
	Sweep() error
}

// Gate is called by a driver when a service's cgroup and namespace exist and
// before its first instruction runs; the driver fills Cgroup, NetNS and Exec,
// and executes what the gate has made of Exec.
type Gate func(intercept.Target) error

// Driver starts services of one source.
type Driver interface {
	// Start starts s in w and returns once it runs (not once it is ready). It
	// calls gate exactly once. Its error says what to do.
	Start(ctx context.Context, w World, s *Service, gate Gate) (Instance, error)
}

// Instance is a service that was started.
type Instance interface {
	// Exited is closed when the service has ended; Err then says how.
	Exited() <-chan struct{}
	Err() error
	// Tail returns the last n lines that it wrote, oldest first.
	Tail(n int) []string
	// Lines has fn called for every line of the streams that the service's
	// Observe names, from the first on, from one goroutine; the last call
	// returns before Exited is closed. It is called once at most, after Start.
	Lines(fn func(stream, line string))
	// Stop ends it politely (SIGTERM), then for certain. It returns when all of
	// its processes are gone.
	Stop(ctx context.Context) error
	// Dial connects from the service's own network namespace.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Checker is an Instance that knows by itself how to tell whether it is healthy.
type Checker interface {
	Check(ctx context.Context) error
}
