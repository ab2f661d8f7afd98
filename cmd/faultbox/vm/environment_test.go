package vm

import (
	"os/exec"
	"strings"
	"testing"
)

// What the shell of the machine makes of an environment is what it was, less
// what is about the Mac.
func TestEnvironment(t *testing.T) {
	text := environment([]string{
		"TAG=1 'two'\n$three `four` \"five\" \\", "EMPTY=", "TERM=xterm", "COMPOSE_PROFILES=dev",
		"HOME=/Users/me", "PATH=/opt/homebrew/bin", "DOCKER_HOST=unix:///mac.sock", "TERM_PROGRAM=x", "BASH_FUNC_f%%=() { :; }", "FAULTBOX_VM=always",
	}, "/Users/me")
	cmd := exec.Command("/bin/sh", "-c", text+`printf '%s|' "$TAG" "$EMPTY" "$TERM" "$COMPOSE_PROFILES" "$HOME" "$PATH" "$DOCKER_HOST" "$TERM_PROGRAM" "$FAULTBOX_VM" "$`+Inside+`" "$`+Home+`"`)
	cmd.Env = []string{"HOME=/root", "PATH=/usr/bin:/bin"}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "1 'two'\n$three `four` \"five\" \\||xterm|dev|/root|/usr/bin:/bin||||yes|/Users/me|"; string(out) != want {
		t.Errorf("got %s\nwant %s", out, want)
	}
	if strings.Contains(text, "BASH_FUNC") {
		t.Error("a name that no shell takes is exported")
	}
}
