package lima

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed faultbox.yaml
var template string

// mountsKey is the line of the template below which its mounts stand.
const mountsKey = "\nmounts:\n"

// Template returns the template, with these folders mounted besides the home.
func Template(mounts ...string) string {
	var more strings.Builder
	for _, dir := range mounts {
		fmt.Fprintf(&more, "- location: %q\n  writable: true\n", dir)
	}
	return strings.Replace(template, mountsKey, mountsKey+more.String(), 1)
}

// Provision returns the script that sets the machine up, for this user of it.
func Provision(user string) string {
	_, rest, _ := strings.Cut(template, "- mode: system\n  script: |\n")
	var script strings.Builder
	for line := range strings.Lines(rest) {
		text, ok := strings.CutPrefix(line, "    ")
		if !ok && strings.TrimSpace(line) != "" {
			break
		}
		script.WriteString(strings.TrimRight(text, "\n") + "\n")
	}
	return strings.ReplaceAll(script.String(), "{{.User}}", user)
}
