//go:build linux

package syscalls

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// looker finds out what a call's arguments lead to. It is used by one
// goroutine at a time. What it reads is of the caller only if the notification
// is still valid afterwards.
type looker struct {
	tid  uint32
	path []byte // a path in /proc, NUL-terminated
	buf  [unix.PathMax + 1]byte
}

// proc sets path to /proc/<tid>/<what><n>, n left out if negative.
func (k *looker) proc(what string, n int) *byte {
	k.path = append(k.path[:0], "/proc/"...)
	k.path = strconv.AppendUint(k.path, uint64(k.tid), 10)
	k.path = append(k.path, '/')
	k.path = append(k.path, what...)
	if n >= 0 {
		k.path = strconv.AppendInt(k.path, int64(n), 10)
	}
	k.path = append(k.path, 0)
	return &k.path[0]
}

// readlink returns where a link of /proc leads; "" if it cannot be read.
func (k *looker) readlink(link *byte) string {
	at := unix.AT_FDCWD
	n, _, e := unix.Syscall6(unix.SYS_READLINKAT, uintptr(at), uintptr(unsafe.Pointer(link)), uintptr(unsafe.Pointer(&k.buf[0])), uintptr(len(k.buf)), 0, 0)
	if e != 0 {
		return ""
	}
	return string(k.buf[:n])
}

// descriptor returns what a descriptor of the caller is, as /proc shows it.
func (k *looker) descriptor(fd int) string {
	if fd < 0 {
		return ""
	}
	return strings.TrimSuffix(k.readlink(k.proc("fd/", fd)), " (deleted)")
}

// memory reads the caller's memory and returns how many bytes it got.
func (k *looker) memory(addr uint64, dst []byte) int {
	if addr == 0 || len(dst) == 0 {
		return 0
	}
	local := []unix.Iovec{{Base: &dst[0]}}
	local[0].SetLen(len(dst))
	remote := []unix.RemoteIovec{{Base: uintptr(addr), Len: len(dst)}}
	n, err := unix.ProcessVMReadv(int(k.tid), local, remote, 0)
	if err != nil {
		return 0
	}
	return n
}

// words reads 32-bit words.
func (k *looker) words(tid uint32, addr uint64, dst []uint32) bool {
	k.tid = tid
	raw := unsafe.Slice((*byte)(unsafe.Pointer(&dst[0])), 4*len(dst))
	return k.memory(addr, raw) == len(raw)
}

const page = 4096 // the smallest there is: reads stop there, as the next may not be mapped

// text reads a NUL-terminated string of at most PATH_MAX bytes.
func (k *looker) text(addr uint64) (string, bool) {
	have := 0
	for have < unix.PathMax {
		at := addr + uint64(have)
		want := min(page-int(at%page), unix.PathMax-have)
		n := k.memory(at, k.buf[have:have+want])
		if i := bytes.IndexByte(k.buf[have:have+n], 0); i >= 0 {
			return string(k.buf[:have+i]), true
		}
		if n < want {
			break
		}
		have += n
	}
	return "", false
}

// resolve returns the absolute path that a path of the caller leads to, with
// every link followed (the last one only if follow), in the caller's own view.
// Where nothing is there yet it is the path that would be made.
func (k *looker) resolve(dirfd int, path string, follow bool) string {
	if !strings.HasPrefix(path, "/") {
		dir := ""
		if dirfd == unix.AT_FDCWD {
			dir = k.readlink(k.proc("cwd", -1))
		} else {
			dir = k.descriptor(dirfd)
		}
		if path == "" {
			return dir
		}
		path = k.inRoot(dir + "/" + path)
	}
	clean := cleanPath(path)
	if special(clean) {
		if path = k.own(clean, follow); special(path) {
			return path // the kernel's own files, and links of other processes
		}
	}
	root, err := unix.Open(string(k.proc0("root")), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return clean
	}
	defer unix.Close(root)
	return k.resolveIn(root, path, follow, maxLinks)
}

