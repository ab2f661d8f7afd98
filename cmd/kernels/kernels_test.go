package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// printed is what a test program printed before it ended in TestHangs.
const printed = "\x16=== RUN   TestGood\n\x16--- PASS: TestGood (0.00s)\n\x16=== NAME  \n" +
	"\x16=== RUN   TestParts\n\x16=== RUN   TestParts/one\n\x16--- PASS: TestParts/one (0.00s)\n\x16=== NAME  TestParts\n" +
	"\x16=== RUN   TestParts/two\n    t_test.go:4: bad\n\x16--- FAIL: TestParts/two (0.00s)\n\x16=== NAME  TestParts\n" +
	"\x16--- FAIL: TestParts (0.00s)\n\x16=== NAME  \n" + skipping + "\x16=== RUN   TestHangs\n"

const skipping = "\x16=== RUN   TestNot\n    t_test.go:5: needs: python3\n\x16--- SKIP: TestNot (0.00s)\n\x16=== NAME  \n"

// What a test program says becomes what the table says; a test that never ends failed.
func TestRead(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for _, c := range []struct {
		f    feature
		code int
		said string
		want string
	}{
		{feature{pkg: "x"}, 1, printed, "3 FAILED, 2 ok"},
		{feature{pkg: "x"}, 2, "", "1 FAILED, 0 ok"},
		{feature{pkg: "x"}, 0, skipping, "no"},
		{feature{program: "x.sh"}, 0, "fine\n", "yes"},
		{feature{program: "x.sh"}, 77, "faultbox: this kernel lacks all\n", "no"},
		{feature{program: "x.sh"}, 1, "boom\n", "1 FAILED, 0 ok"},
	} {
		if err := os.WriteFile(log, []byte(c.said), 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := read(c.f, report{Code: c.code}, log)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.String(); got != c.want {
			t.Errorf("%q: %s (failed %q), want %s", c.said, got, r.failed, c.want)
		}
	}
}

// A guest where faultbox should say that something is missing, and runs or says
// something else, is a failure, as is one where it should run.
func TestJudge(t *testing.T) {
	result := func(lacks string) map[string]*result { return map[string]*result{"command": {lacks: lacks}} }
	for _, c := range []struct {
		o    outcome
		want string // in the error, "": none
	}{
		{outcome{results: result("")}, ""},
		{outcome{guest: guest{lacks: "no cgroup2"}, results: result("no cgroup2 file system")}, ""},
		{outcome{guest: guest{lacks: "no cgroup2"}, results: result("")}, "should say"},
		{outcome{guest: guest{lacks: "no cgroup2"}, results: result("not root")}, "should say"},
		{outcome{results: result("no cgroup2")}, "should run here"},
		{outcome{results: map[string]*outcomeResult{"redirect": {failed: []string{"TestX"}}}}, "TestX failed"},
		{outcome{err: os.ErrDeadlineExceeded, results: nil}, "timeout"},
	} {
		err := judge([]*outcome{&c.o})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("judge: %v, want %q", err, c.want)
		}
	}
}

// outcomeResult is result where that name is a function.
type outcomeResult = result

// The README's table has every guest and every feature, and claims nothing of
// what is not tried.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| guest |")
	if !ok {
		t.Fatal("the README has no table of guests")
	}
	lines := strings.Split(table[:strings.Index(table, "\n\n")], "\n")
	cells := func(line string) (out []string) {
		for _, cell := range strings.Split(strings.Trim(line, "| "), "|") {
			out = append(out, strings.TrimSpace(cell))
		}
		return out
	}
	var names []string
	for _, f := range features {
		names = append(names, f.name)
	}
	if got := cells(lines[0]); !slices.Equal(got, names) {
		t.Errorf("the README's table is of %q, features are %q", got, names)
	}
	told := map[string][]string{}
	for _, line := range lines[2:] {
		row := cells(line)
		for _, name := range strings.Split(row[0], ", ") {
			name, _, _ = strings.Cut(name, " (")
			told[name] = row[1:]
		}
	}
	for _, g := range guests {
		row := told[g.name]
		if len(row) != len(features) {
			t.Errorf("the README's table has %d cells for %s", len(row), g.name)
			continue
		}
		for i, f := range features {
			want := "yes"
			switch {
			case !g.tries(f):
				want = "–"
			case f.name == "command" && g.lacks != "":
				want = "says so"
			}
			if row[i] != want {
				t.Errorf("the README says %q of %s on %s, want %q", row[i], f.name, g.name, want)
			}
		}
	}
	if len(told) != len(guests) {
		t.Errorf("the README tells of %d guests, there are %d", len(told), len(guests))
	}
}

// What features name is there.
func TestFeatures(t *testing.T) {
	var names []string
	for _, f := range features {
		if slices.Contains(names, f.name) {
			t.Errorf("two features are called %s", f.name)
		}
		names = append(names, f.name)
		if f.program != "" {
			if _, err := guestFiles.ReadFile(f.program); err != nil {
				t.Error(err)
			}
			continue
		}
		for _, data := range append(f.data, ".") {
			if _, err := os.Stat(filepath.Join("..", "..", f.pkg, data)); err != nil {
				t.Error(err)
			}
		}
	}
}
