package intercept

import (
	"slices"
	"strings"

	"faultbox/protocols"
)

// Syscall is the protocol of system calls. Its items hold in Op the call's
// name as in syscalls(2), and in Attrs what its arguments lead to: "path", the
// absolute path of the file; "fd", what the descriptor is ("file", "socket" or
// "other"); "to", the service at the socket's other end; "process", the name
// of the calling process.
//
// A rule's To is the service that makes the calls. The pattern of "call" is a
// family or a call, or several of them separated by "|".
var Syscall = &protocols.Protocol{
	Name: "syscall",
	Doc:  "system calls of a service",
	Fields: map[string]protocols.Field{
		"call":    {Of: "op", Fold: true, Wild: inFamily},
		"path":    {Of: "path"},
		"fd":      {Of: "fd"},
		"to":      {Of: "to"},
		"process": {Of: "process"},
	},
	Faults: []string{"deny", "delay", "allow", "short", "lie", "crash"},
}

// families maps the name that a spec uses to the calls that do the same work.
var families = map[string][]string{
	"accept":     {"accept", "accept4"},
	"access":     {"access", "faccessat", "faccessat2"},
	"chmod":      {"chmod", "fchmod", "fchmodat", "fchmodat2"},
	"chown":      {"chown", "fchown", "lchown", "fchownat"},
	"dup":        {"dup", "dup2", "dup3"},
	"epoll_wait": {"epoll_wait", "epoll_pwait", "epoll_pwait2"},
	"exec":       {"execve", "execveat"},
	"execve":     {"execve", "execveat"},
	"fork":       {"fork", "vfork", "clone", "clone3"},
	"fsync":      {"fsync", "fdatasync"},
	"getdents":   {"getdents", "getdents64"},
	"link":       {"link", "linkat"},
	"mkdir":      {"mkdir", "mkdirat"},
	"open":       {"open", "openat", "openat2", "creat"},
	"pipe":       {"pipe", "pipe2"},
	"poll":       {"poll", "ppoll"},
	"read":       {"read", "readv", "pread64", "preadv", "preadv2"},
	"readlink":   {"readlink", "readlinkat"},
	"recvfrom":   {"recvfrom", "recvmsg", "recvmmsg"},
	"rename":     {"rename", "renameat", "renameat2"},
	"select":     {"select", "pselect6"},
	"sendto":     {"sendto", "sendmsg", "sendmmsg"},
	"stat":       {"stat", "fstat", "lstat", "newfstatat", "statx"},
	"symlink":    {"symlink", "symlinkat"},
	"sync":       {"sync", "syncfs"},
	"truncate":   {"truncate", "ftruncate"},
	"unlink":     {"unlink", "unlinkat"},
	"utime":      {"utime", "utimes", "utimensat", "futimesat"},
	"write":      {"write", "writev", "pwrite64", "pwritev", "pwritev2"},
	"wait":       {"wait4", "waitid"},
	"nanosleep":  {"nanosleep", "clock_nanosleep"},
	"setxattr":   {"setxattr", "lsetxattr", "fsetxattr"},
	"getxattr":   {"getxattr", "lgetxattr", "fgetxattr"},
}

// SyscallFamilies returns the names of the families, sorted.
func SyscallFamilies() []string {
	names := make([]string, 0, len(families))
	for name := range families {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// SyscallNames returns the calls that a family, or a call, stands for.
func SyscallNames(name string) []string {
	if calls, ok := families[strings.ToLower(name)]; ok {
		return calls
	}
	return []string{strings.ToLower(name)}
}

// inFamily reports whether call belongs to one of the names in pattern.
func inFamily(pattern, call string) bool {
	for name := range strings.SplitSeq(pattern, "|") {
		if slices.Contains(SyscallNames(strings.TrimSpace(name)), strings.ToLower(call)) {
			return true
		}
	}
	return false
}
