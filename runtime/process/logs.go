//go:build linux

package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"faultbox/runtime"
)

// tailBytes is how far back the last lines are looked for.
const tailBytes = 64 << 10

// logs are the files that a service writes to, in the folder "logs" of its
// world: NAME.log takes both streams, in the order in which they were written.
// A stream that is observed goes to NAME.stdout or NAME.stderr instead and is
// copied to NAME.log as its lines are read.
type logs struct {
	all            string   // path of NAME.log
	begin          int64    // where this start of the service begins in it
	stdout, stderr *os.File // the service's ends, until it was started

	watched []watched
	once    sync.Once // follow
	f       *follower // nil unless follow was called
}

// watched is an observed stream.
type watched struct{ stream, path string }

// openLogs makes the files. The caller calls closeOutputs after the service
// was started, or failed to start.
func openLogs(dir string, s *runtime.Service, cred *syscall.Credential) (l *logs, err error) {
	l = &logs{}
	defer func() {
		if err != nil {
			l.closeOutputs()
			err = fmt.Errorf("open log file: %w", err)
		}
	}()
	dir = filepath.Join(dir, "logs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return l, err
	}
	base := filepath.Join(dir, strings.ReplaceAll(s.Name, "/", "_"))
	l.all = base + ".log"
	if info, err := os.Stat(l.all); err == nil {
		l.begin = info.Size()
	}
	open := func(stream string) (*os.File, error) {
		if !slices.ContainsFunc(s.Observe, func(o runtime.Observer) bool { return o.Stream == stream }) {
			return openLog(l.all, cred)
		}
		path := base + "." + stream
		os.Remove(path) // of an earlier start
		l.watched = append(l.watched, watched{stream, path})
		return openLog(path, cred)
	}
	if l.stdout, err = open("stdout"); err != nil {
		return l, err
	}
	l.stderr, err = open("stderr")
	return l, err
}

// openLog opens a file to append to. It belongs to the service's user, so that
// a program that opens /dev/stdout may.
func openLog(path string, cred *syscall.Credential) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if cred != nil {
		if err := f.Chown(int(cred.Uid), int(cred.Gid)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// outputs returns the paths of the service's ends, as the kernel has them.
func (l *logs) outputs() (paths []string) {
	for _, f := range []*os.File{l.stdout, l.stderr} {
		if path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd())); err == nil && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// closeOutputs closes the service's ends.
func (l *logs) closeOutputs() {
	for _, f := range []*os.File{l.stdout, l.stderr} {
		if f != nil {
			f.Close()
		}
	}
}

// follow has fn called for each line of the observed streams.
func (l *logs) follow(fn func(stream, line string)) {
	if len(l.watched) > 0 {
		l.once.Do(func() { l.f = newFollower(l.watched, l.all, fn) })
	}
}

// end reads what was written last; no follower starts afterwards.
func (l *logs) end() {
	l.once.Do(func() {})
	if l.f != nil {
		l.f.end()
	}
}

// tail returns the last n lines, oldest first.
func (l *logs) tail(n int) []string {
	file, err := os.Open(l.all)
	if err != nil {
		return nil // nothing was written yet, or the world is closed
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() <= l.begin {
		return nil
	}
	from := max(l.begin, info.Size()-tailBytes)
	text := make([]byte, info.Size()-from)
	got, _ := file.ReadAt(text, from)
	text = text[:got]
	if from > l.begin { // starts in the middle of a line
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\r")
	}
	return lines[max(0, len(lines)-n):]
}
