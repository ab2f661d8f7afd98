package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
)

// options are the command line's.
type options struct {
	rounds    int
	only      string
	protocols bool
	toxiproxy string
	scale     float64
	profile   string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "self" {
		exit(self(os.Args[2:]))
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 3, "how often each side is measured; the median counts")
	flag.StringVar(&o.only, "only", "", "run only loads whose name contains this")
	flag.BoolVar(&o.protocols, "protocols", false, "measure every protocol, next to plain proxies and proxies that speak it")
	flag.StringVar(&o.toxiproxy, "toxiproxy", "", "path of a toxiproxy 2.5.0 server; empty: that column is left out")
	flag.Float64Var(&o.scale, "scale", 1, "multiplies the amount of work per measurement")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of this process, the relay, to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := profiled(o.profile, func() error { return bench(ctx, o) })
	if err != nil && ctx.Err() != nil {
		fmt.Fprintln(os.Stderr, "bench: interrupted; all that it started was stopped")
		os.Exit(130)
	}
	exit(err)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// profiled calls f while a CPU profile is written to file, if it names one.
func profiled(file string, f func() error) error {
	if file == "" {
		return f()
	}
	w, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	defer w.Close()
	if err := pprof.StartCPUProfile(w); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	return f()
}

// bench measures what o asks for and prints a table.
func bench(ctx context.Context, o options) error {
	if o.rounds < 1 || o.scale <= 0 {
		return fmt.Errorf("-rounds %d -scale %g: both must be more than nothing", o.rounds, o.scale)
	}
	ways, chosen, err := choose(o)
	if err != nil {
		return err
	}
	lab, err := openLab(ctx)
	if err != nil {
		return err
	}
	defer lab.close()
	lab.speaking = o.protocols
	if err := lab.startProxies(ctx, ways, o.toxiproxy); err != nil {
		return err
	}
	width := 0
	for _, l := range chosen {
		width = max(width, len(l.name))
	}
	tw := tabwriter.NewWriter(os.Stdout, 16, 8, 2, ' ', 0)
	line := func(cells ...string) { // each is shown when it is known: no later one makes room
		fmt.Fprintf(tw, "%-*s\t%s\n", width, cells[0], strings.Join(cells[1:], "\t"))
		tw.Flush()
	}
	head := []string{"load", "direct"}
	for _, s := range ways[1:] {
		head = append(head, s.name)
	}
	line(head...)
	for _, l := range chosen {
		if err := lab.serve(ctx, l.server); err != nil {
			return fmt.Errorf("measure %s: %w", l.name, err)
		}
		row, err := lab.compare(ctx, l, ways, o.rounds)
		if err != nil {
			return err
		}
		line(row...)
	}
	return nil
}

// choose returns the sides, direct first, and the loads that o asks for, if
// this machine has what they need.
func choose(o options) ([]side, []load, error) {
	ways, all := usualSides(), loads(o.scale)
	if o.protocols {
		ways, all = protocolSides(), protocolLoads(o.scale)
	}
	if o.toxiproxy == "" {
		ways = slices.DeleteFunc(ways, func(s side) bool { return s.name == "toxiproxy" })
	}
	var names []string
	for _, l := range all {
		names = append(names, l.name)
	}
	chosen := slices.DeleteFunc(slices.Clone(all), func(l load) bool { return !strings.Contains(l.name, o.only) })
	if len(chosen) == 0 {
		return nil, nil, fmt.Errorf("no load's name contains %q; there are:\n  %s", o.only, strings.Join(names, "\n  "))
	}
	var missing []string
	need := func(n []need) {
		for _, n := range n {
			if !n.met() && !slices.Contains(missing, n.String()) {
				missing = append(missing, n.String())
			}
		}
	}
	for _, s := range ways {
		need(s.needs)
	}
	for _, l := range chosen {
		need(l.needs)
		need(l.server.needs)
		if o.protocols && l.server.peer != nil {
			need(l.server.peer.needs)
		}
	}
	if len(missing) > 0 {
		return nil, nil, fmt.Errorf("not on this machine (make bench installs all of it):\n  %s", strings.Join(missing, "\n  "))
	}
	return ways, chosen, nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
