//go:build linux

package syscalls

import (
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
	"faultbox/protocols"
)

// inspect fills the event and the item with what the call is about.
func (s *supervisor) inspect(n *notification, name string, needs intercept.Needs) {
	it := &s.item
	*it = protocols.Item{Op: name, Attrs: s.attrs[:0]}
	s.look.tid = n.tid
	s.folders = nil
	if needs&intercept.NeedsFile != 0 {
		s.folders = s.handler.Folders(&s.ev)
	}
	if needs&intercept.NeedsProcess != 0 {
		s.attr("process", s.look.process())
	}
	signature := signatures[name]
	dirfd := unix.AT_FDCWD
	for i := range min(len(signature), len(n.args)) {
		switch arg := n.args[i]; signature[i] {
		case 'd':
			dirfd = int(int32(arg))
		case 'p', 'l':
			if path, ok := s.look.text(arg); ok {
				s.file(s.look.resolve(dirfd, path, signature[i] == 'p' && !nofollow(name, n)))
			} else if arg == 0 && dirfd != unix.AT_FDCWD { // utimensat(2), statx(2): the descriptor itself
				s.descriptor(n, name, dirfd, needs)
			}
			dirfd = unix.AT_FDCWD
		case 'v':
			if path := s.look.mapped(arg); path != "" {
				s.file(path)
			}
		case 'f':
			s.descriptor(n, name, int(int32(arg)), needs)
		}
	}
	if name == "socket" || name == "socketpair" {
		s.attr("fd", "socket")
	}
	if s.ev.Key == "" {
		s.attr("files", "own")
	}
	if slices.Contains(intercept.CopyCalls, name) {
		s.inspectSource(n, name, needs)
	}
	s.ev.Text = strings.TrimSpace(name + " " + s.ev.Key)
}

// inspectSource fills the other item with what a call that copies reads.
func (s *supervisor) inspectSource(n *notification, name string, needs intercept.Needs) {
	fd := n.args[0]
	if name == "sendfile" {
		fd = n.args[1]
	}
	written, key := s.item, s.ev.Key
	s.ev.Key = ""
	s.item = protocols.Item{Op: name + intercept.ReadSide, Attrs: s.otherAttrs[:0]}
	for _, a := range written.Attrs {
		if a.Name == "process" {
			s.attr(a.Name, a.Value)
		}
	}
	s.descriptor(n, name+intercept.ReadSide, int(int32(fd)), needs)
	if s.ev.Key == "" {
		s.attr("files", "own")
	}
	s.other, s.item = s.item, written
	s.item.Other = &s.other
	if s.ev.Key != "" && key != "" {
		s.ev.Key += " → "
	}
	s.ev.Key += key
}

func (s *supervisor) attr(name, value string) {
	s.item.Attrs = append(s.item.Attrs, protocols.Attr{Name: name, Value: value})
}

// file notes a path that the call is about.
func (s *supervisor) file(path string) {
	if s.ev.Key == "" {
		files := "own"
		if special(path) || library(path) || slices.Contains(s.outputs, path) {
			files = "system"
		}
		s.attr("fd", "file")
		s.attr("files", files)
	}
	s.attr("path", path)
	s.spell(path)
	if s.ev.Key == "" {
		s.ev.Key, s.item.Key = path, path
	} else {
		s.ev.Key += " → " + path
	}
}

// spell notes the path as rules spell it whose folder is reached by links.
func (s *supervisor) spell(path string) {
	for _, folder := range s.folders {
		real := s.real(folder)
		if rest, ok := strings.CutPrefix(path, real); ok && real != folder && (rest == "" || rest[0] == '/') {
			s.attr("path", folder+rest)
		}
	}
}

// real returns where a folder really is in the caller's view. That it is where
// it says is taken for true for a while; where links lead is asked each time.
func (s *supervisor) real(folder string) string {
	now := time.Now()
	if now.Before(s.unlinked[folder]) {
		return folder
	}
	real, whole := s.look.real(folder)
	if whole && real == folder {
		s.unlinked[folder] = now.Add(time.Second)
	}
	return real
}

// descriptor notes what the descriptor is that the call is about.
func (s *supervisor) descriptor(n *notification, name string, fd int, needs intercept.Needs) {
	if needs&(intercept.NeedsFile|intercept.NeedsPeer) == 0 {
		return
	}
	link := s.look.descriptor(fd)
	switch {
	case strings.HasPrefix(link, "/") && !anonymous(link) && !slices.Contains(s.outputs, link):
		s.file(link)
		return
	case !strings.HasPrefix(link, "socket:"):
		if link != "" {
			s.attr("fd", "other")
			s.attr("files", "own")
			s.ev.Key, s.item.Key = link, link
		}
		return
	}
	s.attr("fd", "socket")
	addr := s.destination(n, name)
	switch {
	case strings.HasPrefix(addr.path, "@"):
	case addr.path != "":
		addr.path = s.look.resolve(unix.AT_FDCWD, addr.path, true)
		s.attr("path", addr.path)
		s.spell(addr.path)
	case addr == (netAddr{}) && needs&intercept.NeedsPeer != 0:
		addr = s.connectedTo(link, fd)
	}
	if addr == (netAddr{}) {
		return
	}
	s.attr("files", "own")
	s.attr("to", addr.String())
	s.ev.Key, s.item.Key = addr.String(), addr.String()
	if p := s.peerAt(addr); p != nil {
		s.attr("to", p.To)
		s.attr("to", p.To+"."+p.Interface)
		s.ev.Key += " (" + p.To + ")"
	}
}

