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
	"strconv"
	"strings"
	"time"
)

const (
	payloadDir   = "/payload"
	reportPort   = "/dev/ttyS1"
	featuresFlag = "features="
	hideBTF      = "nobtf" // on the kernel's command line: hide its BTF from programs

	testLimit    = 12 * time.Minute // of a test program
	programLimit = testLimit + time.Minute
)

// inside runs in a guest: it tries the features that the kernel's command line
// names and reports.
func inside() error {
	if err := exec.Command("stty", "-F", reportPort, "raw", "-echo").Run(); err != nil {
		return fmt.Errorf("open the port for reports: %w", err)
	}
	port, err := os.OpenFile(reportPort, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("open the port for reports: %w", err)
	}
	defer port.Close()
	out := json.NewEncoder(port)
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return errors.Join(err, out.Encode(report{Kind: "error", Text: err.Error()}))
	}
	words := strings.Fields(string(line))
	if slices.Contains(words, hideBTF) {
		if text, err := exec.Command("mount", "-t", "tmpfs", "tmpfs", "/sys/kernel/btf").CombinedOutput(); err != nil {
			return errors.Join(err, out.Encode(report{Kind: "error", Text: "hide BTF: " + string(text)}))
		}
	}
	if err := out.Encode(machine()); err != nil {
		return err
	}
	for _, word := range words {
		list, ok := strings.CutPrefix(word, featuresFlag)
		if !ok {
			continue
		}
		for _, f := range features {
			if slices.Contains(strings.Split(list, ","), f.name) {
				try(f, out)
			}
		}
	}
	return out.Encode(report{Kind: "done"})
}

// machine says what the guest is.
func machine() report {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	uptime, _ := os.ReadFile("/proc/uptime")
	first, _, _ := strings.Cut(string(uptime), " ")
	seconds, _ := strconv.ParseFloat(first, 64)
	var groups []string
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			groups = append(groups, "cgroup2 at "+f[1])
		}
	}
	if len(groups) == 0 {
		groups = []string{"no cgroup2"}
	}
	lockdown, _ := os.ReadFile("/sys/kernel/security/lockdown")
	facts := append([]string{strings.TrimSpace(string(release))}, groups...)
	if mode := strings.TrimSpace(string(lockdown)); mode != "" {
		facts = append(facts, "lockdown "+mode)
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		facts = append(facts, "no BTF")
	}
	return report{Kind: "up", Text: strings.Join(facts, ", "), Seconds: seconds}
}

// try tries one feature.
func try(f feature, out *json.Encoder) {
	out.Encode(report{Kind: "begin", Feature: f.name})
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), programLimit)
	defer cancel()
	var cmd *exec.Cmd
	if f.pkg == "" {
		cmd = exec.CommandContext(ctx, "/bin/sh", filepath.Join(payloadDir, f.program))
	} else {
		args := append([]string{"-test.v=test2json", "-test.timeout=" + testLimit.String()}, f.args...)
		cmd = exec.CommandContext(ctx, filepath.Join(payloadDir, f.testProgram()), args...)
		cmd.Dir = filepath.Join(payloadDir, f.pkg)
	}
	read, write := io.Pipe()
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = write, write, 10*time.Second
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewReader(read); ; {
			line, err := lines.ReadString('\n')
			if line != "" {
				out.Encode(report{Kind: "output", Feature: f.name, Text: line})
			}
			if err != nil {
				return
			}
		}
	}()
	err := cmd.Run()
	write.Close()
	<-done
	end := report{Kind: "end", Feature: f.name, Seconds: time.Since(begin).Seconds()}
	if cmd.ProcessState != nil {
		end.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		end.Code = max(end.Code, 1)
		out.Encode(report{Kind: "output", Feature: f.name, Text: err.Error() + "\n"})
	}
	out.Encode(end)
}
