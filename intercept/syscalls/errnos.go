package syscalls

import (
	"fmt"
	"slices"
	"strings"

	"faultbox/intercept"
)

// class is a group of calls that fail for the same reasons.
type class struct {
	calls  []string // families and calls
	errnos string   // that their manual pages list
}

// Errors of the groups that make up the classes.
const (
	onPath  = "EACCES ELOOP ENAMETOOLONG ENOENT ENOTDIR EFAULT ENOMEM EBADF EINVAL EIO EPERM "
	onMake  = onPath + "EDQUOT EEXIST EMLINK ENOSPC EROFS EXDEV EBUSY EISDIR ENOTEMPTY EOVERFLOW ESTALE EOPNOTSUPP "
	onData  = "EAGAIN EBADF EFAULT EINTR EINVAL EIO EISDIR ENXIO EOVERFLOW ESPIPE ENOMEM EPERM ESTALE ENOTCONN ETIMEDOUT ECONNRESET EOPNOTSUPP "
	onWrite = onData + "EDESTADDRREQ EDQUOT EFBIG ENOSPC EPIPE EROFS ENOBUFS ETXTBSY EHOSTUNREACH ENETUNREACH ENETDOWN EXDEV "
	onNet   = "EACCES EADDRINUSE EADDRNOTAVAIL EAFNOSUPPORT EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED ECONNRESET EDESTADDRREQ EFAULT EHOSTDOWN EHOSTUNREACH EINPROGRESS EINTR EINVAL EISCONN EMSGSIZE ENETDOWN ENETRESET ENETUNREACH ENOBUFS ENOMEM ENOTCONN ENOTSOCK EOPNOTSUPP EPERM EPIPE EPROTO EPROTONOSUPPORT EPROTOTYPE ETIMEDOUT EMFILE ENFILE ENOENT ENOTDIR ELOOP ENAMETOOLONG EROFS ENOSR EIO "
	onTask  = "EAGAIN EINVAL ENOMEM ENOSPC EPERM EBUSY EUSERS EACCES EBADF EEXIST EOPNOTSUPP "
)

// classes lists what the manual pages (section 2) list. Calls in none of them
// are not judged.
var classes = []class{
	{[]string{"write"}, onWrite}, // before read: calls that copy are in both
	{[]string{"read", "recvfrom"}, onData + "ENETDOWN EHOSTUNREACH ENETUNREACH ECONNREFUSED ENOTSOCK "},
	{[]string{"sendto", "connect", "bind", "accept", "listen", "socket", "socketpair", "shutdown", "getsockname", "getpeername", "setsockopt", "getsockopt"}, onNet},
	{[]string{"open"}, onMake + "EAGAIN EFBIG EINTR EMFILE ENFILE ENODEV ENXIO ETXTBSY E2BIG "},
	{[]string{"fsync", "sync"}, "EBADF EINTR EINVAL EIO ENOSPC EROFS EDQUOT ESPIPE ENOMEM EBUSY "},
	{[]string{"rename", "unlink", "rmdir", "mkdir", "mknod", "link", "symlink"}, onMake},
	{[]string{"truncate", "fallocate"}, onMake + "EFBIG EINTR ENODEV ENOSYS ESPIPE ETXTBSY "},
	{[]string{"stat", "access", "readlink", "chdir", "chroot"}, onPath + "EOVERFLOW EROFS ETXTBSY "},
	{[]string{"chmod", "chown", "utime"}, onPath + "EROFS EOPNOTSUPP "},
	{[]string{"close"}, "EBADF EINTR EIO ENOSPC EDQUOT "},
	{[]string{"mmap"}, "EACCES EAGAIN EBADF EEXIST EINVAL ENFILE ENODEV ENOMEM EOVERFLOW EPERM ETXTBSY "},
	{[]string{"fork"}, onTask + "ENOSYS EINTR "},
	{[]string{"execve"}, onPath + "E2BIG EAGAIN EISDIR ELIBBAD EMFILE ENFILE ENOEXEC ETXTBSY "},
	{[]string{"epoll", "poll", "select"}, "EBADF EFAULT EINTR EINVAL ENOMEM EPERM "},
	{[]string{"getrandom"}, "EAGAIN EFAULT EINTR EINVAL ENOSYS "},
	{[]string{"nanosleep"}, "EFAULT EINTR EINVAL EOPNOTSUPP "},
	{[]string{"pipe", "dup"}, "EFAULT EINVAL EMFILE ENFILE EBADF EBUSY EINTR ENOPKG "},
	{[]string{"futex"}, "EACCES EAGAIN EDEADLK EFAULT EINTR EINVAL ENFILE ENOMEM ENOSYS EPERM ESRCH ETIMEDOUT "},
	{[]string{"flock"}, "EBADF EINTR EINVAL ENOLCK EAGAIN "},
}

