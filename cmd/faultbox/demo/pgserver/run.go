package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Config is what a server is started with.
type Config struct {
	Port     string // on localhost
	Password string // for SCRAM; "": everybody on localhost is let in
}

// FromEnv reads PORT, and POSTGRES_PASSWORD as the official container image has it.
func FromEnv() Config {
	return Config{
		Port:     cmp.Or(os.Getenv("PORT"), "5432"),
		Password: os.Getenv("POSTGRES_PASSWORD"),
	}
}

// stopGrace is how long a server may take to shut down before it is killed.
const stopGrace = 10 * time.Second

// Run makes a data folder in the temporary folder, runs a server on it until
// ctx ends (then it returns nil) and removes the folder. Superuser and database
// are both named postgres. PostgreSQL refuses to
// run as root: for root it runs as user postgres, or else nobody. Its log goes
// to standard error.
func Run(ctx context.Context, cfg Config) error {
	bin, err := Find()
	if err != nil {
		return fmt.Errorf("run PostgreSQL: %w", err)
	}
	owner, err := unprivileged()
	if err != nil {
		return fmt.Errorf("run PostgreSQL: %w", err)
	}
	dir, err := os.MkdirTemp(folder(owner), "faultbox-postgres-")
	if err != nil {
		return fmt.Errorf("make a data folder: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &server{bin: bin, dir: dir, owner: owner, cfg: cfg}
	// The kernel ends a child with the thread that started it (Pdeathsig), so
	// this one must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := s.initdb(ctx); err != nil {
		return err
	}
	err = s.serve(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = errors.New("it stopped by itself")
	}
	return fmt.Errorf("run PostgreSQL: %w", err)
}

type server struct {
	bin, dir string
	owner    *syscall.Credential
	cfg      Config
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) initdb(ctx context.Context) error {
	args := []string{"-D", s.data(), "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C"}
	if s.cfg.Password == "" {
		args = append(args, "-A", "trust")
	} else {
		file := filepath.Join(s.dir, "password")
		if err := os.WriteFile(file, []byte(s.cfg.Password+"\n"), 0o600); err != nil {
			return fmt.Errorf("write the password file: %w", err)
		}
		if err := s.give(file); err != nil {
			return err
		}
		args = append(args, "-A", "scram-sha-256", "--pwfile", file)
	}
	if err := s.give(s.dir); err != nil {
		return err
	}
	out, err := s.command(ctx, "initdb", args...).CombinedOutput()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("make a data folder with initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// serve runs the server. Durability is off: the data lives as long as the server.
func (s *server) serve(ctx context.Context) error {
	args := []string{"-D", s.data(), "-p", s.cfg.Port}
	for _, setting := range []string{
		"listen_addresses=localhost", "unix_socket_directories=", "max_connections=50", "shared_buffers=16MB",
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off",
	} {
		args = append(args, "-c", setting)
	}
	cmd := s.command(ctx, "postgres", args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd.Run()
}

func (s *server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + s.bin + ":" + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if lib := os.Getenv("LD_LIBRARY_PATH"); lib != "" {
		cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+lib)
	}
	cmd.SysProcAttr = attr(s.owner)
	// SIGINT is PostgreSQL's fast shutdown: sessions are ended, not waited for.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopGrace
	return cmd
}

func (s *server) give(path string) error {
	if s.owner == nil {
		return nil
	}
	if err := os.Chown(path, int(s.owner.Uid), int(s.owner.Gid)); err != nil {
		return fmt.Errorf("hand the data folder over: %w", err)
	}
	return nil
}

// unprivileged returns whom to run as: nil for ourselves.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if uidErr == nil && gidErr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("it must not run as root, and this machine has neither a user postgres nor nobody")
}

// folder returns the temporary folder, or /tmp if a parent of it is closed to
// the server's user.
func folder(owner *syscall.Credential) string {
	tmp := os.TempDir()
	if owner == nil {
		return tmp
	}
	for dir := tmp; ; dir = filepath.Dir(dir) {
		if st, err := os.Stat(dir); err != nil || st.Mode()&0o001 == 0 {
			return "/tmp"
		}
		if dir == filepath.Dir(dir) {
			return tmp
		}
	}
}
