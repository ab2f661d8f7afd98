package intercept

import "faultbox/protocols"

// Network is the protocol of rules about all packets from one service to
// another, and Processes that of rules about a service's processes. They have no
// events to match: such a rule acts for as long as it is armed, or at once. An
// empty To of a Network rule is every service.
var (
	Network = &protocols.Protocol{
		Name: "network", Doc: "packets between services", Lossy: true,
		Faults: []string{"partition", "latency", "loss", "bandwidth"},
	}
	Processes = &protocols.Protocol{
		Name: "process", Doc: "the processes of a service",
		Faults: []string{"kill", "pause", "restart"},
	}
)

// Standing reports whether a rule acts by itself, not on events.
func (r *Rule) Standing() bool { return r.Proto == Network.Name || r.Proto == Processes.Name }
