package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"faultbox/lima"
)

// makeDisk makes a disk of a folder. It appears whole or not at all.
func makeDisk(ctx context.Context, dir, disk, size string) error {
	tmp := disk + ".tmp"
	os.Remove(tmp)
	if err := command(ctx, "", "mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum,^has_journal", "-d", dir, tmp, size); err != nil {
		return fmt.Errorf("make disk %s: %w", filepath.Base(disk), err)
	}
	return os.Rename(tmp, disk)
}

// bootModules are what a guest needs before it has its disks.
var bootModules = []string{"virtio_pci", "virtio_blk", "ext4"}

// keepBootModules copies the boot modules and what they need to dir/boot, named
// so that they can be loaded in the order of their names.
func (k *kernel) keepBootModules(ctx context.Context, tree string) error {
	text, err := os.ReadFile(filepath.Join(tree, "modules.dep"))
	if err != nil {
		return err
	}
	needs := map[string][]string{} // by path: what to load first, last first
	paths := map[string]string{}   // by name
	for _, line := range strings.Split(string(text), "\n") {
		if path, rest, ok := strings.Cut(line, ":"); ok {
			needs[path] = strings.Fields(rest)
			name, _, _ := strings.Cut(filepath.Base(path), ".ko")
			paths[strings.ReplaceAll(name, "-", "_")] = path
		}
	}
	var order []string
	for _, name := range bootModules {
		path, ok := paths[name]
		if !ok {
			continue // built in
		}
		for _, p := range slices.Backward(append([]string{path}, needs[path]...)) {
			if !slices.Contains(order, p) {
				order = append(order, p)
			}
		}
	}
	boot := filepath.Join(k.dir, "boot")
	if err := errors.Join(os.RemoveAll(boot), os.MkdirAll(boot, 0o755)); err != nil {
		return err
	}
	for n, path := range order {
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		unpack := []string{"cat"}
		if strings.HasSuffix(path, ".xz") {
			unpack = []string{"xz", "-dc"}
		}
		out, err := exec.CommandContext(ctx, unpack[0], append(unpack[1:], filepath.Join(tree, path))...).Output()
		if err != nil {
			return fmt.Errorf("unpack module %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(boot, fmt.Sprintf("%02d-%s.ko", n, name)), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeInitramfs makes what the kernel starts with: busybox, guest/init, modules.
func (k *kernel) makeInitramfs(ctx context.Context) error {
	stage, err := os.MkdirTemp(k.dir, "initramfs-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	for _, dir := range []string{"bin", "proc", "sys", "dev", "root", "modules"} {
		if err := os.Mkdir(filepath.Join(stage, dir), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return errors.New("make an initramfs: busybox is not installed: .ci/deps kernels installs what is needed")
	}
	if err := copyFile(busybox, filepath.Join(stage, "bin", "busybox"), 0o755); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(stage, "modules"), os.DirFS(filepath.Join(k.dir, "boot"))); err != nil {
		return err
	}
	init, err := guestFiles.ReadFile("guest/init")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(stage, "init"), init, 0o755); err != nil {
		return err
	}
	return command(ctx, stage, "sh", "-c", `find . | cpio --quiet -o -H newc >"$1"`, "sh", k.initramfs())
}

// payload makes the disk that guests find at /payload: this program, faultbox,
// the test programs and what their tests read.
func payload(ctx context.Context, features []feature, work string) (string, error) {
	dir := filepath.Join(work, "payload")
	if err := os.MkdirAll(filepath.Join(dir, "guest"), 0o755); err != nil {
		return "", err
	}
	for _, program := range []struct{ pkg, name string }{
		{"cmd/kernels", "kernels"},
		{"cmd/faultbox", "faultbox"},
		{"runtime/docker/dockertest/probe", "probe"},
	} {
		if err := build(ctx, "build", program.pkg, filepath.Join(dir, program.name)); err != nil {
			return "", err
		}
	}
	files, err := guestFiles.ReadDir("guest")
	if err != nil {
		return "", err
	}
	for _, f := range files {
		text, err := guestFiles.ReadFile("guest/" + f.Name())
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "guest", f.Name()), text, 0o644); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "guest", "lima.sh"), []byte(lima.Provision("mac")), 0o644); err != nil {
		return "", err
	}
	for _, f := range features {
		if f.pkg == "" {
			continue
		}
		if err := build(ctx, "test", f.pkg, filepath.Join(dir, f.testProgram())); err != nil {
			return "", err
		}
		if err := os.MkdirAll(filepath.Join(dir, f.pkg), 0o755); err != nil {
			return "", err
		}
		for _, data := range f.data {
			from := filepath.Join(filepath.FromSlash(f.pkg), data)
			if err := os.CopyFS(filepath.Join(dir, f.pkg, data), os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrExist) {
				return "", fmt.Errorf("copy the test data of %s: %w", f.pkg, err)
			}
		}
	}
	disk := filepath.Join(work, "payload.img")
	return disk, makeDisk(ctx, dir, disk, "1G")
}

// build builds a program, or with "test" a package's test program, as static as
// faultbox is.
func build(ctx context.Context, kind, pkg, path string) error {
	args := []string{kind, "-trimpath", "-ldflags", "-s -w", "-o", path}
	if kind == "test" {
		args = append(args, "-c")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, mode)
}
