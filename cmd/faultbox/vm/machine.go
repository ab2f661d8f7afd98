package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Name is what Lima knows the machine as.
const Name = "faultbox"

// program is where faultbox is in the machine.
const program = "/usr/local/bin/faultbox"

// errNoLima says how to get Lima.
var errNoLima = errors.New("find Lima, whose virtual machine faultbox runs in here: there is no limactl in PATH: brew install lima")

// limactl returns a limactl command that says what goes wrong on our stderr.
func limactl(ctx context.Context, args ...string) (*exec.Cmd, error) {
	path, err := exec.LookPath("limactl")
	if err != nil {
		return nil, errNoLima
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd, nil
}

// runLima runs limactl to its end, its output on our stderr.
func runLima(ctx context.Context, args ...string) error {
	cmd, err := limactl(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout = nil, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("limactl %s: %w (its own words are above)", args[0], err)
	}
	return nil
}

// The machine's status in Lima's words; absent is ours.
const (
	absent  = ""
	running = "Running"
	stopped = "Stopped"
)

// status returns what Lima says of the machine.
func status(ctx context.Context) (string, error) {
	cmd, err := limactl(ctx, "list", "--format", "{{.Name}} {{.Status}}")
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ask Lima for its machines: %w: %s", err, strings.TrimSpace(errs.String()))
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if name, status, _ := strings.Cut(strings.TrimSpace(line), " "); name == Name {
			return status, nil
		}
	}
	return absent, nil
}

// halfMade explains a machine that is there and cannot be used.
func halfMade(what string) error {
	return fmt.Errorf("the VM %s is half made: %s; remove it and make it again: faultbox vm delete && faultbox vm create", Name, what)
}

// limaFile is where Lima keeps what the machine is.
func limaFile() (string, error) {
	lima := os.Getenv("LIMA_HOME")
	if lima == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home folder: %w", err)
		}
		lima = filepath.Join(home, ".lima")
	}
	return filepath.Join(lima, Name, "lima.yaml"), nil
}

// mounts returns the folders that the machine sees, under their own names.
func mounts() ([]string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, fmt.Errorf("find the home folder: %w", err)
	}
	file, err := limaFile()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, halfMade(err.Error())
	}
	var made struct {
		Mounts []struct{ Location string }
	}
	if err := yaml.Unmarshal(text, &made); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	var dirs []string
	for _, m := range made.Mounts {
		dir := m.Location
		if rest, ok := strings.CutPrefix(dir, "~"); ok {
			dir = home + rest
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// guestProgram finds the faultbox that is built for the machine.
func guestProgram(named, arch string) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("find faultbox for the VM: %w", err)
		}
		return named, nil
	}
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find the running program: %w", err)
	}
	path := filepath.Join(filepath.Dir(self), "faultbox-linux-"+arch)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find faultbox for the VM: there is no %s: make mac builds it beside the Mac's own, or name one: FAULTBOX_LINUX=FILE", path)
	}
	return path, nil
}
