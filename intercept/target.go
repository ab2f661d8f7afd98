package intercept

import (
	"context"
	"io"
	"net/netip"
	"os"
	"syscall"

	"faultbox/protocols"
)

// Peer is an interface of another service, as a target reaches it.
type Peer struct {
	To, Interface string
	Protocol      *protocols.Protocol
	// Addr is what the target connects to. An unspecified IP means every
	// address of the target's network namespace with that port.
	Addr netip.AddrPort
	TLS  bool // speaks TLS from the first byte
	// NetNS is the network namespace that the interface is served in, open
	// during Attach and Update; nil: the target's own, or one that is not known.
	NetNS *os.File
}

// Target is a service whose traffic is to be intercepted.
type Target struct {
	Name   string
	Cgroup string   // its cgroup2 directory
	NetNS  *os.File // its network namespace; owned by the caller, open while attached
	Peers  []Peer   // the edges that a rule or a trace names; others are left alone

	Calls []string // the system calls and families to watch; none: no call is
	Known []Peer   // every interface that the target may reach, to name sockets by
	Exec  *Exec    // what the driver is about to execute; nil if it cannot tell

	// Running: it was there before. Connections that it has to its peers are
	// broken off, so that it makes them anew.
	Running bool
}

// Exec is a program about to be executed. An interceptor may put a program of
// its own in front of it.
type Exec struct {
	Path string
	Argv []string
	// Files are the descriptors from 3 on. The driver closes its copies once
	// the program is started.
	Files []*os.File
	// Outputs are the paths of files that its standard output and error go to, if
	// faultbox reads them there: to the program they are no files of its own.
	Outputs []string
	// Started, if any, is called once after the start. It waits until the
	// program itself executes; its error wraps the errno of execve(2) otherwise.
	Started func() error
	// Connections, if any, is asked about every connect(2) of the program and of
	// what it starts. It is for whoever watches the program's system calls.
	Connections Connections
}

// Connections leads connections elsewhere at the call that makes them. Its
// methods may be called by many goroutines at once.
type Connections interface {
	// Concerns reports whether a connection to that address is to be led elsewhere.
	Concerns(to netip.AddrPort) bool
	// Connect connects a socket of the program, lent for the time of the call, in
	// the place of its own call and with the same errno. It waits if that would.
	// False: nothing was done, and the call is to happen as it is.
	Connect(socket int, to netip.AddrPort) (errno syscall.Errno, ok bool)
	// Peer returns whom the program connected a socket to that was led elsewhere.
	Peer(socket int) (to netip.AddrPort, ok bool)
	// Missed says that a connection went its own way, since the kernel does not
	// let its maker be looked into. to is invalid if even that could not be read.
	Missed(to netip.AddrPort, err error)
}

// Interceptor puts itself in the way of a target.
type Interceptor interface {
	// Supported returns nil, or an error that names what this machine lacks.
	Supported() error
	// Attach intercepts the target's connections to its peers until the
	// attachment is closed; h is asked about each event. ctx bounds Attach alone.
	Attach(ctx context.Context, t Target, h Handler) (Attachment, error)
}

// Attachment is one target's interception. Close takes everything out of the
// way, ends the connections that still go through it, and waits for them.
type Attachment interface {
	io.Closer
	// Update replaces the list of peers for connections yet to be made.
	Update(peers []Peer) error
}

// LacksError says what this machine lacks, and what to do about it.
type LacksError struct{ What string }

func (e *LacksError) Error() string { return e.What }
