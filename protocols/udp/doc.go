// Package udp is for datagrams whose protocol faultbox does not speak, but for
// DNS, which it knows when it sees it.
//
// Each datagram is a message of its own: a rule sees its bytes, its direction
// and where it goes. Nothing is known of answers, so `when="after"` has nothing
// to act on, except that of a query, and of a reset: the datagram then reaches
// the server.
//
// A datagram to the server that is a whole DNS query is an exchange as in
// package dns, with fields name and type, and its answer belongs to it.
package udp
