//go:build linux

package syscalls

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// journal keeps what files held when they were last synced for real, as far as
// it was written over since: the disk that a rule lies about. A crash puts it
// back. Only what files hold and their sizes go back: names (create, rename,
// unlink) are as durable as on a file system that journals them. What is written
// through a mapping is not seen as it happens: what is mapped to be written to is
// kept beforehand, and again after each real sync.
type journal struct {
	mu    sync.Mutex
	files map[inode]*unsynced
}

type inode struct{ dev, ino uint64 }

// unsynced is a file with bytes that a crash loses.
type unsynced struct {
	file  *os.File
	path  string
	size  int64            // when it was last synced
	pages map[int64][]byte // what pages held then, by number
	wrote int64            // bytes written since

	mapped []span64 // where it can be written to without a call
}

type span64 struct{ at, len int64 }

// maxMapped bounds the mapping that is kept.
const maxMapped = 1 << 28

const journalPage = 4096

// changes are the calls that change what a file holds.
var changes = []string{
	"write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "splice",
	"truncate", "ftruncate", "fallocate", "open", "openat", "openat2", "creat", "mmap",
}

// syncings are the calls that sync one file; the others of their family sync more.
var syncings = []string{"fsync", "fdatasync", "sync_file_range", "msync", "syncfs", "sync"}

// change is a call that changes a file.
type change struct {
	name    string // in /proc/<tid>: fd/<n>, or root/<path>
	at, len int64  // len < 0: to the end
	mapped  bool   // from now on, without a call
}

// changeOf says what a call is about to change.
func (s *supervisor) changeOf(k *looker, n *notification, name string) (c change, ok bool) {
	narrow := compat() != nil && n.arch == compat().audit
	long := func(i, wide int) int64 { // a 64-bit argument, in two words on 32-bit machines
		if narrow {
			return int64(uint32(n.args[wide])) | int64(n.args[wide+1])<<32
		}
		return int64(n.args[i])
	}
	byPath := func() change { return change{name: "root" + s.ev.Key, len: -1} }
	onFD := func(i int, at, size int64) change {
		fd := int(int32(n.args[i]))
		if at < 0 {
			at = k.position(fd)
		}
		return change{name: "fd/" + strconv.Itoa(fd), at: at, len: size}
	}
	switch name {
	case "sendfile":
		return onFD(0, -1, int64(n.args[3])), true
	case "copy_file_range", "splice":
		at := int64(-1)
		if n.args[3] != 0 {
			var words [2]uint32
			k.words(k.tid, n.args[3], words[:])
			at = int64(words[0]) | int64(words[1])<<32
		}
		return onFD(2, at, int64(n.args[4])), true
	case "ftruncate":
		return onFD(0, long(1, 1), -1), true
	case "truncate":
		c = byPath()
		c.at = long(1, 1)
		return c, true
	case "fallocate":
		return onFD(0, long(2, 2), long(3, 4)), true
	case "mmap":
		at, shared := int64(n.args[5]), n.args[3]&unix.MAP_TYPE != unix.MAP_PRIVATE
		if narrow { // mmap2: in pages; the mmap before it has no arguments that we could read
			at *= 4096
		}
		c = onFD(4, at, int64(n.args[1]))
		c.mapped = true
		return c, shared && n.args[2]&unix.PROT_WRITE != 0 && int32(n.args[4]) >= 0
	case "creat":
		return byPath(), true
	case "open", "openat":
		return byPath(), n.args[strings.IndexByte(signatures[name], 'p')+1]&unix.O_TRUNC != 0
	case "openat2":
		var how [2]uint32
		return byPath(), k.words(k.tid, n.args[2], how[:]) && how[0]&unix.O_TRUNC != 0
	}
	t, ok := s.transfer(k, n, name)
	if !ok || !t.out {
		return c, false
	}
	return onFD(0, t.at, int64(t.length())), true
}

// position returns where in a file the caller's next write goes.
func (k *looker) position(fd int) int64 {
	info, _ := k.file("fdinfo/" + strconv.Itoa(fd))
	field := func(name string, base int) int64 {
		_, rest, _ := strings.Cut(info, name)
		line, _, _ := strings.Cut(rest, "\n")
		v, _ := strconv.ParseInt(strings.TrimSpace(line), base, 64)
		return v
	}
	if field("flags:", 8)&unix.O_APPEND != 0 {
		var st unix.Stat_t
		if unix.Stat(string(k.proc0("fd/"+strconv.Itoa(fd))), &st) == nil {
			return st.Size
		}
	}
	return field("pos:", 10)
}

