// Package memcached follows the memcached protocols (memcached's protocol.txt
// and proto docs "Meta Commands"; wiki "BinaryProtocolRevamped"): classic text
// commands, meta commands (mg ms md ma mn me) and binary packets. The first
// byte of the client tells which.
//
// An exchange is a command with its data block and its answer. Its Op is the
// command's name; binary ones bear the name of the text command that does the
// same, so "get" is also GetQ, GetK and GetKQ. A get of many keys is one
// exchange with all of them as Keys.
//
// A command that says noreply is not answered, whatever comes of it. A quiet
// one (q of meta commands, the …Q of the binary protocol) is answered only if
// it has something to tell; its exchange is over when it is sent, so faults
// that wait for the answer find none. Which quiet command an answer is for is
// told by opaque, key and kind.
//
// # Faults
//
// A refused command does not reach the server. Where the place of the answer is
// known by the server alone, because quiet commands are under way, it is sent
// mn or Noop instead, whose answer is replaced. Done twice, the client hears the
// second answer.
package memcached
