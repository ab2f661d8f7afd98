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
	"text/tabwriter"
)

func main() {
	rounds := flag.Int("rounds", 3, "how often each side is measured; the median counts")
	only := flag.String("only", "", "run only loads whose name contains this")
	toxi := flag.String("toxiproxy", "", "path of a toxiproxy 2.5.0 server; empty: that column is left out")
	scale := flag.Float64("scale", 1, "multiplies the amount of work per measurement")
	profile := flag.String("cpuprofile", "", "write a CPU profile of this process, the relay, to this file")
	flag.Parse()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s\n", err)
			os.Exit(1)
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, *rounds, *only, *toxi, *scale); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s\n", err)
		os.Exit(1)
	}
}

// side is one way from the client to the server.
type side struct {
	name string
	port func(load) int // that the client connects to
	edge string         // "": not attached, "un-named", "armed"
}

func sides(toxiproxy bool) []side {
	direct := func(l load) int { return l.port }
	all := []side{{"direct", direct, ""}, {"un-named", direct, "un-named"}, {"armed", direct, "armed"}}
	if toxiproxy {
		all = append(all, side{"toxiproxy", func(l load) int { return l.port + toxiShift }, ""})
	}
	return all
}

func bench(ctx context.Context, rounds int, only, toxi string, scale float64) error {
	lab, err := openLab(ctx)
	if err != nil {
		return err
	}
	defer lab.close()
	if err := lab.startServers(ctx); err != nil {
		return err
	}
	if toxi != "" {
		if err := lab.startToxiproxy(ctx, toxi); err != nil {
			return err
		}
	}
	all := sides(toxi != "")
	tw := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprint(tw, "load\tdirect")
	for _, s := range all[1:] {
		fmt.Fprintf(tw, "\t%s", s.name)
	}
	fmt.Fprintln(tw)
	for _, l := range loads(scale) {
		if !strings.Contains(l.name, only) {
			continue
		}
		results := make([][]float64, len(all))
		for range rounds {
			for i, s := range all {
				v, err := lab.measure(ctx, l, s)
				if err != nil {
					return fmt.Errorf("measure %s, %s: %w", l.name, s.name, err)
				}
				results[i] = append(results[i], v)
			}
		}
		base := median(results[0])
		fmt.Fprintf(tw, "%s\t%.5g %s", l.name, base, l.unit)
		for _, r := range results[1:] {
			fmt.Fprintf(tw, "\t%.2f", median(r)/base)
		}
		fmt.Fprintln(tw)
		tw.Flush()
	}
	return nil
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
