//go:build linux

package process

import (
	"bytes"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// maxLine bounds a line: what is longer comes in pieces.
const maxLine = 64 << 10

// follower reads lines from files as they grow (inotify(7)).
type follower struct {
	notify *os.File // nil: the kernel has no watch left; the files are polled
	files  []*tailed
	all    *os.File // takes a copy; nil if it cannot be opened
	fn     func(stream, line string)
	stop   chan struct{}
	done   chan struct{}
}

// tailed is one of the files.
type tailed struct {
	stream string
	file   *os.File
	buf    []byte // read, and not yet a line
}

func newFollower(watch []watched, all string, fn func(stream, line string)) *follower {
	f := &follower{fn: fn, stop: make(chan struct{}), done: make(chan struct{})}
	f.all, _ = openLog(all, nil)
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err == nil {
		f.notify = os.NewFile(uintptr(fd), "inotify")
	}
	for _, w := range watch {
		file, err := os.Open(w.path)
		if err != nil {
			continue // the world is gone
		}
		f.files = append(f.files, &tailed{stream: w.stream, file: file})
		if f.notify != nil {
			if _, err := unix.InotifyAddWatch(fd, w.path, unix.IN_MODIFY); err != nil {
				f.notify.Close()
				f.notify = nil
			}
		}
	}
	go f.run()
	return f
}

// run reads until end is called.
func (f *follower) run() {
	defer close(f.done)
	events := make([]byte, 4096)
	for {
		for _, t := range f.files {
			f.read(t)
		}
		select {
		case <-f.stop:
			f.finish()
			return
		default:
		}
		if f.notify == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		f.notify.Read(events) // a deadline, set by end, ends it too
	}
}

// end delivers what is left and waits for the last call of fn.
func (f *follower) end() {
	close(f.stop)
	if f.notify != nil {
		f.notify.SetReadDeadline(time.Unix(1, 0))
	}
	<-f.done
}

// finish reads each file to its end, the unfinished last line included.
func (f *follower) finish() {
	for _, t := range f.files {
		f.read(t)
		if len(t.buf) > 0 {
			f.line(t, t.buf)
		}
		t.file.Close()
	}
	if f.notify != nil {
		f.notify.Close()
	}
	if f.all != nil {
		f.all.Close()
	}
}

// read delivers the lines that were added to a file.
func (f *follower) read(t *tailed) {
	for {
		if len(t.buf) == cap(t.buf) {
			t.buf = append(make([]byte, 0, max(4096, 2*cap(t.buf))), t.buf...)
		}
		n, err := t.file.Read(t.buf[len(t.buf):cap(t.buf)])
		t.buf = t.buf[:len(t.buf)+n]
		rest := t.buf
		for {
			line, after, found := bytes.Cut(rest, []byte("\n"))
			if !found {
				break
			}
			f.line(t, line)
			rest = after
		}
		if len(rest) >= maxLine {
			f.line(t, rest)
			rest = nil
		}
		t.buf = t.buf[:copy(t.buf, rest)]
		if n == 0 || err != nil {
			return
		}
	}
}

func (f *follower) line(t *tailed, line []byte) {
	if f.all != nil {
		f.all.Write(append(line[:len(line):len(line)], '\n'))
	}
	f.fn(t.stream, string(bytes.TrimSuffix(line, []byte("\r"))))
}