// keep saves what a call is about to overwrite. begin says that a rule lies
// about the file; one that is in the journal stays in it until it is synced.
func (j *journal) keep(k *looker, c change, path string, begin bool) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !begin && len(j.files) == 0 {
		return nil
	}
	var st unix.Stat_t
	name := string(k.proc0(c.name))
	if unix.Stat(name, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil // not made yet, or no file
	}
	u := j.files[inode{st.Dev, st.Ino}]
	if u == nil {
		if !begin {
			return nil
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return fmt.Errorf("open %s to keep what a crash brings back: %w", path, err)
		}
		u = &unsynced{file: f, path: path, size: st.Size, pages: make(map[int64][]byte)}
		if j.files == nil {
			j.files = make(map[inode]*unsynced)
		}
		j.files[inode{st.Dev, st.Ino}] = u
	}
	if c.mapped {
		u.mapped = append(u.mapped, span64{c.at, c.len})
		return u.saveMapped()
	}
	u.wrote += max(c.len, 0)
	return u.save(c.at, c.len)
}

// saveMapped keeps what can be written to without a call.
func (u *unsynced) saveMapped() error {
	for _, m := range u.mapped {
		if min(m.len, u.size-m.at) > maxMapped {
			return fmt.Errorf("keep what a crash brings back: %s is mapped into memory, and too large for that: what is written through the mapping is not lost in a crash", u.path)
		}
		if err := u.save(m.at, m.len); err != nil {
			return err
		}
	}
	return nil
}

// renew takes what a file holds now for durable.
func (u *unsynced) renew() error {
	info, err := u.file.Stat()
	if err != nil {
		return fmt.Errorf("read %s to keep what a crash brings back: %w", u.path, err)
	}
	u.size, u.pages, u.wrote = info.Size(), make(map[int64][]byte), 0
	return u.saveMapped()
}

// save reads the pages that are to be written for the first time.
func (u *unsynced) save(at, size int64) error {
	end := u.size
	if size >= 0 {
		end = min(at+size, u.size)
	}
	for p := max(at, 0) / journalPage; p*journalPage < end; p++ {
		if _, ok := u.pages[p]; ok {
			continue
		}
		page := make([]byte, min(journalPage, u.size-p*journalPage))
		n, err := u.file.ReadAt(page, p*journalPage)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read %s to keep what a crash brings back: %w", u.path, err)
		}
		u.pages[p] = page[:n]
	}
	return nil
}

// synced says that what a file holds, or every file if name is "", is durable.
func (j *journal) synced(k *looker, name string) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.files) == 0 {
		return nil
	}
	var st unix.Stat_t
	if name != "" && unix.Stat(string(k.proc0(name)), &st) != nil {
		return nil
	}
	for id, u := range j.files {
		switch {
		case name != "" && id != (inode{st.Dev, st.Ino}):
		case len(u.mapped) > 0:
			err = errors.Join(err, u.renew())
		default:
			u.file.Close()
			delete(j.files, id)
		}
	}
	return err
}

func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.files) == 0
}

// rollBack gives every file what it held when it was last synced. No process
// may be left that writes to them. It says what was lost.
func (j *journal) rollBack() (lost []string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, u := range slices.SortedFunc(maps.Values(j.files), func(a, b *unsynced) int { return strings.Compare(a.path, b.path) }) {
		for p, page := range u.pages {
			if _, e := u.file.WriteAt(page, p*journalPage); e != nil && err == nil {
				err = fmt.Errorf("give %s back what it held: %w", u.path, e)
			}
		}
		if e := u.file.Truncate(u.size); e != nil && err == nil {
			err = fmt.Errorf("give %s back its size: %w", u.path, e)
		}
		u.file.Close()
		through := ""
		if len(u.mapped) > 0 {
			through = ", and what was written through a mapping"
		}
		lost = append(lost, fmt.Sprintf("%s (%d bytes written%s)", u.path, u.wrote, through))
	}
	j.files = nil
	return lost, err
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, u := range j.files {
		u.file.Close()
	}
	j.files = nil
}
