package intercept

import (
	"slices"
	"strings"

	"faultbox/protocols"
)

// Syscalls is the protocol of system calls. Its items hold in Op the call's
// name as in syscalls(2), and in Attrs what its arguments lead to: "path", the
// absolute path of the file; "fd", what the descriptor is ("file", "socket" or
// "other"); "files", whether the path is the program's "own" or the "system"'s
// (libraries, their loader and its configuration, /proc, /sys and /dev); "to",
// the address at the socket's other end, and the service and interface that it
// is known as ("db", "db.main"); "process", the name of the calling process.
//
// A rule's To is the service that makes the calls. The pattern of "call" is a
// family or a call, or several of them separated by "|".
var Syscalls = &protocols.Protocol{
	Name: "syscall",
	Doc:  "system calls of a service",
	Fields: map[string]protocols.Field{
		"call":    {Of: "op", Fold: true, Wild: inFamily},
		"path":    {Of: "path"},
		"fd":      {Of: "fd"},
		"files":   {Of: "files"},
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
	"clone":      {"clone", "clone3"},
	"dup":        {"dup", "dup2", "dup3"},
	"epoll":      {"epoll_wait", "epoll_wait_old", "epoll_pwait", "epoll_pwait2"},
	"epoll_wait": {"epoll_wait", "epoll_wait_old", "epoll_pwait", "epoll_pwait2"},
	"exec":       {"execve", "execveat"},
	"execve":     {"execve", "execveat"},
	"fork":       {"fork", "vfork", "clone", "clone3"},
	"fsync":      {"fsync", "fdatasync", "sync_file_range", "syncfs", "msync"},
	"getdents":   {"getdents", "getdents64", "readdir"},
	"getxattr":   {"getxattr", "lgetxattr", "fgetxattr", "getxattrat"},
	"kill":       {"kill", "tkill", "tgkill", "pidfd_send_signal"},
	"link":       {"link", "linkat"},
	"mkdir":      {"mkdir", "mkdirat"},
	"mknod":      {"mknod", "mknodat"},
	"nanosleep":  {"nanosleep", "clock_nanosleep"},
	"open":       {"open", "openat", "openat2", "creat", "open_by_handle_at"},
	"pipe":       {"pipe", "pipe2"},
	"poll":       {"poll", "ppoll"},
	"read":       {"read", "readv", "pread64", "preadv", "preadv2", "sendfile", "copy_file_range", "splice"},
	"readlink":   {"readlink", "readlinkat"},
	"recv":       {"recv", "recvfrom", "recvmsg", "recvmmsg"},
	"recvfrom":   {"recv", "recvfrom", "recvmsg", "recvmmsg"},
	"rename":     {"rename", "renameat", "renameat2"},
	"select":     {"select", "pselect6"},
	"send":       {"send", "sendto", "sendmsg", "sendmmsg"},
	"sendto":     {"send", "sendto", "sendmsg", "sendmmsg"},
	"setxattr":   {"setxattr", "lsetxattr", "fsetxattr", "setxattrat"},
	"stat":       {"stat", "fstat", "lstat", "newfstatat", "statx"},
	"statfs":     {"statfs", "fstatfs"},
	"symlink":    {"symlink", "symlinkat"},
	"sync":       {"sync", "syncfs"},
	"truncate":   {"truncate", "ftruncate"},
	"unlink":     {"unlink", "unlinkat"},
	"utime":      {"utime", "utimes", "utimensat", "futimesat"},
	"wait":       {"wait4", "waitid"},
	"write":      {"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice"},
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

// ReadSide is the end of the Op of an item that is about the file which a call
// reads, for calls that write another (CopyCalls): rules on read look at that.
const ReadSide = " (read)"

// CopyCalls are the calls that read one file and write another. Their items are
// about the one that is written; Other is about the one that is read.
var CopyCalls = []string{"sendfile", "copy_file_range", "splice"}

// inFamily reports whether call belongs to one of the names in pattern.
func inFamily(pattern, call string) bool {
	call, reads := strings.CutSuffix(strings.ToLower(call), ReadSide)
	copies := slices.Contains(CopyCalls, call)
	for name := range strings.SplitSeq(pattern, "|") {
		name = strings.TrimSpace(name)
		if slices.Contains(SyscallNames(name), call) && (!copies || reads == strings.EqualFold(name, "read")) {
			return true
		}
	}
	return false
}

// Watched returns the system calls and families that must be watched for a rule.
func (r *Rule) Watched() []string {
	names := r.Calls()
	if r.lies() {
		names = append(names, LieCalls...)
	}
	if slices.ContainsFunc(r.Match, func(t Term) bool { return r.Proto == Syscalls.Name && t.Name == "to" }) {
		names = append(names, "connect") // tells whom a socket is connected to
	}
	return names
}

// lies reports whether a rule lies about syncing files.
func (r *Rule) lies() bool {
	return r.Proto == Syscalls.Name && r.Fault.Do == Lie && r.Match.syncs()
}

// Calls returns the system calls and families that a rule names.
func (r *Rule) Calls() (names []string) {
	for _, t := range r.Match {
		if r.Proto == Syscalls.Name && t.Name == "call" {
			for name := range strings.SplitSeq(t.Pattern, "|") {
				names = append(names, strings.TrimSpace(name))
			}
		}
	}
	return names
}

// callNeeds says what a matcher of system calls looks at.
var callNeeds = map[string]Needs{"path": NeedsFile, "fd": NeedsFile, "files": NeedsFile, "to": NeedsPeer, "process": NeedsProcess}

// Needs says what the armed rules need to know of a system call, of which the
// event names the service and the call.
func (r *Rules) Needs(ev *Event) (n Needs) {
	for _, a := range *r.list.Load() {
		if !a.concerns(ev) {
			continue
		}
		if !a.Match.callFits(ev.Op) {
			if a.lies() && slices.ContainsFunc(LieCalls, func(f string) bool { return slices.Contains(families[f], ev.Op) || f == ev.Op }) {
				n |= NeedsCall | NeedsFile
			}
			continue
		}
		n |= NeedsCall
		for i := range a.Match {
			n |= callNeeds[a.Match[i].field.Of]
		}
	}
	return n
}

// LiesAbout reports whether an armed rule lies about syncing the file of an
// item, whenever its trigger may fire.
func (r *Rules) LiesAbout(ev *Event, item *protocols.Item) bool {
	for _, a := range *r.list.Load() {
		if !a.lies() || !a.concerns(ev) {
			continue
		}
		fits := true
		for i := range a.Match {
			fits = fits && (a.Match[i].field.Of == "op" || a.Match[i].matches(item))
		}
		if fits {
			return true
		}
	}
	return false
}

// Folders returns the folders that rules about the calls of the event's service
// look for paths in, as the rules spell them.
func (r *Rules) Folders(ev *Event) []string { return (*r.folders.Load())[ev.To] }

// foldersOf lists by service the folders that rules look for paths in.
func foldersOf(list []*ActiveRule) map[string][]string {
	folders := make(map[string][]string)
	for _, a := range list {
		if a.Proto != Syscalls.Name {
			continue
		}
		for _, t := range a.Match {
			if f := folder(t.Pattern); t.field.Of == "path" && f != "" && !slices.Contains(folders[a.To], f) {
				folders[a.To] = append(folders[a.To], f)
			}
		}
	}
	return folders
}

// folder returns the last folder that a pattern names without wildcards, or all
// of a pattern that has none; "" if that is the root, or not absolute.
func folder(pattern string) string {
	if i := strings.IndexAny(pattern, "*?"); i >= 0 {
		pattern = pattern[:strings.LastIndexByte(pattern[:i], '/')+1]
	}
	if pattern = strings.TrimRight(pattern, "/"); !strings.HasPrefix(pattern, "/") {
		return ""
	}
	return pattern
}

// syncs reports whether the terms fit a call that syncs a file.
func (m Match) syncs() bool {
	return slices.ContainsFunc(families["fsync"], m.callFits)
}

// LieCalls are the calls to watch where a rule lies about syncing, so that a
// crash can undo what was written since a file was last synced.
var LieCalls = []string{"fsync", "sync", "write", "truncate", "fallocate", "open", "mmap"}

// callFits reports whether the terms about the call's name hold.
func (m Match) callFits(call string) bool {
	return m.sideFits(call) || slices.Contains(CopyCalls, call) && m.sideFits(call+ReadSide)
}

func (m Match) sideFits(call string) bool {
	for i := range m {
		if m[i].field.Of == "op" && !m[i].value(call) {
			return false
		}
	}
	return true
}