// inRoot returns a path of our view as the caller's root has it.
func (k *looker) inRoot(path string) string {
	if root := k.readlink(k.proc("root", -1)); root != "/" {
		path = strings.TrimPrefix(path, root)
	}
	return path
}

// own returns where a path leads that goes by the caller's own links in /proc,
// such as /proc/self/fd/3; the path itself if it does not.
func (k *looker) own(path string, follow bool) string {
	link := ""
	switch dir, rest, _ := strings.Cut(path[1:], "/"); {
	case dir == "proc" && strings.HasPrefix(rest, "self/"), dir == "proc" && strings.HasPrefix(rest, "thread-self/"):
		_, link, _ = strings.Cut(rest, "/")
	case dir == "dev" && (rest == "stdin" || rest == "stdout" || rest == "stderr"):
		link = "fd/" + map[string]string{"stdin": "0", "stdout": "1", "stderr": "2"}[rest]
	case dir == "dev" && strings.HasPrefix(rest, "fd/"):
		link = rest
	default:
		return path
	}
	name, tail, _ := strings.Cut(link, "/")
	if name == "fd" {
		var n string
		n, tail, _ = strings.Cut(tail, "/")
		name += "/" + n
	}
	if tail == "" && !follow {
		return path
	}
	to := strings.TrimSuffix(k.readlink(k.proc(name, -1)), " (deleted)")
	if !strings.HasPrefix(to, "/") || anonymous(to) {
		return path
	}
	if tail != "" {
		to += "/" + tail
	}
	return k.inRoot(to)
}

// real returns where an absolute path of the caller leads, its end included, and
// whether all of it is there; of one that is not, as much as is there.
func (k *looker) real(path string) (real string, whole bool) {
	root, err := unix.Open(string(k.proc0("root")), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return path, false
	}
	defer unix.Close(root)
	for there := path; there != ""; there = there[:strings.LastIndexByte(there, '/')] {
		if real := k.walk(root, there, true); real != "" {
			return strings.TrimSuffix(real, "/") + path[len(there):], there == path
		}
	}
	return path, false
}

// maxLinks is how many links in a row are followed that lead to nothing yet.
const maxLinks = 40

// resolveIn resolves an absolute path below root.
func (k *looker) resolveIn(root int, path string, follow bool, links int) string {
	if p := k.walk(root, path, follow); p != "" {
		return p
	}
	clean := cleanPath(path)
	if to := k.dangling(root, path); follow && to != "" && links > 0 {
		if !strings.HasPrefix(to, "/") {
			to = path[:strings.LastIndexByte(path, '/')+1] + to
		}
		return k.resolveIn(root, to, true, links-1)
	}
	trimmed := strings.TrimRight(path, "/")
	i := strings.LastIndexByte(trimmed, '/')
	if i < 0 {
		return clean
	}
	dir, base := trimmed[:i+1], trimmed[i+1:]
	if p := k.walk(root, dir, true); p != "" && base != ".." && base != "." {
		return strings.TrimSuffix(p, "/") + "/" + base
	}
	return clean
}

// proc0 is proc without the NUL.
func (k *looker) proc0(what string) []byte {
	k.proc(what, -1)
	return k.path[:len(k.path)-1]
}

// walk opens what a path below root leads to and asks the kernel for its name;
// "" if there is nothing.
func (k *looker) walk(root int, path string, follow bool) string {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	if !follow {
		how.Flags |= unix.O_NOFOLLOW
	}
	for range 4 {
		fd, err := unix.Openat2(root, path, &how)
		if err == unix.EAGAIN || err == unix.EINTR { // a rename was under way
			continue
		}
		if err != nil {
			return ""
		}
		self := looker{}
		self.path = append(self.path, "/proc/self/fd/"...)
		self.path = append(strconv.AppendInt(self.path, int64(fd), 10), 0)
		name := k.readlink(&self.path[0])
		unix.Close(fd)
		return name
	}
	return ""
}

// dangling returns what a link contains; "" if path is not that of a link.
func (k *looker) dangling(root int, path string) string {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC | unix.O_NOFOLLOW, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(root, path, &how)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	n, err := unix.Readlinkat(fd, "", k.buf[:])
	if err != nil {
		return ""
	}
	return string(k.buf[:n])
}

