package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"

	"faultbox/protocols"
)

// TLS says how TLS is terminated.
type TLS struct {
	// CA signs what the client is shown; not nil.
	CA *CA
	// Client is used toward the server; the name and the protocols (ALPN) that
	// the client asks for are filled in. nil: any certificate is accepted.
	Client *tls.Config
}

// handshake speaks TLS with the client, and with the server what the client
// asked for, less those ALPN names that the codec does not follow. The
// connections that it returns take over those given.
func (t *TLS) handshake(client, server net.Conn, follows []string) (c, s *tls.Conn, err error) {
	var serverErr error
	asked := func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		up := &tls.Config{InsecureSkipVerify: true}
		if t.Client != nil {
			up = t.Client.Clone()
		}
		up.NextProtos = offer(hello.SupportedProtos, follows)
		if hello.ServerName != "" {
			up.ServerName = hello.ServerName
		}
		s = tls.Client(server, up)
		if serverErr = s.Handshake(); serverErr != nil {
			return nil, serverErr
		}
		state := s.ConnectionState()
		cert, err := t.CA.certificate(state.PeerCertificates[0])
		if err != nil {
			return nil, err
		}
		down := &tls.Config{Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true}
		if state.NegotiatedProtocol != "" {
			down.NextProtos = []string{state.NegotiatedProtocol}
		}
		return down, nil
	}
	c = tls.Server(client, &tls.Config{GetConfigForClient: asked})
	err = c.Handshake()
	switch {
	case serverErr != nil:
		return nil, nil, fmt.Errorf("TLS with the server: %w", serverErr)
	case err != nil:
		return nil, nil, fmt.Errorf("TLS with the client, which must trust the CA of this run: %w", err)
	}
	return c, s, nil
}

const (
	encrypted = "the connection is encrypted; it is relayed as it comes, no fault applies to it"
	notTLS    = "the connection was to be encrypted and is not; it is relayed as it comes, no fault applies to it"
)

// beginTLS terminates a connection that speaks TLS from its first byte.
func (r *relay) beginTLS() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.link.TLSConfig == nil {
		r.giveUp(encrypted)
		return
	}
	l := &r.lanes[protocols.ToServer]
	r.mu.Unlock()
	err := l.fill()
	for err == nil && l.lo == l.hi {
		err = l.fill()
	}
	r.mu.Lock()
	switch {
	case err == io.EOF: // the lane meets it again
	case err != nil:
		r.abort()
	case l.buf[l.lo] != 22: // the type of a handshake record
		r.giveUp(notTLS)
	default:
		r.upgrading = true
		r.startTLS()
	}
}

// offer returns those of the client's protocols that the codec follows, or all
// of them where it follows none.
func offer(client, follows []string) []string {
	both := slices.DeleteFunc(slices.Clone(client), func(name string) bool { return !slices.Contains(follows, name) })
	if len(both) == 0 {
		return client
	}
	return both
}

// switchOver follows a frame after which the connection carries TLS, or
// something that its protocol does not speak.
func (l *lane) switchOver(f *protocols.Frame) {
	switch {
	case f.StartTLS && l.r.link.TLS: // NATS with the handshake first: its INFO still says that TLS is required
	case !f.StartTLS && l.gate != nil:
		l.gate.tunnel = true
	case !f.StartTLS:
		l.r.giveUp("")
	case l.r.link.TLSConfig == nil:
		l.r.giveUp(encrypted)
	default:
		l.r.upgrading, l.upgrades = true, true
	}
}

// upgrade is startTLS once the opposite lane rests. The mutex is held.
func (l *lane) upgrade() {
	r := l.r
	other := l.opposite()
	other.src.SetReadDeadline(longAgo)
	for !r.stopped && !other.resting && !other.ended {
		r.changed.Wait()
	}
	l.upgrades = false
	if !r.stopped {
		r.startTLS()
	}
}

// rest waits while the opposite lane has the connection encrypted.
func (l *lane) rest() {
	for l.r.upgrading && !l.upgrades && !l.r.stopped {
		l.resting = true
		l.r.changed.Broadcast()
		l.r.changed.Wait()
	}
	l.resting = false
}

// startTLS puts TLS below the codec; what has been read and not decoded is part
// of it. Both lanes rest. The mutex is held, but not during the handshake.
func (r *relay) startTLS() {
	up, down := &r.lanes[protocols.ToServer], &r.lanes[protocols.ToClient]
	client, server := up.unread(), down.unread()
	r.mu.Unlock()
	c, s, err := r.link.TLSConfig.handshake(client, server, r.link.Protocol.ALPN)
	r.mu.Lock()
	if err != nil {
		if !r.stopped {
			r.note(err.Error())
		}
		r.stop()
		return
	}
	up.connect(c, s)
	down.connect(s, c)
	r.upgrading = false
	up.kick()
	down.kick()
	r.changed.Broadcast()
}

// unread returns the lane's source with what has been read of it in front.
func (l *lane) unread() net.Conn {
	l.src.SetReadDeadline(noDeadline)
	c := &pushedBack{Conn: l.src, b: append([]byte(nil), l.buf[l.lo:l.hi]...)}
	l.lo, l.hi = 0, 0
	return c
}

// pushedBack is a connection with bytes to be read first.
type pushedBack struct {
	net.Conn
	b []byte
}

func (c *pushedBack) Read(b []byte) (int, error) {
	if len(c.b) > 0 {
		n := copy(b, c.b)
		c.b = c.b[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// NetConn returns the connection underneath.
func (c *pushedBack) NetConn() net.Conn { return c.Conn }
