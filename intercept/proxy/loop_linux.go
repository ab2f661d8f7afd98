package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"faultbox/protocols"
)

// loop moves the bytes of many connections, both lanes of each, in one
// goroutine: reads what has come, routes it, writes it, never waits for
// anything but the next bytes. A connection on which something has to be waited
// for (a delay, a receiver that doesn't read, TLS) leaves it for goroutines of
// its own, and does not come back.
//
// The kernel tells it which sockets can be read as long as they can (epoll,
// level-triggered), so no end of a connection is missed and no read is in vain.
type loop struct {
	epoll int

	mu    sync.Mutex
	lanes []*lane // by the number that the kernel knows them by
	free  []int32
}

// loops are started with the first connection and stay. There is one for every
// two processors: the fewer they are, the more each does between two waits.
var loops = sync.OnceValue(func() []*loop {
	all := make([]*loop, 0, max(1, runtime.GOMAXPROCS(0)/2))
	for range cap(all) {
		fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		if err != nil {
			break
		}
		p := &loop{epoll: fd}
		all = append(all, p)
		go p.run()
	}
	return all
})

func (p *loop) run() {
	var events [128]syscall.EpollEvent
	var ready [128]*lane
	for {
		n, _ := call(syscall.SYS_EPOLL_PWAIT, p.epoll, unsafe.Pointer(&events), len(events))
		if n <= 0 {
			n, _ = syscall.EpollWait(p.epoll, events[:], -1)
			n = max(n, 0)
		}
		p.mu.Lock()
		for i := range n {
			ready[i] = p.lanes[events[i].Fd]
		}
		p.mu.Unlock()
		for _, l := range ready[:n] {
			if l != nil { // else it left the loop a moment ago
				l.ready(p)
			}
		}
		clear(ready[:n])
	}
}

// add has the loop read a lane's source.
func (p *loop) add(l *lane) error {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		l.number = p.free[n-1]
		p.free = p.free[:n-1]
		p.lanes[l.number] = l
	} else {
		l.number = int32(len(p.lanes))
		p.lanes = append(p.lanes, l)
	}
	p.mu.Unlock()
	ev := syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: l.number}
	return syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_ADD, l.src.(*socket).fd, &ev)
}

// ignore has the loop read the lane's source no more.
func (p *loop) ignore(l *lane) {
	if fd := l.src.(*socket).fd; fd >= 0 {
		syscall.EpollCtl(p.epoll, syscall.EPOLL_CTL_DEL, fd, &syscall.EpollEvent{})
	}
}

// remove undoes add.
func (p *loop) remove(l *lane) {
	p.ignore(l)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes[l.number] = nil
	p.free = append(p.free, l.number)
}

// enter gives a new connection to a loop, if it is one of plain TCP.
func (r *relay) enter() bool {
	up, down := &r.lanes[protocols.ToServer], &r.lanes[protocols.ToClient]
	all := loops()
	client, ok1 := up.src.(*net.TCPConn)
	server, ok2 := down.src.(*net.TCPConn)
	if !ok1 || !ok2 || len(all) == 0 {
		return false
	}
	c, err := newSocket(client)
	if err != nil {
		return false
	}
	s, err := newSocket(server)
	if err != nil {
		c.Close()
		return false
	}
	client.Close()
	server.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	up.connect(c, s)
	down.connect(s, c)
	up.busy, down.busy = true, true
	r.loop = all[r.edge.Conn%uint64(len(all))]
	if errors.Join(r.loop.add(up), r.loop.add(down)) != nil {
		r.leave()
	}
	return true
}

// leave takes the connection out of its loop. The mutex is held.
func (r *relay) leave() {
	for i := range r.lanes {
		r.loop.remove(&r.lanes[i])
	}
	r.loop = nil
	r.changed.Broadcast()
}

// rejoin gives the two lanes, after they left the loop, connections whose reads
// and writes wait. The mutex is held.
func (r *relay) rejoin() {
	up, down := &r.lanes[protocols.ToServer], &r.lanes[protocols.ToClient]
	client, err1 := up.src.(*socket).conn()
	server, err2 := down.src.(*socket).conn()
	if err1 != nil || err2 != nil { // out of file descriptors
		r.abort()
		return
	}
	up.connect(client, server)
	down.connect(server, client)
	up.busy, down.busy = false, false
	up.left, down.left = true, true
}

