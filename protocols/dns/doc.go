// Package dns follows DNS, RFC 1035, in datagrams and over TCP.
//
// A query is the request of an exchange: its type is the item's Op ("AAAA"), its
// name the Key, without the dot at the end. The answer is the one with the
// query's number and question. What is no query (updates, transfers, what does
// not parse) is forwarded as it came and cannot be faulted.
//
// # Faults
//
// error(…) answers with a response code: SERVFAIL unless `code=` or the message
// says otherwise (codes.go), or with code TRUNCATED an empty answer with the TC
// bit, on which clients ask again over TCP (there, that and duplicate have nothing
// to act on). The message travels as an extended
// error (RFC 8914) to clients that understand EDNS. response(value=…) answers
// queries of type A with the IPv4 addresses of the value, of type AAAA with the
// IPv6 addresses, and others with "no such record". TTLs are 0.
//
// Package udp builds on this one: an interface of protocol udp knows DNS when it
// sees it.
package dns
