package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// demoRun prepares one of the example's specs and tests it. It returns the
// exit code and what was printed.
func demoRun(t *testing.T, spec, path string, buggy bool) (code int, out string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("demo", spec))
	if err != nil {
		t.Fatal(err)
	}
	if buggy {
		text = bytes.Replace(text, []byte("\nBUGGY = False\n"), []byte("\nBUGGY = True\n"), 1)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, spec), text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(linkSelf(t, dir), "test", filepath.Join(dir, spec), "-j", "2")
	cmd.Env = append(os.Environ(), "PATH="+path)
	printed, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(printed)
}

func TestDemo(t *testing.T) {
	for _, c := range []struct {
		name, spec, path, lost string
	}{
		{"full", "demo.star", os.Getenv("PATH"), "commit_acknowledged_to_nobody"},
		// With nothing in PATH the Redis is the embedded one.
		{"small", "demo-small.star", t.TempDir(), "order_acknowledged_to_nobody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			needRoot(t)
			if c.spec == "demo.star" {
				needPostgres(t)
			}
			code, out := demoRun(t, c.spec, c.path, false)
			if code != 0 || !strings.Contains(out, "8 passed") {
				t.Errorf("exit code %d, want 0 and 8 passed\n%s", code, out)
			}
			code, out = demoRun(t, c.spec, c.path, true)
			if code != 2 || !strings.Contains(out, "7 passed, 1 failed") || !strings.Contains(out, "holds 2.") {
				t.Errorf("buggy: exit code %d, want 2, all but %s passed, and 2 orders stored\n%s", code, c.lost, out)
			}
		})
	}
}

func TestDemoSpecsLoad(t *testing.T) {
	for _, spec := range []string{"demo.star", "demo-small.star"} {
		dir := t.TempDir()
		text, err := os.ReadFile(filepath.Join("demo", spec))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, spec), text, 0o644); err != nil {
			t.Fatal(err)
		}
		self := linkSelf(t, dir)
		if out, err := exec.Command(self, "check", filepath.Join(dir, spec)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", spec, err, out)
		}
	}
}
