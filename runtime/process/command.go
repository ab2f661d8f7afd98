//go:build linux

package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"faultbox/runtime"
)

// inherited are the variables that a service gets from faultbox's environment.
var inherited = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ"}

// command is what there is to execute.
type command struct {
	path string
	argv []string
	env  []string
	dir  string
	cred *syscall.Credential // nil: as faultbox
}

// resolve checks all that can be checked of a service before it is started.
func resolve(s *runtime.Service, w runtime.World, dir string) (*command, error) {
	c := &command{dir: dir}
	if s.Workdir != "" {
		c.dir = s.Workdir
		if !filepath.IsAbs(c.dir) {
			c.dir = filepath.Join(dir, c.dir)
		}
	}
	if info, err := os.Stat(c.dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("use workdir %s: there is no such folder: make it, or correct workdir=", c.dir)
	}
	account, err := c.setUser(s.User)
	if err != nil {
		return nil, err
	}
	c.env = environ(s, w, account)
	if c.path, err = program(s.Binary, getenv(c.env, "PATH")); err != nil {
		return nil, err
	}
	c.argv = append([]string{s.Binary}, s.Args...)
	return c, nil
}

// environ builds a service's environment; later values win.
func environ(s *runtime.Service, w runtime.World, account *user.User) []string {
	var env []string
	set := func(key, value string) {
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, key+"=") })
		env = append(env, key+"="+value)
	}
	set("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	for _, key := range inherited {
		if v, ok := os.LookupEnv(key); ok {
			set(key, v)
		}
	}
	if account != nil {
		set("HOME", account.HomeDir)
		set("USER", account.Username)
		set("LOGNAME", account.Username)
	}
	set("TMPDIR", w.Dir())
	for _, kv := range s.Env {
		key, value, _ := strings.Cut(kv, "=")
		set(key, value)
	}
	return env
}

func getenv(env []string, key string) string {
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, key+"="); ok {
			return v
		}
	}
	return ""
}

// program finds the file to execute and checks that it can be.
func program(binary, path string) (string, error) {
	if !strings.Contains(binary, "/") {
		for _, dir := range filepath.SplitList(path) {
			file := filepath.Join(dir, binary)
			if filepath.IsAbs(dir) && executable(file) == nil {
				return file, nil
			}
		}
		return "", fmt.Errorf("find program %q: it is not in PATH (%s): install it, or give its path", binary, path)
	}
	return binary, executable(binary)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("find program %s: there is no such file: build it first, or correct the path", file)
	case err != nil:
		return fmt.Errorf("find program: %w", err)
	case info.IsDir():
		return fmt.Errorf("execute %s: it is a folder: name the program in it", file)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("execute %s: it is not executable: run `chmod +x %s`", file, file)
	}
	return nil
}

// explain says what to do about an error of execve(2).
func (c *command) explain(err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("execute %s: %w", c.path, err)
	}
	advice := ""
	switch errno {
	case syscall.ENOEXEC:
		advice = "it is no program for this machine: build it for this system and processor; a script needs a first line such as #!/bin/sh"
	case syscall.ENOENT:
		advice = "the interpreter in its first line, or its dynamic loader, is missing: install that, or build it statically"
	case syscall.EACCES:
		advice = "its file system is mounted noexec, or its interpreter is not executable"
		if c.cred != nil {
			advice = "the service's user= may not enter a folder on the path of the program or of its workdir, or may not execute it"
		}
	case syscall.EPERM:
		if c.cred != nil {
			advice = "changing to the service's user= needs root: run `sudo faultbox test …`"
		}
	case syscall.ETXTBSY:
		advice = "it is still being written: wait for the build to end"
	}
	if advice == "" {
		return fmt.Errorf("execute %s: %w", c.path, errno)
	}
	return fmt.Errorf("execute %s: %w: %s", c.path, errno, advice)
}

// setUser resolves user=: a name or a uid, perhaps with ":" and a group. It
// returns the account if there is one.
func (c *command) setUser(spec string) (*user.User, error) {
	if spec == "" {
		return nil, nil
	}
	name, group, hasGroup := strings.Cut(spec, ":")
	account, err := user.Lookup(name)
	if err != nil {
		account, err = user.LookupId(name)
	}
	uid, gid := name, "0"
	if err == nil {
		uid, gid = account.Uid, account.Gid
	} else if _, numErr := strconv.ParseUint(name, 10, 32); numErr != nil {
		return nil, fmt.Errorf("run as user %q: this machine has no such user: correct user=, or give a numeric uid:gid", name)
	}
	c.cred = &syscall.Credential{}
	if hasGroup {
		gid = group
		if g, err := user.LookupGroup(group); err == nil {
			gid = g.Gid
		}
	} else if account != nil {
		ids, _ := account.GroupIds()
		for _, id := range ids {
			if n, err := strconv.ParseUint(id, 10, 32); err == nil {
				c.cred.Groups = append(c.cred.Groups, uint32(n))
			}
		}
	}
	u, err1 := strconv.ParseUint(uid, 10, 32)
	g, err2 := strconv.ParseUint(gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("run as user %q: this machine has no such group: correct user=", spec)
	}
	c.cred.Uid, c.cred.Gid = uint32(u), uint32(g)
	return account, nil
}
