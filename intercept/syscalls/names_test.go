package syscalls

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// TestFamiliesComplete fails when a kernel has a variant of a call that its
// family does not list.
func TestFamiliesComplete(t *testing.T) {
	for family, pattern := range map[string]string{
		"read":       `^p?read(v2?|64)?$|^preadv2?$`,
		"write":      `^p?write(v2?|64)?$|^pwritev2?$|^sendfile$|^copy_file_range$|^splice$`,
		"open":       `^open(at2?)?$|^creat$`,
		"fsync":      `^f(data)?sync$|^sync_file_range$|^syncfs$|^msync$`,
		"rename":     `^rename(at2?)?$`,
		"unlink":     `^unlink(at)?$`,
		"mkdir":      `^mkdir(at)?$`,
		"fork":       `^v?fork$|^clone3?$`,
		"exec":       `^execve(at)?$`,
		"epoll":      `^epoll_p?wait(2|_old)?$`,
		"poll":       `^p?poll$`,
		"select":     `^p?select6?$`,
		"accept":     `^accept4?$`,
		"send":       `^send(to|m?msg)?$`,
		"recv":       `^recv(from|m?msg)?$`,
		"stat":       `^[fl]?stat$|^newfstatat$|^statx$`,
		"truncate":   `^f?truncate$`,
		"link":       `^link(at)?$`,
		"symlink":    `^symlink(at)?$`,
		"chmod":      `^f?chmod(at2?)?$`,
		"chown":      `^[fl]?chown(at)?$`,
		"setxattr":   `^[fl]?setxattr(at)?$`,
		"getxattr":   `^[fl]?getxattr(at)?$`,
		"mknod":      `^mknod(at)?$`,
		"readlink":   `^readlink(at)?$`,
		"access":     `^f?access(at2?)?$`,
		"nanosleep":  `^(clock_)?nanosleep$`,
		"pipe":       `^pipe2?$`,
		"dup":        `^dup[23]?$`,
		"epoll_wait": `^epoll_p?wait(2|_old)?$`,
	} {
		re := regexp.MustCompile(pattern)
		listed := intercept.SyscallNames(family)
		for _, abi := range []string{"amd64", "arm64", "386", "arm"} {
			for call := range newABI(abi).number {
				if re.MatchString(call) && !slices.Contains(listed, call) {
					t.Errorf("family %s lacks %s of %s", family, call, abi)
				}
			}
		}
	}
	for _, family := range intercept.SyscallFamilies() {
		for _, call := range intercept.SyscallNames(family) {
			known := false
			for _, abi := range []string{"amd64", "arm64", "386", "arm"} {
				known = known || newABI(abi).number[call] != nil
			}
			if !known {
				t.Errorf("family %s: no machine has a call %s", family, call)
			}
		}
	}
	for call := range signatures {
		if newABI("amd64").number[call] == nil && newABI("386").number[call] == nil && newABI("arm").number[call] == nil {
			t.Errorf("signatures: no machine has a call %s", call)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, name := range []string{"write", "pwritev2", "fork", "exec", "send", "getrandom", "io_uring_setup", "FSYNC"} {
		if err := Check(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"wirte": "did you mean `write`?", "fdatasnyc": "did you mean `fdatasync`?", "conect": "did you mean `connect`?",
		"exit_group": "never returns", "xyzzy_plugh": "there is no system call `xyzzy_plugh`",
	} {
		if err := Check(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if err := Check("arm_fadvise64_64"); err == nil {
		t.Error("a call of another machine under its own name is taken")
	}
}

// TestCheckTerms refuses what can match none of a call's arguments.
func TestCheckTerms(t *testing.T) {
	for call, want := range map[string][2]string{ // for path, for to
		"write": {}, "fsync": {}, "connect": {}, "sendmsg": {}, "msync": {"", "about no socket"}, "open": {"", "about no socket"},
		"getpid": {"about no file", "about no socket"}, "nanosleep": {"about no file", "about no socket"}, "socket": {"about no file", "about no socket"},
	} {
		for i, name := range []string{"path", "to"} {
			term, _ := intercept.NewTerm(intercept.Syscalls, name, "", "/x")
			if _, err := CheckFault(call, intercept.Fault{Do: intercept.Kill}, intercept.Match{term}); (err == nil) != (want[i] == "") || err != nil && !strings.Contains(err.Error(), want[i]) {
				t.Errorf("%s %s: %v, want %q", call, name, err, want[i])
			}
		}
	}
}

func TestCheckFault(t *testing.T) {
	deny := func(e unix.Errno) intercept.Fault { return intercept.Fault{Do: intercept.Deny, Errno: int(e)} }
	for _, c := range []struct {
		call          string
		fault         intercept.Fault
		warning, fail string
	}{
		{"fsync", deny(unix.EIO), "", ""},
		{"write", deny(unix.ENOSPC), "", ""},
		{"write", deny(unix.EAGAIN), "", ""},
		{"connect", deny(unix.ECONNREFUSED), "", ""},
		{"openat", deny(unix.EMFILE), "", ""},
		{"unlink", deny(unix.ENOTSUP), "", ""},
		{"getpid", deny(unix.EIO), "", ""},
		{"fsync", deny(unix.ECONNRESET), "fsync(2) never returns ECONNRESET", ""},
		{"connect", deny(unix.ENOSPC), "never returns ENOSPC", ""},
		{"write", intercept.Fault{Do: intercept.Short}, "", ""},
		{"fsync", intercept.Fault{Do: intercept.Short}, "", "cannot be cut short"},
		{"fsync", intercept.Fault{Do: intercept.Lie}, "", ""},
		{"open", intercept.Fault{Do: intercept.Lie}, "", "cannot be lied about"},
		{"getpid", intercept.Fault{Do: intercept.Kill}, "", ""},
	} {
		warning, err := CheckFault(c.call, c.fault, nil)
		if (c.warning == "") != (warning == "") || !strings.Contains(warning, c.warning) {
			t.Errorf("%s %v: warning %q, want %q", c.call, c.fault.Do, warning, c.warning)
		}
		if (c.fail == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%s %v: error %v, want %q", c.call, c.fault.Do, err, c.fail)
		}
	}
}
