package intercept

import (
	"time"

	"faultbox/protocols"
)

// Kind says what sort of event it is.
type Kind string

const (
	Wire    Kind = ""        // an exchange or pushed message on an armed edge
	Syscall Kind = "syscall" // a system call of a service
	Step    Kind = "step"    // a step of the test itself
	Life    Kind = "life"    // a service started, became ready, exited
	Output  Kind = "output"  // a line of a service's own log
	Note    Kind = "note"    // a message of the interceptor itself
)

// Event is one exchange on the wire, one pushed message, one system call, or
// one of the lesser things that a timeline shows between them.
type Event struct {
	Kind Kind
	Seq  uint64        // number within its test, by beginning; set in Handler.Decide
	Conn uint64        // the connection, unique within a run; 0 for system calls
	At   time.Duration // since the test began
	Took time.Duration // until the last byte of the answer was passed on

	From, To  string // services; "test" for the test's own steps
	Interface string // of To
	Proto     string
	Op, Key   string
	Text      string // statement, path … as a person would write it

	Err      string   // how the server, or the fault, answered: its error code; "" is success
	Outcome  Outcome  // what the client saw
	Rules    []string // names of the rules that acted on it, in order
	Decision Decision // what was decided; of DelayAfter, 0 once there was no answer to delay
	Note     string   // a message for the reader, on events without Op
}

// Outcome is what the client of an exchange saw.
type Outcome string

const (
	Answered  Outcome = ""          // the server's answer, untouched
	Replaced  Outcome = "replaced"  // an answer made by a fault
	Dropped   Outcome = "dropped"   // closed without an answer, or message lost
	WasReset  Outcome = "reset"     // connection reset by a fault
	WasCut    Outcome = "cut"       // answer cut short by a fault
	Doubled   Outcome = "doubled"   // done twice by a fault
	Broken    Outcome = "broken"    // the connection ended first, by no fault
	Denied    Outcome = "denied"    // the system call failed by a fault
	Shortened Outcome = "short"     // the system call handled less than it was given
	LiedTo    Outcome = "lied to"   // the system call claims what it did not do
	Killed    Outcome = "killed"    // the process died at this system call
	Untouched Outcome = "untouched" // a fault was decided, but there was nothing to act on
	Pending   Outcome = "pending"   // had not ended when its test was judged
)

// InVain reports whether a rule that struck an event changed nothing of it: there
// was nothing to act on, or the connection, or the test, ended before it could.
// Delays that were on the way count.
func (e *Event) InVain(a *ActiveRule) bool {
	switch {
	case a.Fault.Do != Pass:
		return e.Outcome == Untouched || e.Outcome == Broken || e.Outcome == Pending
	case a.Fault.When == After && e.Decision.DelayAfter == 0:
		return true
	}
	return e.Outcome == Untouched && e.Decision.Fault.Do == Pass
}

// Edge is one direction of dependency: traffic of one service to one interface.
type Edge struct{ From, To, Interface string }

// String returns "api → db", or "db" for what a service does by itself (a
// system call).
func (e Edge) String() string {
	if e.From == e.To {
		return e.To
	}
	return e.From + " → " + e.To
}

// Edge returns the edge that the event happened on.
func (e *Event) Edge() Edge { return Edge{e.From, e.To, e.Interface} }

// Handler is asked before each event and told how it ended. Both may be called
// by many goroutines at once.
type Handler interface {
	// Decide says what to do with the event, and sets its Seq and At. item holds
	// what the protocol knows beyond the event's own fields and is valid during
	// the call only.
	Decide(ev *Event, item *protocols.Item) Decision
	// Done is called once for each event that was decided on, after its
	// outcome is known, and for notes (events without Op).
	Done(ev Event)
}

// Needs says what must be found out about a system call before it is decided on.
type Needs uint8

const (
	NeedsCall    Needs = 1 << iota // its name
	NeedsFile                      // the paths and the descriptor in its arguments
	NeedsPeer                      // the other end of its socket
	NeedsProcess                   // the name of the process
)

// Scout is a Handler that tells beforehand what it needs to know of a system
// call, as that is costly to find out. 0: nothing, the call concerns nobody and
// is neither decided on nor done.
type Scout interface {
	Handler
	Needs(ev *Event) Needs
	// Folders returns the absolute folders that rules name in patterns of paths: a
	// file that the service finds there by way of a link is one of them.
	Folders(ev *Event) []string
	// LiesAbout reports whether a rule makes calls that sync the file of this
	// item claim what they do not do: what is written to the file is then lost
	// if the service crashes.
	LiesAbout(ev *Event, item *protocols.Item) bool
}