// CheckFault returns an error if a fault cannot be done to a call or family, or if
// a term of its rule can match none of its calls, and a warning if its errno is
// none that the call returns on its own: what the program then does says little
// about what may happen to it.
func CheckFault(name string, f intercept.Fault, match intercept.Match) (warning string, err error) {
	calls := intercept.SyscallNames(name)
	for _, t := range match {
		lead, ok := leads[t.Name]
		if ok && !slices.ContainsFunc(calls, func(c string) bool { return strings.ContainsAny(signatures[c], lead.letters) }) {
			return "", fmt.Errorf("`%s` is about no %s, so there is nothing for `%s` to match", name, lead.what, t.Name)
		}
	}
	switch f.Do {
	case intercept.Short:
		if !slices.ContainsFunc(calls, func(c string) bool { return slices.Contains(transfers, c) }) {
			return "", fmt.Errorf("`%s` cannot be cut short; read, write, send and recv and their variants can", name)
		}
	case intercept.Lie:
		if !canLie(calls[0]) {
			return "", fmt.Errorf("`%s` cannot be lied about: it gives something back that only doing it gives; calls that just succeed (write, fsync, rename …) can", name)
		}
	case intercept.Deny:
		errno := ErrnoName(f.Errno)
		if c := classOf(calls[0]); c != nil && !c.lists(errno) {
			return fmt.Sprintf("%s(2) never returns %s: it is denied all the same, but what the program does then may tell little; usual are %s", calls[0], errno, c.usual()), nil
		}
	}
	return "", nil
}

// leads says which arguments of a call (see signatures) matchers look at.
var leads = map[string]struct{ letters, what string }{
	"path": {"fplvam", "file"}, "to": {"fam", "socket"},
}

// lists reports whether calls of the class return an error, by either name.
func (c *class) lists(errno string) bool {
	all := strings.Fields(c.errnos)
	return slices.Contains(all, errno) || errno == "ENOTSUP" && slices.Contains(all, "EOPNOTSUPP")
}

func classOf(call string) *class {
	for i := range classes {
		for _, name := range classes[i].calls {
			if slices.Contains(intercept.SyscallNames(name), call) {
				return &classes[i]
			}
		}
	}
	return nil
}

// usual names the errors that a class is mostly faulted with.
func (c *class) usual() string {
	var names []string
	for _, e := range strings.Fields("EIO ENOSPC EROFS EDQUOT ECONNREFUSED ECONNRESET ETIMEDOUT EPIPE EMFILE ENOENT EACCES ENOMEM EAGAIN EINTR") {
		if c.lists(e) && len(names) < 6 {
			names = append(names, e)
		}
	}
	return strings.Join(names, ", ")
}

// transfers are the calls that can be cut short; from write on they send.
var transfers = []string{
	"read", "pread64", "readv", "preadv", "preadv2", "recv", "recvfrom", "recvmsg",
	"write", "pwrite64", "writev", "pwritev", "pwritev2", "send", "sendto", "sendmsg",
}

func sends(transfer string) bool { return slices.Index(transfers, transfer) >= 8 }

func canLie(call string) bool {
	return slices.Contains(silent, call) || sends(call) || slices.Contains([]string{"sendfile", "copy_file_range", "splice"}, call)
}

// silent are the calls that return 0 when all is well and give nothing else
// back: whether they did anything shows later.
var silent = []string{
	"fsync", "fdatasync", "sync_file_range", "syncfs", "msync", "sync",
	"rename", "renameat", "renameat2", "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "link", "linkat", "symlink", "symlinkat",
	"truncate", "ftruncate", "fallocate", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat",
	"utime", "utimes", "utimensat", "futimesat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
	"flock", "setsockopt", "shutdown", "fadvise64", "madvise", "kill", "tgkill", "tkill",
}
