// Package protocols holds the nouns of the wire: what a protocol is, how its
// bytes fall into frames, and what a rule can match on.
//
// A protocol is one sub-package and one line in protocols/all. Its codec
// follows one connection: it is given the bytes of both directions as they
// arrive and says where each frame ends, which exchange it belongs to and
// what it asks for. It performs no I/O, starts no goroutine and reads no
// clock, so that a text file can test it (see protocols/protocoltest) and so
// that one relay (intercept/proxy) can serve every protocol.
//
// To add a protocol:
//
//  1. write protocols/NAME with a Protocol value and a Codec;
//  2. describe conversations in protocols/NAME/testdata/*.script and run them
//     with protocoltest.Run, which also replays them cut at every byte;
//  3. add the value to protocols/all.
//
// This package and its sub-packages import the standard library only (and not
// net, os, time or sync), plus at most one library of message schemas.
package protocols
