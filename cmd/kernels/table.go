package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// printTable prints guests by features, and below what failed and was skipped.
func printTable(w io.Writer, outcomes []*outcome, tried []feature) {
	rows := [][]string{{"guest", "kernel", "boot"}}
	for _, f := range tried {
		rows[0] = append(rows[0], f.name)
	}
	for _, o := range outcomes {
		version, _, _ := strings.Cut(o.machine, ",")
		row := []string{o.guest.name, version, fmt.Sprintf("%.1f s", o.up.Seconds())}
		for _, f := range tried {
			cell := "–"
			if r := o.results[f.name]; r != nil {
				cell = r.String()
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	printRows(w, rows)
	for _, o := range outcomes {
		fmt.Fprintf(w, "\n%s: %s\n  %s\n", o.guest.name, o.guest.about, o.machine)
		if o.err != nil {
			fmt.Fprintf(w, "  FAILED: %s\n", o.err)
		}
		for _, f := range tried {
			if r := o.results[f.name]; r != nil {
				r.explain(w, f)
			}
		}
	}
}

// explain prints why a cell says what it says.
func (r *result) explain(w io.Writer, f feature) {
	if r.lacks != "" {
		fmt.Fprintf(w, "  %s: no: %s\n", f.name, r.lacks)
	}
	for _, name := range r.failed {
		fmt.Fprintf(w, "  %s: FAILED %s\n", f.name, name)
	}
	for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
		if names := r.skipped[why]; len(names) == 1 {
			fmt.Fprintf(w, "  %s: skipped %s: %s\n", f.name, names[0], why)
		} else {
			fmt.Fprintf(w, "  %s: skipped %d tests: %s\n", f.name, len(names), why)
		}
	}
}

// printRows prints a table in Markdown, padded.
func printRows(w io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprint(w, "|", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}