// ready is called by the loop when the lane's source can be read.
func (l *lane) ready(p *loop) {
	r := l.r
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loop != p || r.stopped || l.ended {
		return
	}
	l.room()
	n, err := l.src.Read(l.buf[l.hi:])
	switch {
	case err == syscall.EAGAIN || err == syscall.EINTR:
		err = nil
	case err == nil || err == io.EOF:
		l.hi += n
		more := l.route(err != nil)
		l.routed = err == nil
		if !l.flush() || !l.opposite().flush() || more || r.mustLeave() {
			l.err = err
			r.leave()
			return
		}
		if err == io.EOF {
			p.ignore(l)
			l.sourceEnded(err)
			if l.flush() && l.last == passFIN && !l.shut && !r.stopped {
				l.finish()
			}
		}
	default:
		l.err = err
		r.leave()
		return
	}
	if l.lo == l.hi {
		l.releaseBuffer()
	}
}

// mustLeave reports whether something has to be waited for.
func (r *relay) mustLeave() bool {
	for i := range r.lanes {
		l := &r.lanes[i]
		if l.holds > 0 || l.over || l.dead || l.upgrades || l.last > passFIN || l.mustWait() {
			return true
		}
	}
	return r.opaque || r.stopped
}

// flush writes what is to go out as far as its receiver takes it at once, and
// reports whether that was all. The mutex is held.
func (l *lane) flush() bool {
	l.takeQueue()
	if len(l.out) > 0 {
		l.put(nil)
	}
	b := l.out
	if len(b) == 0 {
		b = l.run
	}
	if len(b) > 0 {
		if n, err := l.dst.Write(b); n < len(b) || err != nil {
			l.out, l.run = append(l.out[:0], b[n:]...), nil
			return false
		}
		l.out, l.run = reuse(l.out), nil
	}
	if len(l.done) > 0 {
		now := l.r.now()
		for i, x := range l.done {
			l.r.report(x, now)
			x.pending = false
			l.r.free(x)
			l.done[i] = nil
		}
		l.done = l.done[:0]
	}
	return true
}

// socket is a TCP connection whose reads and writes do not wait. Its methods
// are called while relay.mu is held.
type socket struct {
	net.Conn     // closed; it knows the addresses
	fd       int // -1: closed
}

// newSocket takes over c, which the caller closes.
func newSocket(c *net.TCPConn) (*socket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{Conn: c}
	ctlErr := raw.Control(func(fd uintptr) {
		n, _, errno := syscall.Syscall(syscall.SYS_FCNTL, fd, syscall.F_DUPFD_CLOEXEC, 0)
		if s.fd = int(n); errno != 0 {
			err = os.NewSyscallError("fcntl", errno)
		}
	})
	if ctlErr != nil {
		return nil, ctlErr
	}
	return s, err
}

// conn returns the connection as one that waits, and closes s.
func (s *socket) conn() (net.Conn, error) {
	f := os.NewFile(uintptr(s.fd), "")
	s.fd = -1
	defer f.Close()
	return net.FileConn(f)
}

// Read returns EAGAIN when there is nothing.
func (s *socket) Read(b []byte) (int, error) {
	n, err := call(syscall.SYS_READ, s.fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// Write returns EAGAIN, or less than all, when the receiver doesn't keep up.
func (s *socket) Write(b []byte) (int, error) {
	for {
		n, err := call(syscall.SYS_WRITE, s.fd, unsafe.Pointer(unsafe.SliceData(b)), len(b))
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// call makes a system call that does not wait, so that the scheduler need not
// hear of it: it takes half the time.
func call(number uintptr, fd int, p unsafe.Pointer, size int) (int, error) {
	n, _, errno := syscall.RawSyscall6(number, uintptr(fd), uintptr(p), uintptr(size), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func (s *socket) Close() error {
	if s.fd < 0 {
		return net.ErrClosed
	}
	fd := s.fd
	s.fd = -1
	return syscall.Close(fd)
}

func (s *socket) CloseWrite() error { return syscall.Shutdown(s.fd, syscall.SHUT_WR) }

func (s *socket) SetLinger(sec int) error {
	return syscall.SetsockoptLinger(s.fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: int32(sec)})
}
