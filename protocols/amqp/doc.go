// Package amqp is AMQP 0-9-1. A connection carries channels, a channel carries
// methods, and the methods that carry a message are followed by a header frame
// and by body frames.
//
// Each method is matched by the name that the specification gives it,
// "basic.publish"; its key is the routing key, or the queue or exchange that it
// is about. Only the three that carry a message, basic.publish, basic.deliver
// and basic.get-ok, are found by topic=, exchange= and queue=.
//
//   - A method that has an answer awaits it. A publish awaits basic.ack or
//     basic.nack if the channel has confirms on, else nothing. One
//     acknowledgement of many is the answer to each of them.
//   - Nothing overtakes within a channel; channels pass each other, and
//     heartbeats pass them all.
//   - A message is withheld whole. A publish that is lost is confirmed
//     nevertheless; a delivery that is lost is acknowledged, so that the server
//     doesn't deliver it again. The tags of confirms are renumbered as long as
//     the server has got fewer publishes, or more, than the client has made.
//   - A delivery that comes twice has the same tag and is marked redelivered;
//     the second acknowledgement stays here.
//
// # Errors
//
// A publish with confirms on hears basic.nack, unless the error is one that a
// server closes a channel for. Else an error closes the channel, or the
// connection, by its code. The server's channel is closed first, so that the
// client can open it again as soon as it hears of the error; what the client
// says on it in the meantime is discarded, as the specification demands.
//
// Source: AMQP 0-9-1 specification; RabbitMQ 3.10 for confirms, negative
// acknowledgements and texts.
//
//	codec.go    frames, contents
//	method.go   methods, their names and arguments
//	channel.go  what is known of a channel
//	client.go   what the client says
//	server.go   what the server says
//	fault.go    what is said in their place
//	encode.go   methods that are said here
//	codes.go    reply codes
package amqp
