// Package proxy relays connections and datagrams, and acts on what is decided
// about them.
//
// It is the only code that changes anything on the wire, it serves every
// protocol, and it runs on any operating system. How a connection comes to it
// is not its concern (see redirect).
//
// A connection is two lanes, one for each direction. A lane reads, asks the
// codec where frames end, and writes runs of untouched frames in one go, as the
// bytes they came in. Everything else that has to reach a peer (an answer made
// by a fault, frames whose delay is over) is queued at the lane and goes out
// between two messages.
//
// On Linux, plain TCP begins in a loop, a goroutine that moves the bytes of
// many connections without ever waiting for one of them. As soon as something
// has to be waited for (a delay, a receiver that doesn't read), and elsewhere
// from the beginning, each lane has a goroutine of its own. The codec and the
// exchanges in flight are guarded by one mutex, which is never held during a
// read or write that may wait.
//
// The relay has no deadline of its own and no lock-step: FIN is passed on as
// FIN, RST as RST, a peer that doesn't read stops the other from writing, and
// a lane that waits for bytes holds no buffer.
//
// Datagrams have no lanes: each is decided on and sent as it comes, in the flow
// of its client and server, which ends when it was idle for minutes.
//
//	serve.go     Link, Serve, how a connection ends
//	lane.go      one direction: read, decode, write
//	loop_*.go    many connections in one goroutine
//	route.go     what becomes of a frame
//	fault.go     what becomes of a frame of an exchange that a rule fired on
//	hold.go      frames whose delay is not over
//	exchange.go  exchanges in flight
//	event.go     asking the Handler, telling it how things ended
//	flow.go      the datagrams between one client and one server
//	flows.go     many of them; delayed.go, those to be sent later; inbox.go
//	tls.go       TLS below the codec; ca.go, who signs for it
package proxy
