// Package steps holds the clients with which a test speaks to the system: one
// file per protocol, each a runtime.Stepper over a real driver.
//
// A step is one try. No client here retries, follows a redirect, or opens a
// connection that the step did not ask for: what a fault does to a step shows
// in its response. A session keeps one connection; a new one is made only
// before a step, when the old one is known to be dead. Every connection is
// made by Endpoint.Dial, and the end of a step's context ends the step at once.
//
// A failure never raises. ErrorCode is the server's own code (SQLSTATE, the
// word that a Redis error begins with) or, where no server answered, one of
// "ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT" and other errno names,
// "EOF" (closed without an answer, or in the middle of one), "timeout" (of the
// step or the test), "canceled", "TLS" (no handshake), "EINVAL" (the step
// itself makes no sense) and "EPROTO" (an answer that is not of the protocol).
//
// Certificates are not verified: with tls = True a step speaks TLS to whatever
// the service presents.
package steps
