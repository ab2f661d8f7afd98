//go:build linux

package syscalls

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Names under which faultbox starts itself as a helper.
const (
	shimName   = "faultbox-shim"
	keeperName = "faultbox-keeper"
)

// self is the program of whoever uses it.
const self = "/proc/self/exe"

// Helper does the work of a helper, and does not return, if this process was
// started as one. Every program that attaches (and every test binary) calls it
// first thing in main.
func Helper() {
	switch os.Args[0] {
	case shimName:
		runtime.LockOSThread()
		os.Exit(shim(os.Args[1:]))
	case keeperName:
		keep(3)
		os.Exit(0)
	}
}

// What the shim tells its parent; each is followed by a word.
const (
	toldInstalled = 'i' // the filter is in; the word is of flags; the listener comes along
	toldError     = 'e' // installing failed; the word is the errno
	toldExec      = 'x' // execve(2) failed; the word is the errno
)

// Flags of toldInstalled.
const (
	installedBound   = 1 // under no-new-privileges
	installedFragile = 2 // without WAIT_KILLABLE_RECV
)

// shim puts the filter on its own thread, hands the listener over and becomes
// the program. args are the number of the socket to the parent, the program's
// path and its arguments from the zeroth on.
func shim(args []string) int {
	fd, err := strconv.Atoi(args[0])
	if err != nil {
		return 126
	}
	unix.CloseOnExec(fd)
	prog, err := readProgram(fd)
	if err != nil {
		fmt.Fprintf(os.Stderr, "faultbox: read the filter of system calls: %s\n", err)
		return 126
	}
	h := &relief{}
	go h.handOver(fd)
	if err := h.install(prog); err != nil {
		return 126
	}
	err = syscall.Exec(args[1], args[2:], os.Environ())
	var errno syscall.Errno
	errors.As(err, &errno)
	unix.Write(fd, told(toldExec, uint32(errno)))
	fmt.Fprintf(os.Stderr, "faultbox: execute %s: %s\n", args[1], errno)
	if errno == unix.ENOENT {
		return 127
	}
	return 126
}

func told(what byte, word uint32) []byte {
	return binary.NativeEndian.AppendUint32([]byte{what}, word)
}

// writeProgram sends a filter: its length in a word, then its instructions.
func writeProgram(w io.Writer, prog []instruction) error {
	size := len(prog) * int(unsafe.Sizeof(prog[0]))
	raw := binary.NativeEndian.AppendUint32(nil, uint32(size))
	raw = append(raw, unsafe.Slice((*byte)(unsafe.Pointer(&prog[0])), size)...)
	_, err := w.Write(raw)
	return err
}

func readProgram(fd int) ([]instruction, error) {
	r := fdReader(fd)
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := int(binary.NativeEndian.Uint32(head[:]))
	prog := make([]instruction, size/int(unsafe.Sizeof(instruction{})))
	if len(prog) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	_, err := io.ReadFull(r, unsafe.Slice((*byte)(unsafe.Pointer(&prog[0])), size))
	return prog, err
}

// fdReader reads a blocking descriptor.
type fdReader int

func (r fdReader) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(r), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
