package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"faultbox/runtime"
	"faultbox/runtime/report"
)

// reports makes those that programs read: JSON, and a JUnit file.
func (f *testFlags) reports(cmd *cobra.Command) (sinks []runtime.Sink, err error) {
	if f.format == "json" {
		sinks = append(sinks, report.JSON{W: cmd.OutOrStdout()})
	}
	if f.junit != "" {
		w, err := os.Create(f.junit)
		if err != nil {
			return nil, fmt.Errorf("write the JUnit report: %w", err)
		}
		sinks = append(sinks, &report.JUnit{W: w})
	}
	return sinks, nil
}

// unloaded writes the reports of a spec that does not load, so that who reads
// nothing else hears of it: as the error of a test called "load".
func (f *testFlags) unloaded(cmd *cobra.Command, file string, cause error) error {
	sinks, err := f.reports(cmd)
	errs := []error{err}
	for _, sink := range sinks {
		for _, r := range []runtime.Record{
			{Start: &runtime.StartRecord{Version: programVersion(), File: file, Seed: f.seed}},
			{Test: &runtime.TestRecord{Name: "load", Seed: f.seed, Verdict: runtime.Error, Reason: cause.Error()}},
			{End: &runtime.EndRecord{Verdict: runtime.Error, Counts: map[runtime.Verdict]int{runtime.Error: 1}}},
		} {
			errs = append(errs, sink.Write(r))
		}
		errs = append(errs, sink.Close())
	}
	return errors.Join(errs...)
}

// colorful reports whether w is a terminal that wants colours (see no-color.org).
func colorful(w any) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
