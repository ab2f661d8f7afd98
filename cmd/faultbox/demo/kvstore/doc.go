// Package kvstore is a small store that speaks the Redis protocol, for the demo
// on machines that have no Redis: strings with expiry, in memory, RESP2 and
// RESP3, pipelining. A command that it lacks is answered as Redis answers one
// that it does not know.
//
// Protocol: redis.io/docs/latest/develop/reference/protocol-spec.
package kvstore
