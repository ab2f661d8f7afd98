// Package pgserver runs the PostgreSQL that is installed on this machine, with
// a fresh data folder, in the foreground, until it is told to stop. It is what
// the demo uses where a real project would start its own server or container.
package pgserver
