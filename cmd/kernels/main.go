package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

//go:embed guest
var guestFiles embed.FS

func main() {
	var err error
	if len(os.Args) > 1 && os.Args[1] == "inside" {
		err = inside()
	} else {
		err = outside()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// outside runs the guests, from the folder of the module.
func outside() error {
	guestNames := flag.String("guest", "", "only these guests, by name, separated by commas")
	featureNames := flag.String("feature", "", "only these features, by name, separated by commas")
	logs := flag.String("logs", filepath.Join(".build", "kernels"), "folder for what guests print")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	chosen, err := choose("guest", *guestNames, guests, func(g guest) string { return g.name })
	if err != nil {
		return err
	}
	tried, err := choose("feature", *featureNames, features, func(f feature) string { return f.name })
	if err != nil {
		return err
	}
	outcomes, err := runGuests(ctx, chosen, tried, *logs)
	if err != nil {
		return err
	}
	printTable(os.Stdout, outcomes, tried)
	return judge(outcomes)
}

// choose returns those of a list that are named, all if none is.
func choose[T any](what, names string, from []T, name func(T) string) ([]T, error) {
	if names == "" {
		return from, nil
	}
	var out []T
	for _, wanted := range strings.Split(names, ",") {
		i := slices.IndexFunc(from, func(e T) bool { return name(e) == wanted })
		if i < 0 {
			var there []string
			for _, e := range from {
				there = append(there, name(e))
			}
			return nil, fmt.Errorf("find %s %q: there are %s", what, wanted, strings.Join(there, ", "))
		}
		out = append(out, from[i])
	}
	return out, nil
}

// runGuests boots one guest after the other.
func runGuests(ctx context.Context, chosen []guest, tried []feature, logs string) ([]*outcome, error) {
	d, err := newDebian()
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "faultbox-kernels-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	var on disks
	if on.payload, err = payload(ctx, tried, work); err != nil {
		return nil, err
	}
	var outcomes []*outcome
	for _, g := range chosen {
		if !g.bare && on.root == "" {
			if on.root, err = d.root(ctx); err != nil {
				return nil, err
			}
		}
		k, err := d.kernel(ctx, g.suite)
		if err != nil {
			return nil, err
		}
		o, err := boot(ctx, g, k, on, tried, filepath.Join(logs, g.name))
		if ctx.Err() != nil {
			return nil, errors.New("interrupted")
		}
		if o == nil {
			return nil, err
		}
		o.err = err
		outcomes = append(outcomes, o)
	}
	return outcomes, nil
}

// judge returns an error unless every guest came up, no test failed, and
// faultbox runs where it should and says what is missing where it should not.
func judge(outcomes []*outcome) error {
	var errs []error
	for _, o := range outcomes {
		if o.err != nil {
			errs = append(errs, o.err)
		}
		for name, r := range o.results {
			for _, test := range r.failed {
				errs = append(errs, fmt.Errorf("%s: %s: %s failed", o.guest.name, name, test))
			}
		}
		said := o.results["command"]
		switch {
		case said == nil:
		case o.guest.lacks == "" && said.lacks != "":
			errs = append(errs, fmt.Errorf("%s: faultbox should run here, and says: %s", o.guest.name, said.lacks))
		case !strings.Contains(said.lacks, o.guest.lacks):
			errs = append(errs, fmt.Errorf("%s: faultbox should say %q, and says: %s", o.guest.name, o.guest.lacks, said.lacks))
		}
	}
	return errors.Join(errs...)
}
