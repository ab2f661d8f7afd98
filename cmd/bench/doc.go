// Bench compares what an edge costs with what other ways cost. All sides of a
// load run in turns in one run, in one network namespace, and the figures are
// ratios of direct; medians of the rounds.
//
// As it is, the loads are redis-benchmark and pgbench, and the sides
//
//	un-named   the programs are attached, no rule names the edge
//	armed      an edge with a rule that looks at everything and never matches
//	toxiproxy  a plain TCP proxy
//
// With -protocols there is a load for each protocol, by the load driver that
// is usual for it, or a loop around its usual client library where none is,
// and the sides are armed, toxiproxy, haproxy (as a plain TCP proxy) and a
// peer: a proxy that speaks the protocol, as an armed edge does, where there
// is one (pgbouncer in session pooling, nutcracker).
//
// The same between two containers, the start of a container and a suite of tests
// with containers are measured by the benchmarks of package runtime/docker:
// `make bench ARGS=-containers`.
//
// Next to each ratio stands the processor time, in µs per request, that the
// relay or proxy itself took, its system calls included. It is steadier than
// the ratio on a machine that does other things as well.
//
//	loads.go    what is measured by default; what programs print, read
//	protocols.go  what -protocols measures
//	servers.go  the servers of these
//	clients.go  load loops, and a server, that are this program itself
//	sides.go    the ways from client to server, and their proxies
//	lab.go      the world in which all of it runs
package main
