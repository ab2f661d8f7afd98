//go:build linux

package redirect

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// socketTable is a way to ask the kernel who listens in the network namespace
// that it was opened in, sock_diag(7).
type socketTable struct {
	mu sync.Mutex
	fd int // -1: closed
}

func openSocketTable() (*socketTable, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &socketTable{fd: fd}, nil
}

// close may be called again, and while others ask.
func (t *socketTable) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}

// listens reports whether a connection to an address would be taken; not so
// once the table is closed.
func (t *socketTable) listens(to netip.AddrPort) bool {
	var id [diagIDLen]byte // source port, destination port, source, destination, device, cookie
	binary.BigEndian.PutUint16(id[0:], to.Port())
	family := byte(unix.AF_INET6)
	if to.Addr().Is4() {
		family = unix.AF_INET
	}
	copy(id[4:20], to.Addr().AsSlice())
	for i := diagIDLen - 8; i < diagIDLen; i++ {
		id[i] = 0xff // any cookie
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fd < 0 {
		return false
	}
	_, err := exchange(t.fd, sockDiagByFamily, unix.NLM_F_REQUEST, diagRequest(family, id[:]))
	return err == nil
}
