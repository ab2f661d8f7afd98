//go:build linux

package docker

import (
	"bufio"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/runtime"
	"faultbox/runtime/docker/shim"
)

// gate is the driver's side of one container's gate: a socket in a folder that
// is mounted into the container.
type gate struct {
	dir      string
	listener *net.UnixListener
}

// openGate makes the folder and the socket. Whoever the container runs as may
// connect: it says nothing but what it is about to execute.
func openGate(dir string) (*gate, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make gate: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make gate: %w", err)
	}
	// A path through /proc is short, whatever the folder's own: a socket's is
	// bounded (unix(7)).
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("make gate: %w", err)
	}
	defer f.Close()
	os.Remove(filepath.Join(dir, shim.SocketName))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), shim.SocketName)})
	if err != nil {
		return nil, fmt.Errorf("make gate: %w", err)
	}
	l.SetUnlinkOnClose(false)
	g := &gate{dir: dir, listener: l}
	if err := os.Chmod(filepath.Join(dir, shim.SocketName), 0o666); err != nil {
		return nil, errors.Join(fmt.Errorf("make gate: %w", err), g.close())
	}
	return g, nil
}

func (g *gate) close() error {
	os.Remove(filepath.Join(g.dir, shim.SocketName))
	return g.listener.Close()
}

// visitor is a shim that waits at the gate.
type visitor struct {
	conn *net.UnixConn
	says shim.Hello
	pid  int
}

// admit waits for the shim.
func (g *gate) admit(ctx context.Context) (*visitor, error) {
	defer context.AfterFunc(ctx, func() { g.listener.SetDeadline(time.Unix(1, 0)) })()
	conn, err := g.listener.AcceptUnix()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	v := &visitor{conn: conn}
	conn.SetDeadline(time.Now().Add(shim.OpenAfter))
	if err := v.meet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("hear from the container's first process: %w", err)
	}
	return v, nil
}

func (v *visitor) meet() error {
	raw, err := v.conn.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) { cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if credErr != nil {
		return credErr
	}
	if cred.Pid == 0 {
		return &runtime.LacksError{What: "the containers of this Docker engine are not seen from here: if faultbox runs in a container itself, start that with `--pid=host`"}
	}
	v.pid = int(cred.Pid)
	line, err := bufio.NewReaderSize(v.conn, 64<<10).ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, &v.says)
}

// pass lets the shim go on as e says, and waits until it has become the
// program. It returns why it could not.
func (v *visitor) pass(e *intercept.Exec) error {
	text, err := json.Marshal(shim.Word{Path: e.Path, Argv: e.Argv})
	if err != nil {
		return err
	}
	var rights []byte
	if len(e.Files) > 0 {
		fds := make([]int, len(e.Files))
		for i, f := range e.Files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	v.conn.SetDeadline(time.Now().Add(shim.OpenAfter))
	text = append(text, '\n')
	n, _, err := v.conn.WriteMsgUnix(text, rights, nil)
	if err == nil && n < len(text) {
		_, err = v.conn.Write(text[n:])
	}
	closeAll(e)
	if err != nil {
		return fmt.Errorf("open the gate: %w", err)
	}
	why, err := io.ReadAll(v.conn) // its end of the socket closes as it executes
	switch {
	case err != nil:
		return fmt.Errorf("wait for %s to be executed: %w", e.Argv[0], err)
	case len(why) > 0:
		return fmt.Errorf("execute %s in the container: %s", e.Argv[0], why)
	}
	return nil
}

// closeAll closes what is for the program alone. It may be called again.
func closeAll(e *intercept.Exec) {
	for _, f := range e.Files {
		f.Close()
	}
	e.Files = nil
}

func (v *visitor) close() { v.conn.Close() }

// self is the path of this program, as the engine is to mount it into
// containers: it must run in any of them, with no library of its own there.
var self = sync.OnceValues(func() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find the program of faultbox: %w", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		return "", fmt.Errorf("look at the program of faultbox: %w", err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", &runtime.LacksError{What: "this build of faultbox cannot run inside containers: it is linked dynamically; build it with CGO_ENABLED=0 (`make build`)"}
		}
	}
	return path, nil
})
