//go:build linux

package syscalls

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is memory that a supervisor shares with the keeper: every call that
// the kernel has handed over and that waits for its answer is written there.
// If the supervisor dies, the keeper knows whom to answer.
type arena struct {
	file *os.File
	mem  []byte

	mu   sync.Mutex
	free []int // slots given back
}

const (
	arenaSlots = 1 << 20 // calls that can wait at once; memory is taken as they are used
	arenaHead  = 128     // the notification that was received last; then a word a slot
	arenaSize  = arenaHead + 8*arenaSlots
)

func newArena() (*arena, error) {
	fd, err := unix.MemfdCreate("faultbox calls", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	if err := unix.Ftruncate(fd, arenaSize); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	return openArena(os.NewFile(uintptr(fd), "calls"))
}

// openArena maps the memory behind file and takes file over.
func openArena(file *os.File) (*arena, error) {
	mem, err := unix.Mmap(int(file.Fd()), 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	return &arena{file: file, mem: mem}, nil
}

// head is where notifications are received: the kernel writes straight into it.
func (a *arena) head() *notification { return (*notification)(unsafe.Pointer(&a.mem[0])) }

// used is how many slots were ever used.
func (a *arena) used() *uint64 { return (*uint64)(unsafe.Pointer(&a.mem[arenaHead-8])) }

func (a *arena) slot(i int) *uint64 {
	return (*uint64)(unsafe.Pointer(&a.mem[arenaHead+8*i]))
}

// put notes a call that waits beyond the next notification. -1: there is no
// room, or the arena is closed.
func (a *arena) put(id uint64) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return -1
	}
	i := int(*a.used())
	if n := len(a.free); n > 0 {
		i, a.free = a.free[n-1], a.free[:n-1]
	} else if i == arenaSlots {
		return -1
	} else {
		*a.used()++
	}
	*a.slot(i) = id
	return i
}

// set notes that the call of a slot has another notification.
func (a *arena) set(i int, id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i >= 0 && a.mem != nil {
		*a.slot(i) = id
	}
}

// drop forgets a call that was answered.
func (a *arena) drop(i int) {
	if i < 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return
	}
	*a.slot(i) = 0
	a.free = append(a.free, i)
}

// waiting returns the calls that were not answered when their supervisor died.
func (a *arena) waiting() (ids []uint64) {
	if id := a.head().id; id != 0 {
		ids = append(ids, id)
	}
	for i := range int(*a.used()) {
		if id := *a.slot(i); id != 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

func (a *arena) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	unix.Munmap(a.mem)
	a.mem = nil
	a.file.Close()
}
