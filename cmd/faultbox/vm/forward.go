package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// commands are those that need Linux; all others work anywhere.
var commands = []string{"test", "run", "demo", "attach"}

// Wanted reports whether this command line is for the machine: on this system,
// or because FAULTBOX_VM=always.
func Wanted(goos string, args []string) bool {
	switch os.Getenv("FAULTBOX_VM") {
	case "always":
	case "never":
		return false
	default:
		if goos == "linux" {
			return false
		}
	}
	ours := args
	if i := slices.Index(args, "--"); i >= 0 {
		ours = args[:i]
	}
	switch {
	case len(ours) == 0 || slices.Contains(ours, "--help") || slices.Contains(ours, "-h"):
		return false
	case ours[0] == "init": // it can be done here, and is tried where there is a machine for that
		file, err := limaFile()
		if err == nil {
			_, err = os.Stat(file)
		}
		return err == nil && !slices.Contains(ours, "--no-run") &&
			slices.ContainsFunc(ours, func(arg string) bool { return strings.HasPrefix(arg, "--from-compose") })
	}
	return slices.Contains(commands, ours[0])
}

// Exit codes of the script below, which no faultbox and no shell uses.
const (
	notSetUp = 190
	outdated = 191
)

// script runs faultbox in the machine, as root, once it is known to be whole and
// of our version: sh -c script NAME VERSION RUN ARGS…. Its process id is kept in
// a file so that signals can be passed on; its environment comes in another.
const script = `
file=/run/faultbox-vm-$2
env=/run/faultbox-env-$2
. "$env"
rm "$env"
[ -e /etc/faultbox-vm ] || exit 190
[ "$(` + program + ` version 2>/dev/null)" = "faultbox $1" ] || exit 191
shift 2
trap 'rm -f "$file"' EXIT
trap : INT TERM HUP
sh -c 'echo $$ >"$0"; exec ` + program + ` "$@"' "$file" "$@"
`

// Run runs the command line in the machine, which is started if need be, and
// returns its exit code.
func Run(ctx context.Context, version string, args []string) (int, error) {
	if os.Geteuid() == 0 && os.Getenv("SUDO_USER") != "" {
		return 1, fmt.Errorf("run faultbox %s: leave sudo away: the VM is yours, and in it faultbox is root", args[0])
	}
	is, err := status(ctx)
	switch {
	case err != nil:
		return 1, err
	case is == absent:
		return 1, fmt.Errorf("run faultbox %s: this needs Linux, and the VM for it is not made yet: faultbox vm create", args[0])
	}
	dir, err := os.Getwd()
	if err != nil {
		return 1, fmt.Errorf("find the current folder: %w", err)
	}
	if err := start(ctx); err != nil {
		return 1, err
	}
	if err := visible(dir, args); err != nil {
		return 1, err
	}
	code, err := once(ctx, version, dir, args)
	if err == nil && code == outdated {
		guest, err := guestProgram(os.Getenv("FAULTBOX_LINUX"), runtime.GOARCH)
		if err != nil {
			return 1, err
		}
		if err := install(ctx, guest); err != nil {
			return 1, err
		}
		code, err = once(ctx, version, dir, args)
		if err == nil && code == outdated {
			return 1, fmt.Errorf("run faultbox in the VM: %s is not the version %s that this one is: build both together, with make mac", guest, version)
		}
		return code, err
	}
	if err == nil && code == notSetUp {
		return 1, halfMade("its set-up did not come to its end (/var/log/cloud-init-output.log in it says why)")
	}
	return code, err
}

// visible returns an error if the machine does not see the current folder or a
// file that is named.
func visible(dir string, args []string) error {
	dirs, err := mounts()
	if err != nil {
		return err
	}
	if i := slices.Index(args, "--"); i >= 0 {
		args = args[:i] // what follows is looked for in the machine
	}
	paths := []string{dir}
	for _, arg := range args[1:] {
		if _, value, ok := strings.Cut(arg, "="); ok && strings.HasPrefix(arg, "-") {
			arg = value
		}
		if !filepath.IsAbs(arg) {
			arg = filepath.Join(dir, arg)
		}
		if _, err := os.Stat(arg); err == nil {
			paths = append(paths, arg)
		}
	}
	for _, path := range paths {
		if !slices.ContainsFunc(dirs, func(mount string) bool { return inside(path, mount) }) {
			return fmt.Errorf("run faultbox in the VM: it does not see %s, only %s: move it there, or make the VM again with faultbox vm create --mount %s",
				path, strings.Join(dirs, ", "), filepath.Dir(path))
		}
	}
	return nil
}

func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// once runs the command line in the machine. With a terminal, Ctrl-C reaches the
// machine through it; without one, and for other signals, we pass them on.
func once(ctx context.Context, version, dir string, args []string) (int, error) {
	id := strings.ToLower(rand.Text()[:10])
	if err := sendEnvironment(ctx, id); err != nil {
		return 1, err
	}
	line := append([]string{"shell", "--workdir", dir, Name, "sudo", "sh", "-c", script, "faultbox", version, id}, args...)
	cmd, err := limactl(context.WithoutCancel(ctx), line...)
	if err != nil {
		return 1, err
	}
	if !terminal(os.Stdin) { // else it must stay in the terminal's group to read
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("run faultbox in the VM: %w", err)
	}
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-signals:
				tell, err := limactl(context.WithoutCancel(ctx), "shell", "--workdir", "/", Name, "sudo", "sh", "-c",
					`kill -INT "$(cat /run/faultbox-vm-$0)"`, id)
				if err == nil {
					tell.Stdin, tell.Stdout, tell.Stderr = nil, nil, nil
					tell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
					tell.Run()
				}
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("run faultbox in the VM: %w", err)
	}
	return cmd.ProcessState.ExitCode(), nil
}

func terminal(f *os.File) bool {
	_, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
