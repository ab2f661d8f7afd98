package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// debian gets packages of any suite, whatever this machine itself runs.
type debian struct {
	cache  string // a folder of ours
	mirror string
}

func newDebian() (*debian, error) {
	if arch, err := output("dpkg", "--print-architecture"); err != nil || strings.TrimSpace(arch) != "amd64" {
		return nil, errors.New("get kernels: this needs a Debian or Ubuntu on amd64: the guests are such machines, and dpkg gets what they are made of")
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache folder: %w", err)
	}
	d := &debian{cache: filepath.Join(base, "faultbox-tests", "kernels")}
	if d.mirror, err = mirror(); err != nil {
		return nil, err
	}
	return d, os.MkdirAll(d.cache, 0o755)
}

// mirror returns where this machine's own packages come from.
func mirror() (string, error) {
	const sources = "/etc/apt/sources.list.d/debian.sources"
	text, err := os.ReadFile(sources)
	if err != nil {
		return "", fmt.Errorf("find Debian's packages: %w: this needs a Debian that has one", err)
	}
	for _, line := range strings.Split(string(text), "\n") {
		if uri, ok := strings.CutPrefix(line, "URIs: "); ok {
			return strings.Fields(uri)[0], nil
		}
	}
	return "", fmt.Errorf("find Debian's packages: %s names no URI", sources)
}

// kernel is an unpacked kernel: vmlinuz, and the disk of its modules.
type kernel struct {
	dir     string
	version string
}

func (k *kernel) image() string     { return filepath.Join(k.dir, "vmlinuz") }
func (k *kernel) modules() string   { return filepath.Join(k.dir, "modules.img") }
func (k *kernel) initramfs() string { return filepath.Join(k.dir, "initramfs") }

// kernel returns the suite's newest kernel for clouds, from the cache if it was
// got before; the folder may be removed to get it again.
func (d *debian) kernel(ctx context.Context, suite string) (*kernel, error) {
	k := &kernel{dir: filepath.Join(d.cache, "kernel-"+suite)}
	if version, err := os.ReadFile(filepath.Join(k.dir, "version")); err == nil {
		k.version = string(version)
		return k, k.makeInitramfs(ctx)
	}
	work, err := os.MkdirTemp(d.cache, "unpack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := d.unpack(ctx, suite, work, "linux-image-cloud-amd64", `^linux-(image|binary|modules|base)-[0-9]`); err != nil {
		return nil, fmt.Errorf("get the kernel of %s: %w", suite, err)
	}
	if err := k.take(ctx, work); err != nil {
		return nil, fmt.Errorf("unpack the kernel of %s: %w", suite, err)
	}
	return k, k.makeInitramfs(ctx)
}

// take makes the kernel's files from its unpacked packages.
func (k *kernel) take(ctx context.Context, root string) error {
	if err := os.MkdirAll(k.dir, 0o755); err != nil {
		return err
	}
	var trees []string
	for _, lib := range []string{"lib", "usr/lib"} {
		found, _ := filepath.Glob(filepath.Join(root, lib, "modules", "*"))
		trees = append(trees, found...)
	}
	if len(trees) != 1 {
		return fmt.Errorf("want one tree of modules, found %q", trees)
	}
	tree := trees[0]
	k.version = filepath.Base(tree)
	image := filepath.Join(root, "boot", "vmlinuz-"+k.version)
	if _, err := os.Stat(image); err != nil {
		image = filepath.Join(tree, "vmlinuz") // where newer packages have it
	}
	if err := os.Rename(image, k.image()); err != nil {
		return err
	}
	base := filepath.Join(root, "depmod") // depmod wants lib/modules
	if err := os.MkdirAll(filepath.Join(base, "lib", "modules"), 0o755); err != nil {
		return err
	}
	moved := filepath.Join(base, "lib", "modules", k.version)
	if err := os.Rename(tree, moved); err != nil {
		return err
	}
	if err := command(ctx, "", "depmod", "-b", base, k.version); err != nil {
		return err
	}
	if err := k.keepBootModules(ctx, moved); err != nil {
		return err
	}
	if err := makeDisk(ctx, filepath.Dir(moved), k.modules(), "400M"); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.dir, "version"), []byte(k.version), 0o644)
}

