package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"faultbox/cmd/faultbox/demo/pgserver"
)

// block is a fenced block of the README.
type block struct {
	line       int
	lang, text string
}

func readmeBlocks(t *testing.T) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) > 240 {
		t.Errorf("README.md has %d lines, at most 240 are read by anybody", len(lines))
	}
	var open *block
	for n, line := range lines {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{line: n + 1, lang: fence}
		case isFence:
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Errorf("README.md:%d: this block is never closed", open.line)
	}
	return blocks
}

// Every block of the README is something that was tried here.
func TestReadme(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range readmeBlocks(t) {
		seen[b.lang] = true
		t.Run(fmt.Sprintf("line %d", b.line), func(t *testing.T) {
			switch b.lang {
			case "sh":
				for _, command := range strings.Split(strings.TrimSpace(b.text), "\n") {
					tryCommand(t, command)
				}
			case "python":
				runSpec(t, b.text)
			case "text":
				checkReport(t, b.text)
			default:
				t.Errorf("a block of language %q: nothing here can try it", b.lang)
			}
		})
	}
	for _, lang := range []string{"sh", "python", "text"} {
		if !seen[lang] {
			t.Errorf("the README has no %s block", lang)
		}
	}
}

// tryCommand checks that a line of shell names a make target or a command
// and flags of faultbox that exist.
func tryCommand(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(strings.TrimPrefix(line, "sudo "))
	switch words[0] {
	case "make":
		makefile, err := os.ReadFile("../../Makefile")
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range words[1:] {
			if !strings.Contains(string(makefile), "\n"+target+": ") {
				t.Errorf("%s: the Makefile has no such target", line)
			}
		}
	case "./faultbox":
		cmd, args, err := rootCommand().Find(words[1:])
		if err != nil || cmd.Hidden || !cmd.HasParent() {
			t.Errorf("%s: no such command (%v)", line, err)
			return
		}
		if err := errors.Join(cmd.ParseFlags(args), cmd.ValidateArgs(cmd.Flags().Args())); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	default:
		t.Errorf("%s: neither make nor ./faultbox, so nothing here can try it", line)
	}
}

// runSpec runs a spec whose services are ./postgres and ./api.
func runSpec(t *testing.T, text string) {
	dir := t.TempDir()
	file := filepath.Join(dir, "faultbox.star")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	self := linkSelf(t, dir)
	for name, subcommand := range map[string]string{"postgres": "demo-postgres", "api": "demo-orders"} {
		script := fmt.Sprintf("#!/bin/sh\nexport REDIS_URL=redis://localhost:1\nexec %s %s\n", self, subcommand)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(self, "check", file).CombinedOutput(); err != nil {
		t.Fatalf("faultbox check: %v\n%s", err, out)
	}
	needRoot(t)
	needPostgres(t)
	if out, err := exec.Command(self, "test", file).CombinedOutput(); err != nil {
		t.Errorf("faultbox test: %v\n%s", err, out)
	}
}

// checkReport checks that `faultbox demo --buggy` prints these lines; see alike.
func checkReport(t *testing.T, want string) {
	needRoot(t)
	needPostgres(t)
	self := linkSelf(t, t.TempDir())
	out, err := exec.Command(self, "demo", "--buggy", "--test", "commit_acknowledged_to_nobody").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 {
		t.Fatalf("faultbox demo --buggy: %v, want exit code 2\n%s", err, out)
	}
	printed := alike(string(out))
	for _, line := range strings.Split(strings.TrimSpace(want), "\n") {
		if !strings.Contains(printed, alike(line)) {
			t.Errorf("the report has no line like %q\n%s", line, out)
		}
	}
}

var (
	folders = regexp.MustCompile(`\S*/demo\.star`)
	blanks  = regexp.MustCompile(`[ \t]+`)
	numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)?(µs|ms|s)?`)
)

// alike makes texts equal that differ in numbers, durations, blanks and the
// example's temporary folder.
func alike(s string) string {
	s = folders.ReplaceAllString(s, "demo.star")
	return strings.TrimSpace(numbers.ReplaceAllString(blanks.ReplaceAllString(s, " "), "N"))
}

// linkSelf makes a link to this test program under the name that makes it be
// faultbox (see TestMain).
func linkSelf(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "faultbox")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	return link
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: namespaces and BPF")
	}
}

func needPostgres(t *testing.T) {
	t.Helper()
	if _, err := pgserver.Find(); err != nil {
		t.Skip("needs PostgreSQL: apt-get install postgresql")
	}
}
