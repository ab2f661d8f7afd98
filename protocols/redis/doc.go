// Package redis follows RESP2 and RESP3, the protocols of Redis and Valkey.
//
// A request is one command, as an array of bulk strings or as an inline line;
// its answer is one value, except that SUBSCRIBE and its kin are confirmed
// once per channel. Answers come in the order of the commands, so a queue of
// what is outstanding (pending.go) is enough to tell whose an answer is.
// Messages, MONITOR lines and RESP3 pushes are items of their own.
//
// Values of any size and depth are passed on in pieces: nothing is buffered
// beyond one window, and only the outermost framing is looked at.
//
// Inside MULTI a fault has to keep both ends in step: the command that it
// strikes is exchanged for one that the server rejects (so that EXEC aborts,
// as with any command that could not be queued) or queues (so that one element
// of EXEC's answer can be exchanged). See transaction.go.
//
// Sources: the Redis protocol specification (RESP2, RESP3), the command
// reference, and the "Transactions" and "Pub/Sub" manuals, as of Redis 8.
package redis