// unpack unpacks a package of a suite, and those it depends on whose name
// matches, into a folder.
func (d *debian) unpack(ctx context.Context, suite, dir, pkg, depends string) error {
	state := filepath.Join(dir, "apt")
	for _, sub := range []string{"lists/partial", "cache/archives/partial", "debs"} {
		if err := os.MkdirAll(filepath.Join(state, sub), 0o755); err != nil {
			return err
		}
	}
	source := fmt.Sprintf("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n", d.mirror, suite)
	if err := errors.Join(
		os.WriteFile(filepath.Join(state, "status"), nil, 0o644),
		os.WriteFile(filepath.Join(state, "sources.list"), []byte(source), 0o644),
	); err != nil {
		return err
	}
	options := []string{"-qq", "-o", "Dir::Etc::SourceList=" + state + "/sources.list", "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + state + "/lists", "-o", "Dir::State::status=" + state + "/status",
		"-o", "Dir::Cache=" + state + "/cache", "-o", "APT::Sandbox::User=root", "-o", "Debug::NoLocking=1",
		"-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"}
	if err := command(ctx, "", "apt-get", append(options, "update")...); err != nil {
		return err
	}
	list := append(options, "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", pkg)
	names, err := output("apt-cache", list...)
	if err != nil {
		return err
	}
	wanted := regexp.MustCompile(depends)
	get := append(options, "download")
	for lines := bufio.NewScanner(strings.NewReader(names)); lines.Scan(); {
		if name := lines.Text(); wanted.MatchString(name) {
			get = append(get, name)
		}
	}
	debs := filepath.Join(state, "debs")
	if err := command(ctx, debs, "apt-get", get...); err != nil {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(debs, "*.deb"))
	for _, file := range files {
		if err := command(ctx, "", "dpkg", "-x", file, dir); err != nil {
			return err
		}
	}
	return nil
}

// rootPackages are what the root of guests has besides a minimal Debian.
const rootPackages = "systemd-sysv,udev,dbus,kmod,procps,perl-base,iproute2,iptables,apparmor,docker.io,ca-certificates,curl,python3,redis-server,postgresql"

// setup makes a fresh root a guest. Servers are started by tests alone.
const setup = `set -eu
echo kernels >/etc/hostname
printf '127.0.0.1 localhost kernels\n::1 localhost\n' >/etc/hosts
systemctl disable -q docker.service docker.socket containerd redis-server postgresql systemd-timesyncd apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true
systemctl mask -q getty@tty1.service serial-getty@ttyS0.service serial-getty@ttyS1.service systemd-udev-settle.service
mkdir -p /payload
cat >/etc/systemd/system/kernels.service <<'UNIT'
[Unit]
After=basic.target
[Service]
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin
ExecStart=/payload/kernels inside
Delegate=yes
LimitNOFILE=1048576
StandardOutput=journal+console
[Install]
WantedBy=multi-user.target
UNIT
systemctl enable -q kernels.service
rm -rf /var/cache/apt /var/lib/apt/lists /usr/share/doc /usr/share/man /usr/share/locale
`

// root returns the disk of the guests' root, from the cache if it was made before.
func (d *debian) root(ctx context.Context) (string, error) {
	key := sha256.Sum256([]byte(rootPackages + setup))
	disk := filepath.Join(d.cache, fmt.Sprintf("root-%x.img", key[:6]))
	if _, err := os.Stat(disk); err == nil {
		return disk, nil
	}
	if os.Geteuid() != 0 {
		return "", errors.New("make the root of guests: debootstrap needs root: run this with sudo once")
	}
	work, err := os.MkdirTemp(d.cache, "root-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	dir := filepath.Join(work, "root")
	if err := command(ctx, "", "debootstrap", "--variant=minbase", "--include="+rootPackages, "bookworm", dir, d.mirror); err != nil {
		return "", fmt.Errorf("make the root of guests: %w", err)
	}
	cmd := exec.CommandContext(ctx, "chroot", dir, "/bin/sh")
	cmd.Stdin = strings.NewReader(setup)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("set up the root of guests: %w\n%s", err, out)
	}
	old, _ := filepath.Glob(filepath.Join(d.cache, "root-*.img"))
	for _, file := range old {
		os.Remove(file)
	}
	return disk, makeDisk(ctx, dir, disk, "3G")
}

// command runs a program; its output is part of the error if it fails.
func command(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return fmt.Errorf("run %s: it is not installed: .ci/deps kernels installs what is needed", name)
		}
		return fmt.Errorf("%s: %w\n%s", cmd, err, bytes.TrimSpace(out))
	}
	return nil
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	return string(out), err
}
