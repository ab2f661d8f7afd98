package amqp

import "encoding/binary"

// Frame types and their end.
const (
	frameMethod    = 1
	frameHeader    = 2
	frameBody      = 3
	frameHeartbeat = 8
	frameEnd       = 0xCE
)

// appendMethod appends a method frame.
func appendMethod(b []byte, num uint16, m method, arguments ...byte) []byte {
	b = append(b, frameMethod)
	b = binary.BigEndian.AppendUint16(b, num)
	b = binary.BigEndian.AppendUint32(b, uint32(4+len(arguments)))
	b = binary.BigEndian.AppendUint32(b, uint32(m))
	return append(append(b, arguments...), frameEnd)
}

// appendClose appends channel.close or connection.close. of is the method that
// is to blame.
func appendClose(b []byte, num uint16, m method, number int, text string, of method) []byte {
	var a []byte
	a = binary.BigEndian.AppendUint16(a, uint16(number))
	a = append(append(a, byte(len(text))), text...)
	a = binary.BigEndian.AppendUint32(a, uint32(of))
	return appendMethod(b, num, m, a...)
}

// appendAck appends basic.ack, or basic.nack by a server.
func appendAck(b []byte, num uint16, m method, tag uint64, many bool) []byte {
	a := binary.BigEndian.AppendUint64(nil, tag)
	a = append(a, 0)
	if many {
		a[8] = 1
	}
	return appendMethod(b, num, m, a...)
}
