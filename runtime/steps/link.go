package steps

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"faultbox/runtime"
)

// probeTime is how long a look at an idle connection may take. What has
// arrived is seen at once, whatever this is.
const probeTime = 200 * time.Microsecond

// link is a session's connection. It can be looked at while it is idle, so
// that a step does not start on a connection that its peer has ended.
type link struct {
	net.Conn
	seen []byte                // at most one byte, read by idle and not yet by Read
	end  atomic.Pointer[error] // what ended the connection, see note
}

// connect dials the endpoint, with TLS if tlsToo is set and the interface
// speaks it from the first byte.
func connect(ctx context.Context, e runtime.Endpoint, tlsToo bool) (*link, error) {
	conn, err := e.Dial(ctx, "tcp", e.Addr)
	if err != nil {
		return nil, err
	}
	if tlsToo && e.Interface.TLS {
		secure := tls.Client(conn, tlsConfig(e))
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, err
		}
		conn = secure
	}
	return &link{Conn: conn}, nil
}

// tlsConfig verifies nothing: see the package comment.
func tlsConfig(e runtime.Endpoint) *tls.Config {
	host, _, err := net.SplitHostPort(e.Addr)
	if err != nil {
		host = e.Addr
	}
	return &tls.Config{ServerName: host, InsecureSkipVerify: true}
}

func (l *link) Read(p []byte) (int, error) {
	if len(l.seen) > 0 && len(p) > 0 {
		n := copy(p, l.seen)
		l.seen = l.seen[n:]
		return n, nil
	}
	if end := l.end.Load(); end != nil {
		return 0, *end
	}
	n, err := l.Conn.Read(p)
	return n, l.note(err)
}

func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	return n, l.note(err)
}

// note keeps what ended the connection. The kernel tells a reset only once, to
// whoever reads or writes first, and calls it EOF or EPIPE from then on.
func (l *link) note(err error) error {
	if err == nil || timedOut(err) {
		return err
	}
	if errors.Is(err, syscall.ECONNRESET) {
		l.end.Store(&err)
	} else if !l.end.CompareAndSwap(nil, &err) {
		if end := *l.end.Load(); errors.Is(end, syscall.ECONNRESET) {
			return end
		}
	}
	return err
}

func timedOut(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, syscall.ETIMEDOUT)
}

// idle looks at a connection that nobody reads from. It reports whether the
// connection lives, and the first byte that waits to be read, 0 if none does.
func (l *link) idle() (alive bool, first byte) {
	if len(l.seen) > 0 {
		return true, l.seen[0]
	}
	var b [1]byte
	if l.Conn.SetReadDeadline(time.Now().Add(probeTime)) != nil {
		return false, 0
	}
	n, err := l.Conn.Read(b[:])
	if n == 1 {
		l.seen = b[:]
		first = b[0]
	} else if !timedOut(err) {
		return false, 0
	}
	return l.Conn.SetReadDeadline(time.Time{}) == nil, first
}

// closeWith closes the link when ctx ends, which ends whatever is done on it,
// until stop is called.
func (l *link) closeWith(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { l.Conn.Close() })
}
