// Package postgres follows the PostgreSQL frontend/backend protocol, version 3
// (manual, chapter "Frontend/Backend Protocol").
//
// An exchange is a Query, an Execute or a FunctionCall with its answer; a Sync
// is one too, without items, so that its ReadyForQuery ends the exchanges that
// the server skipped after an error. Everything else belongs to no exchange.
// An Execute carries the text of the statement that its portal was bound to,
// so a rule on query= strikes once per execution, however it was prepared.
//
// # How a statement fails
//
// The server itself must believe in the error, or its transaction and its
// skipping to Sync would differ from what the client was told. So a faulted
// Query is replaced by one that the server refuses, a faulted Execute by one
// of a portal that does not exist, and the ErrorResponse that comes back is
// replaced by the one asked for. All else, ReadyForQuery's transaction status
// above all, is the server's. In a transaction that has failed already the
// server's own 25P02 stands. A statement that ends a transaction ends it by
// ROLLBACK and then fails, as a COMMIT does that can't be kept.
//
// An error after the fact replaces the answer. If that leaves the server in a
// transaction, it is made to fail before ReadyForQuery passes, unless the
// client has sent more already.
//
// With severity FATAL or PANIC the connection is closed behind the error.
//
// # Twice
//
// A Query is sent twice; an Execute is followed by the same Bind and Execute,
// in the same transaction. The client hears the second answer (of an Execute
// that failed, the first). COPY FROM STDIN can't be done twice.
package postgres
