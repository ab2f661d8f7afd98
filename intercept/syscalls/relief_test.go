//go:build linux

package syscalls

import "testing"

// TestStartsWhateverIsWatched starts a program many times on one processor of
// Go's with the calls watched that Go's scheduler makes in any thread's name.
func TestStartsWhateverIsWatched(t *testing.T) {
	t.Setenv("GOMAXPROCS", "1")
	for range 100 {
		h := newRecorder()
		if out, code := run(t, h, []string{"futex", "mmap", "clone", "write", "read", "nanosleep", "epoll_wait", "rt_sigprocmask", "fcntl"}, "true"); code != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
	}
}
