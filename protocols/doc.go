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
// A protocol of datagrams (Protocol.Datagram) is the same with less: Decode is
// given one datagram at a time, and relayed are datagrams.
//
// # To add a protocol
//
//  1. Write protocols/NAME: doc.go, a Protocol value and its Codec. The value's
//     Fields are the keywords by which a spec matches, its Faults what a spec may
//     do; the tcp package is the smallest example, redis one with pipelines.
//  2. Describe conversations in protocols/NAME/testdata/*.script and run them
//     with protocoltest.Run, which also replays them cut at every byte, and
//     protocoltest.Fuzz. That is the whole test file. Add a BenchmarkDecode: a
//     frame costs no allocation but the strings of its Item.
//  3. Add the value to the list in protocols/all. That is the one line: specs,
//     rules, the relay, reports and `faultbox check` take it from there.
//
// Test it against a server and clients of other people's in intercept/drivers. So
// that a spec can also speak the protocol in a step, add a client to runtime/steps;
// a recipe (cmd/faultbox/recipes/NAME.star) gives its usual failures names.
// Neither is needed for faults.
//
// # What a codec has to get right
//
//   - Decode returns 0 until the frame is whole, or takes what is there as a part
//     of it (Frame.More) where messages may be larger than Window. It keeps
//     nothing of buf: what it needs later it copies.
//   - An ID is new for each request, and is never used again, not even if a
//     fault keeps the request from the server. Where answers carry no number, a
//     queue of the IDs that await an answer finds the exchange: Decode adds the
//     request and takes out the front for an answer; Apply takes the newest one
//     out again when the server does not hear it (Answer, and Lose if
//     nothing will answer it).
//   - For Twice the server answers two times and the client may hear one answer:
//     Apply queues a second entry without an ID, and its answer becomes a frame
//     with an empty Raw that is not nil.
//   - Whatever is not understood is a frame without Items, passed on as it came.
//     Decode returns an error only when it can't tell any more where frames end.
//   - An answer's Err is the server's own error code; Check infers the code of a
//     reply that names none, and refuses what the protocol can't say.
//
// This package and its sub-packages import the standard library only (and not
// net, os, time or sync; but for net/netip), plus at most one library of message
// schemas.
package protocols
