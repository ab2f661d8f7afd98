// Package http1 follows HTTP/1.0 and HTTP/1.1.
//
// An exchange is one request and its final answer; interim answers (100, 103)
// belong to none. The head of a message is read whole, its body is passed on
// as it arrives, whatever its length: by Content-Length, in chunks with
// trailers, or up to the end of the connection.
//
// After 101, and after 2xx to CONNECT, the connection is a tunnel.
//
// A message that two readers may frame differently (a second, different
// Content-Length; Content-Length beside Transfer-Encoding; a chunk that does
// not end where it should) is not guessed at: the codec gives up and the
// connection goes on untouched. So does one that turns out to speak HTTP/2.
//
// Sources: RFC 9112 (messages), RFC 9110 (semantics).
package http1