// cleanPath resolves dots in an absolute path by its text alone.
func cleanPath(path string) string {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		switch part {
		case "", ".":
		case "..":
			parts = parts[:max(0, len(parts)-1)]
		default:
			parts = append(parts, part)
		}
	}
	return "/" + strings.Join(parts, "/")
}

// netAddr is a socket's address.
type netAddr struct {
	ip   netip.AddrPort
	path string // of a Unix socket
}

func (a netAddr) String() string {
	if a.ip.IsValid() {
		return a.ip.String()
	}
	return a.path
}

// address reads a struct sockaddr of the caller.
func (k *looker) address(addr uint64, size int) netAddr {
	var raw [128]byte
	n := k.memory(addr, raw[:min(max(size, 0), len(raw))])
	return parseAddress(raw[:n])
}

func parseAddress(raw []byte) netAddr {
	if len(raw) < 2 {
		return netAddr{}
	}
	switch family := uint16(raw[0]) | uint16(raw[1])<<8; {
	case family == unix.AF_INET && len(raw) >= 8:
		return netAddr{ip: netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), uint16(raw[2])<<8|uint16(raw[3]))}
	case family == unix.AF_INET6 && len(raw) >= 24:
		return netAddr{ip: netip.AddrPortFrom(netip.AddrFrom16([16]byte(raw[8:24])).Unmap(), uint16(raw[2])<<8|uint16(raw[3]))}
	case family == unix.AF_UNIX && len(raw) > 2 && raw[2] == 0:
		return netAddr{path: "@" + string(bytes.TrimRight(raw[3:], "\x00"))}
	case family == unix.AF_UNIX && len(raw) > 2:
		path, _, _ := bytes.Cut(raw[2:], []byte{0})
		return netAddr{path: string(path)}
	}
	return netAddr{}
}

// peer asks the kernel whom a socket of the caller is connected to.
func (k *looker) peer(fd int) netAddr {
	own, err := k.borrow(fd)
	if err != nil {
		return netAddr{}
	}
	defer unix.Close(own)
	var raw [128]byte
	size := uint32(len(raw))
	if _, _, e := unix.Syscall(unix.SYS_GETPEERNAME, uintptr(own), uintptr(unsafe.Pointer(&raw[0])), uintptr(unsafe.Pointer(&size))); e != 0 {
		return netAddr{}
	}
	return parseAddress(raw[:min(int(size), len(raw))])
}

// pidfdThread is PIDFD_THREAD (Linux 6.9).
const pidfdThread = unix.O_EXCL

// borrow returns a copy of a descriptor of the caller, for the caller to close.
func (k *looker) borrow(fd int) (int, error) {
	pidfd, err := unix.PidfdOpen(int(k.tid), pidfdThread)
	if err != nil {
		if pidfd, err = unix.PidfdOpen(k.status("Tgid:"), 0); err != nil {
			return -1, err
		}
	}
	defer unix.Close(pidfd)
	return unix.PidfdGetfd(pidfd, fd, 0)
}

// status returns a number of /proc/<tid>/status, 0 if it cannot be read.
func (k *looker) status(field string) int {
	rest, ok := k.file("status")
	if !ok {
		return 0
	}
	_, rest, _ = strings.Cut(rest, "\n"+field)
	line, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.Atoi(strings.TrimSpace(line))
	return n
}

// file reads the beginning of a file of /proc/<tid>.
func (k *looker) file(name string) (string, bool) {
	fd, err := unix.Open(string(k.proc0(name)), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", false
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, k.buf[:])
	return string(k.buf[:max(n, 0)]), err == nil
}

// process returns the name of the caller's process.
func (k *looker) process() string {
	tid := k.tid
	if tgid := k.status("Tgid:"); tgid > 0 {
		k.tid = uint32(tgid)
	}
	name, _ := k.file("comm")
	k.tid = tid
	return strings.TrimSuffix(name, "\n")
}
