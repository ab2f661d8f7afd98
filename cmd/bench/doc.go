// Bench compares what an edge costs: direct, un-named (the programs are
// attached, no rule names the edge), armed with a rule that never matches, and
// through toxiproxy, a plain TCP proxy. All sides run in turns in one run, in
// one network namespace, and the figures are ratios of direct.
package main
