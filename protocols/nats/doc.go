// Package nats is the NATS client protocol, of which every message is a control
// line, for PUB, HPUB, MSG and HMSG with a payload behind it.
//
// Four of them are what rules match on: PUB and HPUB, which a client sends, MSG
// and HMSG, which it is sent. Subscriptions, PING and PONG pass by a message
// whose delay is not over.
//
//   - A PUB with a reply subject that one of the connection's own subscriptions
//     takes is a request. The first message to that subject is its answer: it is
//     no event of its own, but what when="after" acts on. Fetches of a pull
//     consumer are no requests, as other messages than answers come of them.
//   - Any other PUB is answered in verbose mode only, by +OK.
//   - A message that is lost is never published, or never delivered; JetStream
//     notices neither. What has not been acknowledged it delivers again.
//
// # Errors
//
// A request hears a status in the headers of an empty message (503, no
// responders, unless code= says otherwise) or, for JetStream's own codes (10047,
// insufficient storage), the answer that its API gives. All else hears -ERR.
// Behind those that the server itself closes the connection after, the
// connection is closed. A client that doesn't take headers hears -ERR too.
//
// A code= that only a request can be told makes a message without reply subject
// vanish, as it would at the server.
//
// Source: the NATS client protocol reference; nats-server 2.9 for what is said
// in verbose mode and when there are no responders.
//
//	codec.go    frames, requests and their answers
//	line.go     control lines
//	subs.go     the connection's subscriptions
//	fault.go    what is said instead of the server
//	codes.go    statuses, JetStream's codes, the texts of -ERR
package nats
