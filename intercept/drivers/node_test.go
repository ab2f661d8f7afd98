package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// npm installs packages into a folder of that name in the user's cache, or
// skips the test, and returns their node_modules.
func npm(t testing.TB, name string, packages ...string) (modules string) {
	t.Helper()
	lookPath(t, "node", "nodejs")
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("needs a cache folder for npm packages: %v", err)
	}
	dir := filepath.Join(cache, "faultbox-tests", "node", name)
	modules = filepath.Join(dir, "node_modules")
	missing := false
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(modules, p)); err != nil {
			missing = true
		}
	}
	if !missing {
		return modules
	}
	bin := lookPath(t, "npm", "npm")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"install", "--prefix", dir, "--no-audit", "--no-fund"}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("needs the npm packages %s: %v\n%s", strings.Join(packages, " "), err, tail(out))
	}
	return modules
}

// node runs a script that finds its packages in modules, and returns the lines
// that it printed.
func node(t testing.TB, modules, script string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), lookPath(t, "node", "nodejs"), append([]string{"-e", script, "--", "script"}, args...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, tail(out))
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
