package intercept

import (
	"time"

	"faultbox/protocols"
)

// Do is how an exchange or a call ends. The first four are what a codec can do
// and have the values of protocols.Act.
type Do uint8

const (
	Pass   = Do(protocols.Pass)
	Answer = Do(protocols.Answer) // reply instead of the server
	Lose   = Do(protocols.Lose)   // the message vanishes, its sender is told nothing
	Twice  = Do(protocols.Twice)  // done twice

	Close Do = iota + 1 // connection closed without an answer (FIN)
	Reset               // connection reset (RST)
	Cut                 // answer cut after Bytes bytes, then closed

	Deny  // system call fails with Errno
	Short // system call handles only Bytes bytes
	Lie   // system call reports success, nothing is done
	Kill  // the process dies at this call; all of a service's, for protocol process

	Pause   // a service's processes stop where they are, for Delay
	Restart // a service is ended and started anew
)

var doNames = [...]string{"pass", "answer", "lose", "twice", "", "close", "reset", "cut", "deny", "short", "lie", "kill", "pause", "restart"}

func (d Do) String() string { return doNames[d] }

// When says on which side of the server's work a fault strikes.
type When uint8

const (
	Before When = iota // the server never saw the request
	After              // the server did it; only its answer is lost or replaced
)

// Fault is what a rule does to an event it fires on. Delay adds up over all
// rules that fire; of the others the first that is not Pass decides.
type Fault struct {
	Delay  time.Duration
	Jitter time.Duration // up to this much more, drawn from the rule's stream
	Do     Do
	When   When
	Reply  *protocols.Reply // for Answer
	Bytes  int              // for Cut and Short
	Errno  int              // for Deny
	Rate   uint64           // bits a second, for protocol network; 0: no limit
}

// Decision is what all rules together do to one event.
type Decision struct {
	DelayBefore time.Duration // before the server sees the request
	DelayAfter  time.Duration // before the client sees the answer
	Fault       Fault         // the fault that ends the exchange; Do Pass: none. Its Delay is not used
	Rules       []*ActiveRule // those that fired, in order; nil for most events
}

// Fires reports whether any rule acts on the event.
func (d *Decision) Fires() bool { return len(d.Rules) > 0 }

// Fate returns the decision as a codec takes it.
func (d *Decision) Fate() protocols.Fate {
	if d.Fault.Do > Twice {
		return protocols.Fate{}
	}
	return protocols.Fate{Act: protocols.Act(d.Fault.Do), Reply: d.Fault.Reply}
}
