package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"faultbox/lima"
)

// Command returns `faultbox vm`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "vm",
		Short: "Make and manage the Linux VM that faultbox runs in on a Mac (by Lima)",
	}
	var dirs []string
	create := sub("create", "Make the VM and start it; takes minutes, once", func(ctx context.Context) error { return create(ctx, dirs) })
	create.Flags().StringSliceVar(&dirs, "mount", nil, "folders that the VM shall see besides the home folder")
	cmd.AddCommand(create,
		sub("start", "Start the VM", start),
		sub("shell", "Open a shell in the VM", shell),
		sub("stop", "Stop the VM", func(ctx context.Context) error { return existing(ctx, "stop", Name) }),
		sub("delete", "Remove the VM and all that is in it", func(ctx context.Context) error { return existing(ctx, "delete", "--force", Name) }),
	)
	return cmd
}

func sub(name, short string, run func(context.Context) error) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context()) }}
}

// create makes the machine. What fails leaves a machine that `vm delete` removes.
func create(ctx context.Context, dirs []string) error {
	guest, err := guestProgram(os.Getenv("FAULTBOX_LINUX"), runtime.GOARCH)
	if err != nil {
		return err
	}
	for i, dir := range dirs {
		if dirs[i], err = filepath.Abs(dir); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
		if info, err := os.Stat(dirs[i]); err != nil || !info.IsDir() {
			return fmt.Errorf("mount %s: there is no such folder", dir)
		}
	}
	switch is, err := status(ctx); {
	case err != nil:
		return err
	case is == running || is == stopped:
		return fmt.Errorf("make the VM: there is one (%s); faultbox vm start starts it, faultbox vm delete removes it", is)
	case is != absent:
		return halfMade("Lima says that it is " + is)
	}
	work, err := os.MkdirTemp("", "faultbox-vm-")
	if err != nil {
		return fmt.Errorf("make the VM: %w", err)
	}
	defer os.RemoveAll(work)
	template := filepath.Join(work, Name+".yaml")
	if err := os.WriteFile(template, []byte(lima.Template(dirs...)), 0o644); err != nil {
		return fmt.Errorf("make the VM: %w", err)
	}
	if err := limaMade(ctx, "create", "--tty=false", "--name="+Name, template); err != nil {
		return err
	}
	if err := limaMade(ctx, "start", "--tty=false", Name); err != nil {
		return err
	}
	return install(ctx, guest)
}

// limaMade runs a limactl command that makes the machine.
func limaMade(ctx context.Context, args ...string) error {
	err := runLima(ctx, args...)
	if err != nil && !errors.Is(err, errNoLima) {
		return fmt.Errorf("make the VM: %w; what there is of it is removed by: faultbox vm delete", err)
	}
	return err
}

// start starts the machine if it does not run.
func start(ctx context.Context) error {
	switch is, err := status(ctx); {
	case err != nil:
		return err
	case is == absent:
		return errors.New("start the VM: there is none: faultbox vm create makes it")
	case is == running:
		return nil
	case is != stopped:
		return halfMade("Lima says that it is " + is)
	}
	return runLima(ctx, "start", "--tty=false", Name)
}

// existing runs a limactl command on the machine, if there is one.
func existing(ctx context.Context, args ...string) error {
	switch is, err := status(ctx); {
	case err != nil:
		return err
	case is == absent:
		return fmt.Errorf("%s the VM: there is none", args[0])
	}
	return runLima(ctx, args...)
}

func shell(ctx context.Context) error {
	if err := start(ctx); err != nil {
		return err
	}
	cmd, err := limactl(ctx, "shell", Name)
	if err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) { // the shell's own exit code says nothing of us
		return fmt.Errorf("open a shell in the VM: %w", err)
	}
	return nil
}

// install puts faultbox into the machine.
func install(ctx context.Context, guest string) error {
	if err := runLima(ctx, "copy", guest, Name+":/tmp/faultbox.new"); err != nil {
		return fmt.Errorf("put faultbox into the VM: %w", err)
	}
	if err := runLima(ctx, "shell", "--workdir", "/", Name, "sudo", "install", "-m", "755", "/tmp/faultbox.new", program); err != nil {
		return fmt.Errorf("put faultbox into the VM: %w", err)
	}
	return nil
}
