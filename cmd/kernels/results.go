package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// outcome is what a guest found.
type outcome struct {
	guest   guest
	machine string        // kernel, cgroups, lockdown: its own words
	booted  float64       // seconds from the kernel's start to ours, by its clock
	up      time.Duration // from QEMU's start to the first report
	results map[string]*result
	err     error // the guest itself failed
}

// result is what came out for a feature.
type result struct {
	passed  int
	failed  []string            // tests
	skipped map[string][]string // tests, by reason
	lacks   string              // the program's reason for not running
	code    int
	seconds float64
	said    string // the program's output
}

// lacking is the exit code of programs that say what they lack.
const lacking = 77

// read makes a result of a feature's output.
func read(f feature, end report, log string) (*result, error) {
	text, err := os.ReadFile(log)
	if err != nil {
		return nil, err
	}
	r := &result{code: end.Code, seconds: end.Seconds, said: string(text), skipped: map[string][]string{}}
	switch {
	case f.pkg != "":
		return r, r.readTests(text)
	case end.Code == 0:
		r.passed = 1
	case end.Code == lacking:
		r.lacks = reason(strings.Split(strings.TrimSpace(r.said), "\n"))
	default:
		r.failed = []string{f.program}
	}
	return r, nil
}

// reason picks faultbox's own words, or else the last line.
func reason(lines []string) string {
	for _, line := range lines {
		if said, ok := strings.CutPrefix(line, "faultbox: "); ok {
			return said
		}
	}
	return lines[len(lines)-1]
}

// event is one line of test2json.
type event struct{ Action, Test, Output string }

// readTests reads the output of a test program. Tests that have parts are not
// counted themselves.
func (r *result) readTests(text []byte) error {
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("read the tests' output: %w", err)
	}
	said := map[string][]string{}
	ended := map[string]string{}
	for _, line := range bytes.Split(out, []byte("\n")) {
		var ev event
		if json.Unmarshal(line, &ev) != nil || ev.Test == "" {
			continue
		}
		switch ev.Action {
		case "output":
			said[ev.Test] = append(said[ev.Test], strings.TrimSpace(ev.Output))
		case "pass", "fail", "skip":
			ended[ev.Test] = ev.Action
		case "run":
			ended[ev.Test] = "fail" // unless it ends
		}
	}
	parts := map[string]bool{}
	for name := range ended {
		if i := strings.LastIndex(name, "/"); i > 0 {
			parts[name[:i]] = true
		}
	}
	for name, action := range ended {
		switch {
		case parts[name] && action != "fail":
		case action == "pass":
			r.passed++
		case action == "fail":
			r.failed = append(r.failed, name)
		case action == "skip":
			why := skipReason(said[name])
			r.skipped[why] = append(r.skipped[why], name)
		}
	}
	slices.Sort(r.failed)
	if len(r.failed) == 0 && r.code != 0 {
		r.failed = []string{fmt.Sprintf("the test program ended with exit code %d", r.code)}
	}
	return nil
}

// skipReason returns what a skipped test said, less its file and line.
func skipReason(lines []string) string {
	var out []string
	for _, line := range lines {
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if place, rest, ok := strings.Cut(line, ": "); ok && strings.Contains(place, ".go:") {
			line = rest
		}
		out = append(out, line)
	}
	return strings.Join(out, " ")
}

func (r *result) skips() (n int) {
	for _, tests := range r.skipped {
		n += len(tests)
	}
	return n
}

// String says it in a table's cell.
func (r *result) String() string {
	switch {
	case len(r.failed) > 0:
		return fmt.Sprintf("%d FAILED, %d ok", len(r.failed), r.passed)
	case r.lacks != "", r.passed == 0:
		return "no"
	case r.skips() > 0:
		return fmt.Sprintf("%d ok, %d skipped", r.passed, r.skips())
	case r.passed == 1:
		return "yes"
	}
	return fmt.Sprintf("%d ok", r.passed)
}
