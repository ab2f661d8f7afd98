// Command test runs go test and tells what a person wants to know: failures in
// full, what was skipped and why, and at the end go test's own summary.
//
//	go run .ci/test.go [-strict] [go test's arguments]
//
// With -strict a skipped test that .ci/skips does not explain is a failure.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of go test -json (see go doc test2json).
type event struct {
	Action, Package, ImportPath, Test, Output string
}

// run follows one go test.
type run struct {
	output  map[string][]string // by package, test
	summary []string            // go test's closing line per package
	skips   []skip
	failed  bool
}

type skip struct{ test, reason string }

const skipsFile = ".ci/skips"

func main() {
	args := os.Args[1:]
	strict := len(args) > 0 && args[0] == "-strict"
	if strict {
		args = args[1:]
	}
	ok, err := test(args, strict)
	if err != nil {
		fmt.Fprintln(os.Stderr, "test:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func test(args []string, strict bool) (ok bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	r := run{output: map[string][]string{}}
	if err := errors.Join(r.follow(out), ignoreExit(cmd.Wait())); err != nil {
		return false, err
	}
	explained, err := r.reportSkips(strict)
	if err != nil {
		return false, err
	}
	fmt.Println("\ngo test", strings.Join(args, " "))
	for _, line := range r.summary {
		fmt.Print(line)
	}
	if len(r.summary) == 0 {
		return false, errors.New("go test tested nothing")
	}
	if !explained {
		err = errors.New("tests were skipped that " + skipsFile + " does not explain; see above")
	}
	return cmd.ProcessState.Success() && !r.failed, err
}

// ignoreExit drops the error that only says that go test exited with a code.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Exited() {
		return nil
	}
	return err
}

func (r *run) follow(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var ev event
			if json.Unmarshal(line, &ev) != nil {
				fmt.Print(string(line))
			} else {
				r.take(ev)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read go test's output: %w", err)
		}
	}
}

func (r *run) take(ev event) {
	pkg := cmp.Or(ev.Package, ev.ImportPath)
	key := pkg + " " + ev.Test
	switch ev.Action {
	case "output":
		r.output[key] = append(r.output[key], ev.Output)
	case "build-output":
		fmt.Print(ev.Output)
	case "build-fail":
		r.failed = true
	case "pass", "fail", "skip":
		if ev.Test == "" {
			r.endPackage(ev, r.output[key])
		} else {
			r.endTest(ev, r.output[key])
		}
		delete(r.output, key)
	}
}

func (r *run) endTest(ev event, output []string) {
	switch ev.Action {
	case "fail":
		r.failed = true
		fmt.Printf("\n%s in %s\n%s", ev.Test, ev.Package, strings.Join(output, ""))
	case "skip":
		r.skips = append(r.skips, skip{ev.Package + "." + ev.Test, reason(output)})
	}
}

// endPackage prints go test's line on a package, and if it failed all that was
// said outside of tests (a panic, a timeout).
func (r *run) endPackage(ev event, output []string) {
	for i, line := range output {
		last := i == len(output)-1
		if last {
			r.summary = append(r.summary, line)
		}
		if last || ev.Action == "fail" {
			fmt.Print(line)
		}
	}
	if ev.Action != "fail" {
		return
	}
	r.failed = true
	for key, lines := range r.output { // tests that never ended
		if strings.HasPrefix(key, ev.Package+" ") && !strings.HasSuffix(key, " ") {
			fmt.Printf("\nunfinished: %s\n%s", key, strings.Join(lines, ""))
			delete(r.output, key)
		}
	}
}

// reason returns what a skipped test said, less go test's own lines.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			said = append(said, line)
		}
	}
	return cmp.Or(strings.Join(said, " "), "(no reason given)")
}

// reportSkips lists the skipped tests and reports whether all may be skipped.
func (r *run) reportSkips(strict bool) (ok bool, err error) {
	known, err := readSkips()
	if err != nil {
		return false, err
	}
	ok = true
	for _, s := range r.skips {
		why := explain(known, s.reason)
		if why == "" && strict {
			ok = false
			why = "NOT EXPLAINED in " + skipsFile
		}
		fmt.Printf("skipped: %s: %s", s.test, s.reason)
		if why != "" {
			fmt.Printf(" [%s]", why)
		}
		fmt.Println()
	}
	if n := len(r.skips); n > 0 {
		fmt.Printf("%d skipped", n)
		if os.Geteuid() != 0 {
			fmt.Print("; as root fewer are")
		}
		fmt.Println()
	}
	return ok, nil
}

// readSkips reads the explained skips: part of the message, why.
func readSkips() ([][2]string, error) {
	text, err := os.ReadFile(skipsFile)
	if err != nil {
		return nil, fmt.Errorf("read the explained skips: %w", err)
	}
	var known [][2]string
	for n, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		part, why, _ := strings.Cut(line, " => ")
		if strings.TrimSpace(part) == "" || strings.TrimSpace(why) == "" {
			return nil, fmt.Errorf("%s:%d: write: part of the message => why", skipsFile, n+1)
		}
		known = append(known, [2]string{strings.TrimSpace(part), strings.TrimSpace(why)})
	}
	return known, nil
}

func explain(known [][2]string, reason string) string {
	for _, k := range known {
		if strings.Contains(reason, k[0]) {
			return k[1]
		}
	}
	return ""
}
