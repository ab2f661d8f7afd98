package main

import (
	"os"
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// commandIn makes a command that runs in the script's folder, environment and PATH.
func commandIn(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	path := ""
	for _, dir := range strings.Split(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if info, err := os.Stat(dir + "/" + name); err == nil && !info.IsDir() {
			path = dir + "/" + name
			break
		}
	}
	if path == "" {
		ts.Fatalf("find %s: not in PATH", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.Getenv("WORK")
	cmd.Env = os.Environ()
	for _, key := range []string{"HOME", "TMPDIR", "PATH", "WORK", "NO_COLOR"} {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	return cmd
}
