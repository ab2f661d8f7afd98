package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// machineLimit is how long a guest may take altogether.
const machineLimit = 45 * time.Minute

// disks are what guests see; they change none of them.
type disks struct{ payload, root string }

// boot starts a guest, lets it try the features, and returns what it found. The
// guest's console goes to dir/console.log, the output of a feature to
// dir/FEATURE.log.
func boot(ctx context.Context, g guest, k *kernel, d disks, tried []feature, dir string) (*outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, machineLimit)
	defer cancel()
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", arguments(g, k, d, tried, dir)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a guest: %w (.ci/deps kernels installs what is needed)", err)
	}
	o := &outcome{guest: g, results: map[string]*result{}}
	err = o.follow(out, dir)
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("it took more than %s", machineLimit)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil {
		return o, fmt.Errorf("guest %s: %w: %s\n%s", g.name, err, problems.String(), tail(filepath.Join(dir, "console.log"), 15))
	}
	return o, nil
}

func arguments(g guest, k *kernel, d disks, tried []feature, dir string) []string {
	var names []string
	for _, f := range tried {
		if g.tries(f) {
			names = append(names, f.name)
		}
	}
	line := []string{"console=ttyS0", "panic=-1", "quiet", featuresFlag + strings.Join(names, ","), g.options}
	drives := []string{d.payload, k.modules()}
	if g.bare {
		line = append(line, "bare")
		drives = drives[:1]
	} else {
		drives = append(drives, d.root)
	}
	// Without cmpxchg16b: QEMU 7.2 emulates it wrongly for two processors, and
	// newer kernels, which use it everywhere, crash. From 7.0 on they need it: BPF
	// programs and maps get no memory without.
	processors := []string{"-cpu", "max,-cx16", "-smp", "2"}
	if g.alone {
		processors = []string{"-cpu", "max", "-smp", "1"}
	}
	args := append([]string{"-accel", "tcg,thread=multi", "-machine", "q35", "-m", "3072",
		"-nodefaults", "-display", "none", "-no-reboot", "-nic", "none", "-snapshot",
		"-kernel", k.image(), "-initrd", k.initramfs(), "-append", strings.Join(line, " "),
		"-serial", "file:" + filepath.Join(dir, "console.log"), "-serial", "stdio"}, processors...)
	for _, drive := range drives {
		args = append(args, "-drive", "if=virtio,format=raw,file="+drive)
	}
	return args
}

// follow reads the guest's reports until it is done.
func (o *outcome) follow(in io.Reader, dir string) error {
	logs := map[string]*os.File{}
	defer func() {
		for _, f := range logs {
			f.Close()
		}
	}()
	begin := time.Now()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r report
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			continue // the firmware's own words
		}
		switch r.Kind {
		case "up":
			o.machine, o.booted, o.up = r.Text, r.Seconds, time.Since(begin)
		case "begin":
			f, err := os.Create(filepath.Join(dir, r.Feature+".log"))
			if err != nil {
				return err
			}
			logs[r.Feature] = f
		case "output":
			if _, err := logs[r.Feature].WriteString(r.Text); err != nil {
				return err
			}
		case "end":
			f := features[slices.IndexFunc(features, func(f feature) bool { return f.name == r.Feature })]
			result, err := read(f, r, filepath.Join(dir, r.Feature+".log"))
			if err != nil {
				return err
			}
			o.results[r.Feature] = result
			fmt.Fprintf(os.Stderr, "%s: %s: %s (%.0f s)\n", o.guest.name, r.Feature, result, r.Seconds)
		case "error":
			return errors.New(r.Text)
		case "done":
			return nil
		}
	}
	return errors.Join(errors.New("it ended before it was done"), lines.Err())
}

// tail returns the last lines of a file.
func tail(file string, n int) string {
	text, _ := os.ReadFile(file)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
