package mysql

import (
	"encoding/binary"
	"strconv"

	"faultbox/protocols"
)

// maxPayload is the payload length that says: the next packet continues this one.
const maxPayload = 1<<24 - 1

// First bytes of packets of the server.
const (
	headerOK      = 0x00
	headerMore    = 0x01 // AuthMoreData
	headerInfile  = 0xfb
	headerEOF     = 0xfe // also AuthSwitchRequest, and OK behind rows
	headerError   = 0xff
	progressErrno = 0xffff // MariaDB: the ERR packet is a progress report
)

// Status flags of OK and EOF packets.
const (
	inTransaction = 0x0001
	moreResults   = 0x0008
	cursorExists  = 0x0040
)

// packet makes a packet of less than 16 MB.
func packet(seq byte, parts ...string) []byte {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := append(make([]byte, 0, 4+n), byte(n), byte(n>>8), byte(n>>16), seq)
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func payloadLength(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// errorPacket makes the ERR packet of a reply (manual: "ERR_Packet").
func errorPacket(seq byte, r *protocols.Reply) []byte {
	errno, _ := strconv.Atoi(r.Code)
	return packet(seq, "\xff", string([]byte{byte(errno), byte(errno >> 8)}), "#", stateOf(errno), r.Message)
}

// errno returns the error number of an ERR packet.
func errno(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	return int(binary.LittleEndian.Uint16(b[1:]))
}

// status returns the status flags of an OK or EOF packet, 0 if it is too short.
func status(b []byte) uint16 {
	if len(b) == 5 && b[0] == headerEOF {
		return binary.LittleEndian.Uint16(b[3:])
	}
	if len(b) == 0 {
		return 0
	}
	_, b = lenenc(b[1:]) // affected rows
	_, b = lenenc(b)     // last insert id
	if len(b) < 2 {
		return 0
	}
	return binary.LittleEndian.Uint16(b)
}

// lenenc reads a length-encoded integer and returns what follows it; nothing
// follows one that is cut off.
func lenenc(b []byte) (uint64, []byte) {
	if len(b) == 0 {
		return 0, nil
	}
	size := 0
	switch b[0] {
	case 0xfc:
		size = 2
	case 0xfd:
		size = 3
	case 0xfe:
		size = 8
	default:
		return uint64(b[0]), b[1:]
	}
	if len(b) <= size {
		return 0, nil
	}
	var whole [8]byte
	copy(whole[:], b[1:1+size])
	return binary.LittleEndian.Uint64(whole[:]), b[1+size:]
}

// skipString drops a length-encoded string.
func skipString(b []byte) []byte {
	n, b := lenenc(b)
	if n > uint64(len(b)) {
		return nil
	}
	return b[n:]
}
