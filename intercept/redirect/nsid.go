//go:build linux

package redirect

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A network namespace has numbers of its own for others: network_namespaces(7),
// rtnetlink(7) RTM_NEWNSID. The programs look sockets up by them. A number is
// gone with the namespace that it stands for; so that it then stands for none,
// those that we give are far from those that the kernel gives, and each is
// given once.
var nextNamespaceID atomic.Int32

const firstNamespaceID = 1 << 24

// Attributes of RTM_*NSID messages, linux/net_namespace.h.
const (
	netnsaNSID = 1
	netnsaFD   = 3
)

// namespaceID returns the number that namespace in has for namespace of,
// giving it one if there is none.
func namespaceID(in, of *os.File) (id int32, err error) {
	err = inside(in, func() error {
		s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		defer unix.Close(s)
		for range 3 { // somebody else may be at it too
			if id, err = askNamespaceID(s, of); err != nil || id >= 0 {
				return err
			}
			n := firstNamespaceID + nextNamespaceID.Add(1)
			err = giveNamespaceID(s, of, n)
			if err != unix.EEXIST {
				id = n
				return err
			}
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("number network namespace: %w", err)
	}
	return id, nil
}

// askNamespaceID returns -1 if there is none.
func askNamespaceID(s int, of *os.File) (int32, error) {
	answer, err := talk(s, unix.RTM_GETNSID, unix.NLM_F_REQUEST, attribute(netnsaFD, uint32(of.Fd())))
	if err != nil {
		return 0, err
	}
	for rest := answer; len(rest) >= 8; {
		size, kind := binary.NativeEndian.Uint16(rest), binary.NativeEndian.Uint16(rest[2:])
		if kind == netnsaNSID {
			return int32(binary.NativeEndian.Uint32(rest[4:])), nil
		}
		rest = rest[min(len(rest), int(size+3)&^3):]
	}
	return -1, nil
}

func giveNamespaceID(s int, of *os.File, id int32) error {
	_, err := talk(s, unix.RTM_NEWNSID, unix.NLM_F_REQUEST|unix.NLM_F_ACK,
		append(attribute(netnsaNSID, uint32(id)), attribute(netnsaFD, uint32(of.Fd()))...))
	return err
}

// attribute encodes a 32-bit attribute, netlink(7).
func attribute(kind uint16, value uint32) []byte {
	b := binary.NativeEndian.AppendUint16(nil, 8)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return binary.NativeEndian.AppendUint32(b, value)
}

// familyLen is the length of a struct rtgenmsg, aligned.
const familyLen = 4

// talk sends a message of the route family and returns the attributes of the answer.
func talk(s int, kind, flags uint16, attrs []byte) ([]byte, error) {
	body, err := exchange(s, kind, flags, append(make([]byte, familyLen), attrs...))
	if err != nil || len(body) < familyLen {
		return nil, err
	}
	return body[familyLen:], nil
}

// exchange sends a message and returns the body of the one that answers it.
func exchange(s int, kind, flags uint16, body []byte) ([]byte, error) {
	if err := send(s, kind, flags, body); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, buf, 0)
	if err != nil {
		return nil, err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return nil, fmt.Errorf("netlink answered with %d bytes", n)
	}
	body = buf[unix.SizeofNlMsghdr:n]
	if binary.NativeEndian.Uint16(buf[4:]) == unix.NLMSG_ERROR {
		return nil, errorOf(body)
	}
	return body, nil
}

// errorOf reads a struct nlmsgerr; 0 stands for done.
func errorOf(body []byte) error {
	if len(body) < 4 {
		return fmt.Errorf("netlink answered with %d bytes", len(body))
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}

// send sends a message, netlink(7): length, type, flags, sequence, port.
func send(s int, kind, flags uint16, body []byte) error {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...)
	return unix.Sendto(s, append(b, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
}
