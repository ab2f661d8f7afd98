// Package mysql follows the MySQL client/server protocol, version 10, as
// MySQL and MariaDB speak it (MySQL Source Code Documentation, "Client/Server
// Protocol"; MariaDB Knowledge Base, "Clients & Servers Protocol").
//
// An exchange is a command with its answer: all results of a statement are one
// answer. The item of a statement, sent by COM_QUERY or prepared before and
// sent by COM_STMT_EXECUTE or MariaDB's COM_STMT_BULK_EXECUTE, has the first
// word of its text as Op and is what query= looks at; so a rule strikes once
// per execution. Every other command that is answered has its own name
// (COM_PING, COM_STMT_PREPARE …) as Op and no query. Handshakes, COM_QUIT,
// COM_STMT_CLOSE and COM_STMT_SEND_LONG_DATA belong to no exchange. Replication
// streams are relayed without being followed.
//
// # How a statement fails
//
// A refused command does not reach the server: the client hears an ERR packet,
// and a transaction stays open, as it does in MySQL after most errors. Where
// the server would have rolled the transaction back (a deadlock, a COMMIT or
// ROLLBACK that fails) it is sent a ROLLBACK, whose answer becomes the ERR
// packet. So is a COM_STMT_RESET for a statement that has been sent long data,
// which an execution that fails discards. Parameter types that only a refused
// execution carried are put into the next one of that statement.
//
// An error after the fact replaces the answer, and such an error rolls back
// what is left of the transaction, unless the client has sent more already. An
// error with which the server ends a session closes the connection; for one
// that only a client reports (2006, 2013) it is closed without a word.
//
// # Twice
//
// A command is sent twice; the client hears the second answer. LOAD DATA LOCAL,
// COM_CHANGE_USER, an execution with long data and commands of 16 MB can't be.
//
// # Compression
//
// Compressed connections (zlib, zstd) are followed too. Nothing is negotiated
// away, but their packets are passed on stored, not deflated, as the protocol
// allows for each packet: the peers hear the same conversation in other bytes.
package mysql
