package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// nobody runs commands of this program as a user without privileges.
type nobody struct {
	dir       string // what such a user can reach: programs, the script's files, a temporary folder
	forbidden bool   // where no user namespace can be made
	kill      string // kill -9 the command once its output has this text, then run it again
}

// asNobody is a program of the scripts:
//
//	as-nobody [-forbidden] [-kill TEXT] command args…
//
// It prints the exit code unless that is 0, and what is left of the command.
func asNobody() {
	n, args := &nobody{}, os.Args[1:]
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-forbidden":
			n.forbidden = true
		case "-kill":
			n.kill, args = args[1], args[1:]
		}
		args = args[1:]
	}
	code, err := n.run(args)
	if err != nil {
		fmt.Fprintln(os.Stderr, "as-nobody:", err)
		code = 99
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, "exit code", code)
	}
	os.Exit(code)
}

func (n *nobody) run(args []string) (code int, err error) {
	if err := n.furnish(); err != nil {
		return 0, err
	}
	defer os.RemoveAll(n.dir)
	if n.kill != "" {
		if err := n.killed(args); err != nil {
			return 0, err
		}
	}
	cmd := n.command(args)
	cmd.Run()
	return cmd.ProcessState.ExitCode(), n.nothingLeft()
}

// furnish makes the folder.
func (n *nobody) furnish() (err error) {
	if n.dir, err = os.MkdirTemp("/tmp", "faultbox-nobody-"); err != nil {
		return err
	}
	exe, _ := os.Executable()
	program, err := os.ReadFile(exe)
	bin := filepath.Join(n.dir, "bin")
	err = errors.Join(err, os.Mkdir(bin, 0o755), os.Mkdir(filepath.Join(n.dir, "tmp"), 0o755), os.WriteFile(filepath.Join(bin, "faultbox"), program, 0o755))
	for _, name := range []string{"web", "sleeper"} {
		err = errors.Join(err, os.Link(filepath.Join(bin, "faultbox"), filepath.Join(bin, name)))
	}
	files, _ := filepath.Glob("*.star")
	for _, f := range files {
		text, readErr := os.ReadFile(f)
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(n.dir, f), text, 0o644))
	}
	for _, dir := range []string{n.dir, filepath.Join(n.dir, "tmp")} {
		err = errors.Join(err, os.Chmod(dir, 0o755), os.Chown(dir, 65534, 65534))
	}
	return err
}

// command is a command as nobody. Where user namespaces are forbidden it also
// has a network for itself, so that its ports are nobody else's.
func (n *nobody) command(args []string) *exec.Cmd {
	become := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"}
	cmd := exec.Command(become[0], append(become[1:], append([]string{filepath.Join(n.dir, "bin", args[0])}, args[1:]...)...)...)
	if n.forbidden {
		script := `echo 0 >/proc/sys/user/max_user_namespaces && ip link set lo up && exec "$@"`
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, cmd.Args...)...)
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNET, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true}
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = n.dir, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "HOME="+n.dir, "TMPDIR="+filepath.Join(n.dir, "tmp"), "PATH="+filepath.Join(n.dir, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// killed kills the command. A service named web must live on and answer.
func (n *nobody) killed(args []string) error {
	out := &bytes.Buffer{}
	cmd := n.command(args)
	cmd.Stdout = nil
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	buf := make([]byte, 4096)
	for !strings.Contains(out.String(), n.kill) {
		got, err := pipe.Read(buf)
		out.Write(buf[:got])
		if err != nil {
			return fmt.Errorf("%q never came: %w\n%s", n.kill, err, out)
		}
	}
	go io.Copy(io.Discard, pipe)
	// In a user namespace there are two: the one inside first, as it hears of
	// the other's end.
	for _, p := range slices.Backward(n.processes()) {
		if p.name == "faultbox" {
			syscall.Kill(p.number, syscall.SIGKILL)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	for _, p := range n.processes() {
		if p.name != "web" {
			continue
		}
		curl := exec.Command("nsenter", fmt.Sprintf("--net=/proc/%d/ns/net", p.number), "curl", "-sS", "http://localhost:8080/ok")
		answer, err := curl.CombinedOutput()
		fmt.Printf("after kill -9: %s %v\n", answer, err)
		return nil
	}
	return fmt.Errorf("no service web lives on: %v", n.processes())
}

type running struct {
	number int
	name   string
}

// processes are those whose folder or program is in ours, by number.
func (n *nobody) processes() (found []running) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range links {
		dir := filepath.Dir(link)
		cwd, _ := os.Readlink(link)
		exe, _ := os.Readlink(filepath.Join(dir, "exe"))
		if !strings.HasPrefix(cwd, n.dir) && !strings.HasPrefix(exe, n.dir) {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		p := running{}
		fmt.Sscan(filepath.Base(dir), &p.number)
		name, _, _ := strings.Cut(string(cmdline), "\x00")
		p.name = filepath.Base(name)
		if name != "" { // one that has ended has none
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b running) int { return a.number - b.number })
	return found
}

// nothingLeft checks that no process and no file is left, the keeper's and the
// reapers' ends given a moment.
func (n *nobody) nothingLeft() error {
	var left []string
	for range 500 {
		left = nil
		for _, p := range n.processes() {
			left = append(left, fmt.Sprintf("process %d %s", p.number, p.name))
		}
		files, _ := os.ReadDir(filepath.Join(n.dir, "tmp"))
		for _, f := range files {
			left = append(left, "file "+f.Name())
		}
		if len(left) == 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	slices.Sort(left)
	return fmt.Errorf("left behind: %s", strings.Join(left, ", "))
}
