// Package http2 follows HTTP/2, with prior knowledge, by ALPN below TLS, and
// after an upgrade from HTTP/1.1 (h2c).
//
// An exchange is a stream that the client opens: it begins with the header
// block of the request and ends when both sides have. Interim answers (1xx)
// belong to none. Frames of data are passed on as they arrive; header blocks
// are read whole, up to 1 MB.
//
// As long as no fault strikes, every byte goes on as it came. From the first
// fault that withholds, delays, doubles or replaces something, the two peers
// no longer see the same frames, and what they agree on has to be kept:
//
//   - Header compression (hpack). Every later header block, in both directions,
//     is encoded anew, without the dynamic table and beginning with the
//     instruction that empties it. So blocks can be left out and change places.
//   - Stream numbers (numbers.go). A request that waits while others pass, and
//     the second copy of one, get the server's next number when they go out;
//     from then on the numbers of the two sides differ. Priorities, which name
//     streams of the past, are then no longer passed on.
//   - Flow control (flow.go). Data that its receiver never sees is credited to
//     its sender. Data of the codec's own making obeys the windows of its
//     receiver, and what it takes of the connection's window is kept from the
//     credits that the other peer gets.
//
// Other protocols that run on HTTP/2 are a Dialect of it (gRPC).
//
// A connection of HTTP/1.1 that is not upgraded is not followed.
//
// Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK), RFC 7540 section 3.2 (upgrade).
package http2
