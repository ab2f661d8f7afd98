// Package mongodb follows the MongoDB wire protocol: OP_MSG, OP_COMPRESSED
// around it, and OP_QUERY with OP_REPLY, in which older drivers say hello.
//
// A request is one command; its Op is the name of the command, its Key the
// collection. An answer names the request that it answers (responseTo), so a
// map of what is outstanding is enough to tell whose it is. Where a request
// allowed it, a server streams answers (moreToCome), each of which answers the
// one before. A request with moreToCome is not answered at all.
//
// What drivers do of their own accord (hello, ping, logging in: see chores) is
// matched only by a rule that spells out the command's name. A stream of
// hellos, by which drivers watch a server, is an exchange up to its first
// answer; the rest passes untouched whatever is armed.
//
// Messages that a fault does not change go on as the bytes they came in, compressed
// or not. What the codec writes itself is never compressed, which both sides
// accept at any time, and has a checksum where the request had one.
//
// A fault inside a transaction keeps both ends in step. A server that fails a
// statement aborts its transaction, so the statement is exchanged for an
// abortTransaction, whose answer the client never sees; after the statement
// was done, an abortTransaction is sent behind it. A commit that is answered with an error after
// which drivers commit again stays undecided on the server.
//
// A duplicate is done in its own right: the copy is no retry that the server
// would recognise (it has no txnNumber), and begins no transaction.
//
// Not followed, and passed on untouched: the operations that OP_MSG replaced (OP_INSERT, OP_UPDATE,
// OP_DELETE, OP_GET_MORE, OP_KILL_CURSORS), and messages whose decompressed
// size is more than a server takes.
//
// Sources: the manual's "MongoDB Wire Protocol" and "Error Codes" pages, the
// drivers' specifications for OP_MSG, OP_COMPRESSED, sessions, transactions
// and retryable writes, as of MongoDB 8.0.
package mongodb
