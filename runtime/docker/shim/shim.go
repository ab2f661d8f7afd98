//go:build linux

package shim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Where a container finds the gate. Its folders are mounted read-only.
const (
	Path       = "/.faultbox/gate" // this program
	SocketDir  = "/.faultbox/run"  // the folder of its socket
	SocketName = "s"               // in it
)

// OpenAfter is when the gate opens by itself.
const OpenAfter = 15 * time.Second

const (
	maxWord  = 1 << 20 // bytes of a message: more than execve(2) takes
	maxFiles = 16      // descriptors that come with it
)

// Hello is what the shim reports, a line of JSON.
type Hello struct {
	Path  string   // of the program to execute; "" if there is none
	Argv  []string // with the zeroth
	Error string   // why there is none
}

// Word is the driver's answer, a line of JSON: what to execute. Descriptors
// that come with it become 3 and up.
type Word struct {
	Path string
	Argv []string
}

// A process that was started as the shim is nothing else. This runs before most
// packages of the program are initialised, which takes longer than all that the
// shim does; see the package comment.
func init() {
	if len(os.Args) > 1 && os.Args[0] == Path {
		os.Exit(shim(os.Args[1:]))
	}
}

// shim reports to the driver, waits for its word and becomes the program. It
// returns, with the exit code that a shell gives, if it cannot.
func shim(argv []string) int {
	// Process 1 is deaf to what it has no handler for, and would be killed in the end.
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	go func() { os.Exit(128 + int((<-end).(syscall.Signal))) }()

	env := environment()
	path, err := lookUp(argv[0], env)
	say := Hello{Path: path, Argv: argv}
	if err != nil {
		say.Error = err.Error()
	}
	conn, w := report(say)
	if w.Path == "" {
		w = Word{path, argv}
	}
	if w.Path == "" {
		fmt.Fprintf(os.Stderr, "%s\n", err)
		return 127
	}
	err = syscall.Exec(w.Path, w.Argv, env)
	conn.write([]byte(err.Error()))
	fmt.Fprintf(os.Stderr, "exec %s: %s\n", w.Path, err)
	if errors.Is(err, syscall.ENOENT) {
		return 127
	}
	return 126
}

// environment is the process's own, exactly.
func environment() []string {
	text, err := os.ReadFile("/proc/self/environ")
	if err != nil || len(text) == 0 {
		return os.Environ()
	}
	return strings.Split(string(bytes.TrimSuffix(text, []byte{0})), "\x00")
}

// report says hello and returns the driver's answer; none if there is no
// driver, or it does not answer in time. It keeps off package net, whose
// descriptors would be where those of the next program belong.
func report(h Hello) (line, Word) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, Word{}
	}
	patience := syscall.NsecToTimeval(OpenAfter.Nanoseconds())
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &patience)
	_ = syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_SNDTIMEO, &patience)
	conn := line(fd)
	if syscall.Connect(fd, &syscall.SockaddrUnix{Name: SocketDir + "/" + SocketName}) != nil {
		return conn, Word{}
	}
	text, err := json.Marshal(h)
	if err != nil || !conn.write(append(text, '\n')) {
		return conn, Word{}
	}
	w, files, err := conn.hear()
	if err != nil {
		return conn, Word{}
	}
	return conn.place(files), w
}

// line is the connection to the driver: a descriptor, negative if there is none.
type line int

func (l line) write(p []byte) bool {
	for len(p) > 0 {
		n, err := syscall.Write(int(l), p)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return false
		}
		p = p[n:]
	}
	return true
}

// hear reads the driver's answer and the descriptors that come with it.
func (l line) hear() (w Word, files []int, err error) {
	buf, control := make([]byte, maxWord), make([]byte, syscall.CmsgSpace(4*maxFiles))
	have := 0
	for !bytes.HasSuffix(buf[:have], []byte("\n")) {
		n, oobn, _, _, err := syscall.Recvmsg(int(l), buf[have:], control, syscall.MSG_CMSG_CLOEXEC)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return w, nil, errors.Join(err, io.ErrUnexpectedEOF)
		}
		have += n
		fds, err := received(control[:oobn])
		if err != nil {
			return w, nil, err
		}
		files = append(files, fds...)
	}
	return w, files, json.Unmarshal(buf[:have], &w)
}

func received(control []byte) (files []int, err error) {
	messages, err := syscall.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return nil, err
		}
		files = append(files, fds...)
	}
	return files, nil
}

// place makes the files the descriptors 3 and up, which the next program
// inherits. What is there, the connection too, is moved out of the way first.
func (l line) place(files []int) line {
	if len(files) == 0 {
		return l
	}
	up := func(fd int) int {
		high, _, _ := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_DUPFD_CLOEXEC, 64)
		syscall.Close(fd)
		return int(high)
	}
	l = line(up(int(l)))
	for i := range files {
		files[i] = up(files[i])
	}
	for i, fd := range files {
		syscall.Dup3(fd, 3+i, 0)
	}
	return l
}

// lookUp finds a program as an engine does: in the PATH of the environment
// unless its name has a slash.
func lookUp(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	path := ""
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	for _, dir := range filepath.SplitList(path) {
		if dir == "" {
			dir = "."
		}
		file := filepath.Join(dir, name)
		if !strings.Contains(file, "/") {
			file = "./" + file
		}
		if info, err := os.Stat(file); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}
