package syscalls

// signatures says what the arguments of a call lead to, a letter each:
//
//	f  descriptor that the call is about
//	d  folder descriptor that the next path starts from
//	p  path; a link at its end is followed
//	l  path; a link at its end is itself meant
//	a  socket address, its length in the next argument
//	m  struct msghdr, which may hold a socket address
//	v  address in a mapped file
//	.  none of these
//
// Calls that are not listed lead to nothing that a rule could match.
var signatures = map[string]string{
	"read": "f", "write": "f", "readv": "f", "writev": "f", "pread64": "f", "pwrite64": "f",
	"preadv": "f", "pwritev": "f", "preadv2": "f", "pwritev2": "f", "lseek": "f", "close": "f",
	"sendfile": "f", "copy_file_range": "..f", "splice": "..f", "vmsplice": "f", "tee": ".f",
	"fsync": "f", "fdatasync": "f", "sync_file_range": "f", "syncfs": "f", "msync": "v", "readahead": "f",
	"ftruncate": "f", "fallocate": "f", "fadvise64": "f", "flock": "f", "fcntl": "f", "ioctl": "f", "mmap": "....f",
	"dup": "f", "dup2": "f", "dup3": "f", "fstat": "f", "fstatfs": "f", "getdents": "f", "getdents64": "f", "readdir": "f",
	"fchmod": "f", "fchown": "f", "fchdir": "f", "fsetxattr": "f", "fgetxattr": "f", "flistxattr": "f", "fremovexattr": "f",
	"open": "p", "openat": "dp", "openat2": "dp", "creat": "p", "name_to_handle_at": "dp",
	"stat": "p", "lstat": "l", "newfstatat": "dp", "statx": "dp", "statfs": "p", "access": "p", "faccessat": "dp", "faccessat2": "dp",
	"chmod": "p", "fchmodat": "dp", "fchmodat2": "dp", "chown": "p", "lchown": "l", "fchownat": "dp",
	"utime": "p", "utimes": "p", "utimensat": "dp", "futimesat": "dp", "truncate": "p",
	"rename": "ll", "renameat": "dldl", "renameat2": "dldl", "unlink": "l", "unlinkat": "dl", "rmdir": "l",
	"mkdir": "l", "mkdirat": "dl", "mknod": "l", "mknodat": "dl", "link": "ll", "linkat": "dldl", "symlink": ".l", "symlinkat": ".dl",
	"readlink": "l", "readlinkat": "dl", "chdir": "p", "chroot": "p", "execve": "p", "execveat": "dp", "uselib": "p",
	"setxattr": "p", "lsetxattr": "l", "setxattrat": "dp", "getxattr": "p", "lgetxattr": "l", "getxattrat": "dp",
	"listxattr": "p", "llistxattr": "l", "removexattr": "p", "lremovexattr": "l",
	"listxattrat": "dp", "removexattrat": "dp", "file_getattr": "dp", "file_setattr": "dp", "cachestat": "f", "quotactl_fd": "f",
	"open_tree": "dp", "open_tree_attr": "dp", "move_mount": "dpdp", "mount_setattr": "dp", "fspick": "dp", "fanotify_mark": "...dp", "pivot_root": "pp",
	"mount": ".p", "umount2": "p", "swapon": "p", "swapoff": "p", "acct": "p", "inotify_add_watch": ".p", "quotactl": ".p",
	"connect": "fa", "bind": "fa", "listen": "f", "accept": "f", "accept4": "f", "shutdown": "f",
	"getsockname": "f", "getpeername": "f", "setsockopt": "f", "getsockopt": "f",
	"send": "f", "sendto": "f...a", "sendmsg": "fm", "sendmmsg": "fm", "recv": "f", "recvfrom": "f", "recvmsg": "f", "recvmmsg": "f",
	"epoll_wait": "f", "epoll_wait_old": "f", "epoll_pwait": "f", "epoll_pwait2": "f", "epoll_ctl": "..f",
}
