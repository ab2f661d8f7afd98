package proxy

import (
	"net"
	"runtime"
	"syscall"
)

// inbox reads datagrams. It holds a buffer only while one is looked at.
type inbox struct {
	conn net.Conn
	raw  syscall.RawConn    // for reads that wait without a buffer; nil: none
	try  func(uintptr) bool // tryRead
	box  *[]byte
	n    int // its result
	err  error
}

func newInbox(conn net.Conn) *inbox {
	in := &inbox{conn: conn}
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" || runtime.GOOS == "js" {
		return in
	}
	if sc, ok := conn.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			in.raw, in.try = raw, in.tryRead
		}
	}
	return in
}

// read returns the next datagram, valid until release.
func (in *inbox) read() ([]byte, error) {
	if in.raw == nil {
		in.room()
		in.n, in.err = in.conn.Read(*in.box)
	} else if err := in.raw.Read(in.try); err != nil {
		return nil, err
	}
	if in.err != nil {
		return nil, in.err
	}
	return (*in.box)[:in.n], nil
}

func (in *inbox) room() {
	if in.box == nil {
		in.box = getBuffer(maxDatagram)
	}
}

func (in *inbox) release() {
	if in.box != nil {
		putBuffer(in.box)
		in.box = nil
	}
}
