// Command probe is the service of the tests: it tells what it sees of the
// world around it, over HTTP on the port in PORT (8080).
//
//	GET /fetch?url=U     what U answers, or the error
//	GET /trusting?url=U  the same, trusting what the system's store has alone
//	GET /connect?to=A    the names of both ends of a connection to A, or the error
//	GET /whoami          the address that the client comes from
//	GET /lookup?host=H   the addresses of H
//	GET /keep?url=U      fetch on one connection that is kept, and how many were made
//	GET /send?to=A       the answer to a datagram, within half a second, or the error
//	GET /write?text=T    writes T to the file /written, durably
//	GET /read            what is in that file
//	GET /exit?code=N     ends it
//
// It sends datagrams to that port back, and serves the same over TLS on the port
// in TLS_PORT, if there is one. LISTEN is where it listens instead of all addresses.
package main
