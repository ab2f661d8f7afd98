package vm

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// Inside tells a faultbox that it runs in the machine, for somebody outside.
const Inside = "FAULTBOX_INSIDE_VM"

// Home tells it where the home folder of that somebody is mounted.
const Home = "FAULTBOX_HOME"

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// theirs are variables about the Mac itself, which mean nothing in the machine.
	theirs = regexp.MustCompile(`^(PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|_|IFS|PPID|UID|EUID|SHELLOPTS|BASHOPTS|MAIL|HOSTNAME|TMPDIR|TMP|TEMP|LANG|GOROOT|GOPATH` +
		`|(LC|XDG|DOCKER|LIMA|SSH|SUDO|DBUS|FAULTBOX|LD|DYLD|XPC|TERM|ITERM|Apple|__CF).*)$`)
)

// environment is a shell script that makes ours that of the machine: a compose
// file may want any of it.
func environment(ours []string, home string) string {
	var b strings.Builder
	export := func(name, value string) {
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
	}
	for _, entry := range slices.Sorted(slices.Values(ours)) {
		name, value, _ := strings.Cut(entry, "=")
		if variable.MatchString(name) && (name == "TERM" || !theirs.MatchString(name)) {
			export(name, value)
		}
	}
	export(Inside, "yes")
	export(Home, home)
	return b.String()
}

// sendEnvironment puts our environment into the machine for the run of that id.
// It is not for command lines, which others can read.
func sendEnvironment(ctx context.Context, id string) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return fmt.Errorf("find the home folder: %w", err)
	}
	cmd, err := limactl(ctx, "shell", "--workdir", "/", Name, "sudo", "sh", "-c", `file=/run/faultbox-env-$0; umask 077; cat >"$file"`, id)
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(environment(os.Environ(), home))
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run faultbox in the VM: hand over the environment: %w", err)
	}
	return nil
}
