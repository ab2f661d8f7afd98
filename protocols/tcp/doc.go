// Package tcp is for TCP connections whose protocol faultbox does not speak.
//
// Such a stream has no messages, so what arrives in one read counts as one: on
// a local network that is usually what its sender wrote in one call, up to 32
// KB. A rule sees its bytes and its direction. Nothing is known of answers, so
// `when="after"` has no answer to act on, except that a connection is closed or
// reset after the message was passed on.
package tcp
