package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"

	"faultbox/protocols"
)

// Request codes that stand where a StartupMessage has its version.
const (
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104

	maxStartup = 10000 // MAX_STARTUP_PACKET_LENGTH of the server
)

var errTLS = errors.New("the client speaks TLS from the first byte (sslnegotiation=direct)")

var errBound = errors.New("the client binds its login to the server's certificate (SCRAM channel binding), and so refuses any proxy: have it connect with channel_binding=disable")

// bound reports whether a message begins a login with channel binding.
func bound(d protocols.Dir, message []byte) bool {
	return d == protocols.ToServer && message[0] == 'p' && bytes.HasPrefix(message[5:], []byte("SCRAM-SHA-256-PLUS\x00"))
}

// startup reads what a client sends before messages have types: requests for
// encryption, then a StartupMessage or a CancelRequest.
func (c *codec) startup(buf []byte) (f protocols.Frame, n int, err error) {
	if buf[0] == 0x16 {
		return f, 0, errTLS
	}
	if len(buf) < 8 {
		return f, 0, nil
	}
	n = int(binary.BigEndian.Uint32(buf))
	if n < 8 || n > maxStartup {
		return f, 0, errLost
	}
	if len(buf) < n {
		return f, 0, nil
	}
	switch code := binary.BigEndian.Uint32(buf[4:]); {
	case code == sslRequest:
		c.negotiating = 'S'
	case code == gssRequest:
		c.negotiating = 'G'
	case code == cancelRequest || code>>16 == 3:
		c.typed = true
	default:
		return f, 0, errLost
	}
	return f, n, nil
}

// negotiated reads the server's answer to SSLRequest or GSSENCRequest. One
// that knows neither sends an ErrorResponse.
func (c *codec) negotiated(buf []byte) (f protocols.Frame, n int, err error) {
	asked := c.negotiating
	c.negotiating = 0
	switch {
	case buf[0] == asked:
		f.StartTLS = asked == 'S'
		f.Tunnel = asked == 'G'
	case buf[0] == 'E':
		return c.Decode(protocols.ToClient, buf)
	case buf[0] != 'N':
		return f, 0, errLost
	}
	return f, 1, nil
}
