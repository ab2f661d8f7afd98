package mysql

import (
	"bytes"
	"encoding/binary"
	"errors"

	"faultbox/protocols"
)

// Capability flags (manual: "Capabilities Flags").
const (
	clientMySQL            = 1 << 0 // not set: MariaDB, which then has further flags
	clientCompress         = 1 << 5
	clientProtocol41       = 1 << 9
	clientSSL              = 1 << 11
	clientDeprecateEOF     = 1 << 24
	clientOptionalMetadata = 1 << 25
	clientZstd             = 1 << 26
	clientQueryAttributes  = 1 << 27

	mariadbCacheMetadata = 1 << 4 // of the further ones
)

var errLost = errors.New("this is not the MySQL protocol, version 10")

// phase is how far the connection has come.
type phase uint8

const (
	greeting phase = iota // the server speaks first
	handshake
	authentication
	commands
)

// capabilities are the flags of one side, or those that both have.
type capabilities struct{ flags, mariadb uint32 }

// greeting reads the server's HandshakeV10, or the ERR packet in its place.
func (c *codec) greeting(b []byte) error {
	if len(b) > 0 && b[0] == headerError {
		return nil
	}
	version := bytes.IndexByte(b, 0)
	if len(b) == 0 || b[0] != 10 || version < 0 {
		return errLost
	}
	c.phase = handshake
	b = b[version+1:]
	if len(b) < 4+8+1+2 {
		return nil
	}
	b = b[4+8+1:] // connection id, nonce, filler
	c.caps.flags = uint32(binary.LittleEndian.Uint16(b))
	if len(b) < 2+1+2+2+1+10 {
		return nil
	}
	c.caps.flags |= uint32(binary.LittleEndian.Uint16(b[5:])) << 16
	if c.caps.flags&clientMySQL == 0 {
		c.caps.mariadb = binary.LittleEndian.Uint32(b[14:])
	}
	return nil
}

// handshakeResponse reads the client's answer to it, which may be just a
// request for TLS. What both sides can is in force from then on.
func (c *codec) handshakeResponse(b []byte) (f protocols.Frame, err error) {
	if len(b) < 4 {
		return f, errLost
	}
	flags := binary.LittleEndian.Uint32(b)
	if flags&clientProtocol41 == 0 {
		return f, errors.New("the client speaks the protocol from before MySQL 4.1")
	}
	if flags&c.caps.flags&clientSSL != 0 && len(b) == 32 {
		return protocols.Frame{StartTLS: true}, nil
	}
	c.phase = authentication
	if flags&clientMySQL == 0 && len(b) >= 32 {
		c.caps.mariadb &= binary.LittleEndian.Uint32(b[28:])
	} else {
		c.caps.mariadb = 0
	}
	c.caps.flags &= flags
	return f, nil
}

// authenticated follows the server until it lets the client in: requests to
// switch the method, data of the method, OK or ERR.
func (c *codec) authenticated(b []byte) {
	if len(b) > 0 && b[0] == headerOK {
		c.phase = commands
		c.status = status(b)
		c.packing = newPacking(c.caps.flags)
	}
}

func (c *codec) has(flag uint32) bool { return c.caps.flags&flag != 0 }