// anonymous reports whether what /proc shows as a path is memory, which no disk holds.
func anonymous(link string) bool {
	return strings.HasPrefix(link, "/memfd:") || strings.HasPrefix(link, "/SYSV") || link == "/anon_hugepage"
}

// destination returns the address among the arguments of a call, if any.
func (s *supervisor) destination(n *notification, name string) netAddr {
	signature := signatures[name]
	if i := strings.IndexByte(signature, 'a'); i >= 0 && i+1 < len(n.args) {
		return s.look.address(n.args[i], int(int32(n.args[i+1])))
	}
	if i := strings.IndexByte(signature, 'm'); i >= 0 && n.args[i] != 0 {
		if compat() != nil && n.arch == compat().audit {
			var head [2]uint32 // msg_name, msg_namelen
			if s.look.words(n.tid, n.args[i], head[:]) && head[0] != 0 {
				return s.look.address(uint64(head[0]), int(int32(head[1])))
			}
			return netAddr{}
		}
		var head [3]uint32
		if s.look.words(n.tid, n.args[i], head[:]) && (head[0] != 0 || head[1] != 0) {
			return s.look.address(uint64(head[0])|uint64(head[1])<<32, int(int32(head[2])))
		}
	}
	return netAddr{}
}

// maxPeers bounds how many sockets are remembered.
const maxPeers = 1 << 16

// remember notes whom a socket is being connected to: an armed edge leads the
// connection to the proxy, which the kernel then tells as its peer.
func (s *supervisor) remember(n *notification) {
	link := s.look.descriptor(int(int32(n.args[0])))
	addr := s.destination(n, "connect")
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.peers) >= maxPeers {
		clear(s.peers)
	}
	s.peers[link] = addr
}

func (s *supervisor) connectedTo(link string, fd int) netAddr {
	s.mu.Lock()
	addr, ok := s.peers[link]
	s.mu.Unlock()
	if ok {
		return addr
	}
	return s.look.peer(fd)
}

// peerAt returns the interface that listens at an address, nil if none is known.
func (s *supervisor) peerAt(addr netAddr) *intercept.Peer {
	if !addr.ip.IsValid() {
		return nil
	}
	for i := range s.known {
		if p := &s.known[i]; p.Addr.Port() == addr.ip.Port() && (p.Addr.Addr().IsUnspecified() || p.Addr.Addr().Unmap() == addr.ip.Addr()) {
			return p
		}
	}
	return nil
}

// nofollows says where calls take the flag that a link at the path's end is
// itself meant.
var nofollows = map[string]struct {
	arg  int
	flag uint64
}{
	"open": {1, unix.O_NOFOLLOW}, "openat": {2, unix.O_NOFOLLOW}, "statx": {2, unix.AT_SYMLINK_NOFOLLOW},
	"newfstatat": {3, unix.AT_SYMLINK_NOFOLLOW}, "faccessat2": {3, unix.AT_SYMLINK_NOFOLLOW}, "fchmodat2": {3, unix.AT_SYMLINK_NOFOLLOW},
	"utimensat": {3, unix.AT_SYMLINK_NOFOLLOW}, "fchownat": {4, unix.AT_SYMLINK_NOFOLLOW},
}

func nofollow(name string, n *notification) bool {
	f, ok := nofollows[name]
	return ok && n.args[f.arg]&f.flag != 0
}

// special reports whether a path is the kernel's own.
func special(path string) bool {
	for _, dir := range [...]string{"/proc", "/sys", "/dev"} {
		if rest, ok := strings.CutPrefix(path, dir); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// libraries are the folders of what programs share and read when they start.
var libraries = [...]string{"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/local/lib", "/usr/share", "/etc/ld.so."}

// library reports whether a path is that of a library, the loader or its
// configuration.
func library(path string) bool {
	for _, dir := range libraries {
		if rest, ok := strings.CutPrefix(path, dir); ok && (rest == "" || rest[0] == '/' || dir[len(dir)-1] == '.') {
			return true
		}
	}
	base := path[strings.LastIndexByte(path, '/')+1:]
	i := strings.Index(base, ".so")
	return i > 0 && (len(base) == i+3 || base[i+3] == '.')
}

// mapped returns the file that is mapped at an address.
func (k *looker) mapped(addr uint64) string {
	maps, err := os.ReadFile(string(k.proc0("maps")))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(maps)) {
		var lo, hi uint64
		span, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		from, to, _ := strings.Cut(span, "-")
		lo, hi = hex(from), hex(to)
		if addr < lo || addr >= hi {
			continue
		}
		if i := strings.IndexByte(rest, '/'); i >= 0 && !anonymous(rest[i:]) {
			return strings.TrimSuffix(rest[i:], " (deleted)")
		}
		return ""
	}
	return ""
}

func hex(s string) (n uint64) {
	for _, c := range []byte(s) {
		switch {
		case '0' <= c && c <= '9':
			n = n<<4 | uint64(c-'0')
		case 'a' <= c && c <= 'f':
			n = n<<4 | uint64(c-'a'+10)
		}
	}
	return n
}
