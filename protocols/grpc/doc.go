// Package grpc is gRPC: what it makes of the streams of HTTP/2, which package
// http2 follows.
//
// An exchange is a call, unary or streaming. Its Op is the full method,
// "/pkg.Service/Method". A failed call ends with trailers: grpc-status,
// grpc-message and, for details, grpc-status-details-bin; a fault that comes
// before the server's initial metadata sends them in the only header block
// (Trailers-Only).
//
// A reply with Messages lets the call through and takes over when the client
// has that many messages of the answer; the server sees the call cancelled.
//
// Source: gRPC over HTTP/2 (doc/PROTOCOL-HTTP2.md of the grpc repository) and
// its status codes (doc/statuscodes.md).
package grpc
