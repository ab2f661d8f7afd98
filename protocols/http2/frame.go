package http2

import (
	"encoding/binary"
	"strconv"
	"strings"
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

const (
	headerLen    = 9         // of a frame
	maxFrame     = 16 << 10  // payload that every peer takes (SETTINGS_MAX_FRAME_SIZE)
	window       = 1 << 20   // how long a header block with its frames may be
	firstWindow  = 65535     // of flow control, for streams and the connection
	maxTable     = 1 << 20   // of HPACK's dynamic table
	maxList      = 1 << 20   // of a header block, decoded
	maxStreams   = 1 << 16   // open at once
	initialSizes = 0x4       // SETTINGS_INITIAL_WINDOW_SIZE
	maxNumber    = 1<<31 - 1 // of a stream
)

// Types of frames (RFC 9113, section 6).
const (
	frameData byte = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePush
	framePing
	frameGoAway
	frameWindow
	frameContinuation

	framePriorityUpdate = 0x10 // RFC 9218
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// errorCodes are the codes of RST_STREAM and GOAWAY (RFC 9113, section 7).
var errorCodes = []string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

const (
	codeNone   = 0
	codeRefuse = 7
	codeCancel = 8
)

// ErrorCode returns the number of an HTTP/2 error code.
func ErrorCode(name string) (code uint32, ok bool) {
	for i, n := range errorCodes {
		if strings.EqualFold(n, name) {
			return uint32(i), true
		}
	}
	return 0, false
}

func errorName(code uint32) string {
	if code < uint32(len(errorCodes)) {
		return errorCodes[code]
	}
	return strconv.FormatUint(uint64(code), 10)
}

// header is the header of a frame.
type header struct {
	length      int
	kind, flags byte
	num         uint32 // of the stream; 0: the connection
}

// parseHeader reads the header at the front of b, which holds all of it.
func parseHeader(b []byte) header {
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: b[3], flags: b[4],
		num: binary.BigEndian.Uint32(b[5:]) & maxNumber,
	}
}

func (h *header) has(flag byte) bool { return h.flags&flag != 0 }

func appendHeader(dst []byte, length int, kind, flags byte, num uint32) []byte {
	dst = append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags)
	return binary.BigEndian.AppendUint32(dst, num)
}

func appendReset(dst []byte, num, code uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameReset, 0, num), code)
}

// appendCredit appends a WINDOW_UPDATE; none if n is 0.
func appendCredit(dst []byte, num uint32, n int) []byte {
	if n <= 0 {
		return dst
	}
	return binary.BigEndian.AppendUint32(appendHeader(dst, 4, frameWindow, 0, num), uint32(n))
}

func appendData(dst []byte, num uint32, data []byte, end bool) []byte {
	flags := byte(0)
	if end {
		flags = flagEndStream
	}
	return append(appendHeader(dst, len(data), frameData, flags, num), data...)
}

// renumber gives every frame in b, the last of which may be incomplete, the
// number num.
func renumber(b []byte, num uint32) {
	for len(b) >= headerLen {
		n := headerLen + parseHeader(b).length
		binary.BigEndian.PutUint32(b[5:], num)
		b = b[min(n, len(b)):]
	}
}
