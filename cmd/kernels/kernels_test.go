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
