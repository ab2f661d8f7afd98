package mongodb

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore"
)

// The opcodes that are followed.
const (
	opReply      = 1
	opQuery      = 2004
	opCompressed = 2012
	opMsg        = 2013
)

// Flag bits of OP_MSG.
const (
	checksumPresent = 1 << 0
	moreToCome      = 1 << 1
	exhaustAllowed  = 1 << 16
)

const (
	headerLen  = 16
	maxMessage = 48_000_000 // what servers take, header included
	// whole is the size up to which a message is looked at in one piece.
	whole = 64 << 10
)

// header is the MsgHeader of every message.
type header struct{ length, id, to, op int32 }

func readHeader(b []byte) header {
	le := binary.LittleEndian
	return header{int32(le.Uint32(b)), int32(le.Uint32(b[4:])), int32(le.Uint32(b[8:])), int32(le.Uint32(b[12:]))}
}

// message is what a message says, or its beginning.
type message struct {
	header
	body      []byte // what follows the header, decompressed, as far as it has come
	flags     uint32
	doc       bsoncore.Document // the section of kind 0, the query, the first document; nil: not there yet
	query     string            // OP_QUERY: the full name of the collection
	sequences [][]byte          // sections of kind 1 that have come: size, identifier, documents
	complete  bool
}

// read reads raw, the beginning of a message of h.length bytes. It returns
// false if it makes no sense.
func (c *codec) read(m *message, h header, raw []byte) bool {
	*m = message{header: h, sequences: m.sequences[:0]}
	m.body = raw[headerLen:]
	size := int(h.length) - headerLen
	if h.op == opCompressed {
		if len(raw) < int(h.length) || len(m.body) < 9 {
			return false
		}
		size = int(int32(binary.LittleEndian.Uint32(m.body[4:])))
		m.op = int32(binary.LittleEndian.Uint32(m.body))
		if size < 0 || size > maxMessage-headerLen {
			return false
		}
		var ok bool
		if cap(c.plain) > 1<<20 {
			c.plain = nil // a large message is over
		}
		if c.plain, ok = c.inflate(c.plain[:0], m.body[8], m.body[9:], size); !ok {
			return false
		}
		m.body = c.plain
	}
	switch m.op {
	case opMsg:
		return m.readMsg(size)
	case opQuery:
		return m.readQuery()
	case opReply: // responseFlags, cursorID, startingFrom, numberReturned
		if m.complete = len(m.body) == size; len(m.body) > 20 {
			m.doc, _, _ = bsoncore.ReadDocument(m.body[20:])
		}
		return m.doc != nil
	}
	return false
}

func (m *message) readMsg(size int) bool {
	if len(m.body) < 5 {
		return size >= 5
	}
	m.flags = binary.LittleEndian.Uint32(m.body)
	if m.flags&checksumPresent != 0 {
		size -= 4
	}
	at := 4
	for at < size {
		if at+5 > len(m.body) {
			return size >= at+5
		}
		kind := m.body[at]
		n := int(int32(binary.LittleEndian.Uint32(m.body[at+1:])))
		if n < 5 || n > size-at-1 || kind > 1 || kind == 0 && m.doc != nil {
			return false
		}
		if at+1+n > len(m.body) {
			return true
		}
		section := m.body[at+1 : at+1+n]
		if kind == 0 {
			m.doc = section
		} else {
			m.sequences = append(m.sequences, section)
		}
		at += 1 + n
	}
	m.complete = at == size && m.doc != nil
	return m.complete
}

// readQuery reads flags, fullCollectionName, numberToSkip, numberToReturn and
// the query.
func (m *message) readQuery() bool {
	if len(m.body) < 5 {
		return false
	}
	end := bytes.IndexByte(m.body[4:], 0)
	if end < 0 || len(m.body) < 4+end+1+8 {
		return false
	}
	m.query = string(m.body[4 : 4+end])
	var ok bool
	m.doc, _, ok = bsoncore.ReadDocument(m.body[4+end+1+8:])
	m.complete = ok
	return ok
}

// inflater decompresses.
type inflater struct{ zstd *zstd.Decoder }

// inflate appends the size bytes that src decompresses to. It returns false if
// they are not that many, whatever src claims.
func (f *inflater) inflate(dst []byte, compressor byte, src []byte, size int) ([]byte, bool) {
	var err error
	switch compressor {
	case 0: // noop
		dst = append(dst, src...)
	case 1: // snappy
		if n, err := snappy.DecodedLen(src); err != nil || n != size {
			return dst, false
		}
		dst, err = snappy.Decode(dst[:cap(dst)], src)
	case 2: // zlib
		var r io.ReadCloser
		if r, err = zlib.NewReader(bytes.NewReader(src)); err == nil {
			w := bytes.NewBuffer(dst)
			_, err = io.Copy(w, io.LimitReader(r, int64(size)+1))
			dst = w.Bytes()
		}
	case 3: // zstd
		if f.zstd == nil {
			f.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxMessage))
		}
		if err == nil {
			dst, err = f.zstd.DecodeAll(src, dst)
		}
	default:
		return dst, false
	}
	return dst, err == nil && len(dst) == size
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// begin appends the header of an OP_MSG and its flags; finish completes it.
func begin(dst []byte, id, to int32, flags uint32) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, uint32(id))
	dst = le.AppendUint32(dst, uint32(to))
	dst = le.AppendUint32(dst, opMsg)
	return le.AppendUint32(dst, flags)
}

// finish sets the length of a message and, for an OP_MSG whose flags ask for
// it, adds the checksum.
func finish(msg []byte) []byte {
	le := binary.LittleEndian
	sum := le.Uint32(msg[12:]) == opMsg && le.Uint32(msg[headerLen:])&checksumPresent != 0
	if !sum {
		le.PutUint32(msg, uint32(len(msg)))
		return msg
	}
	le.PutUint32(msg, uint32(len(msg)+4))
	return le.AppendUint32(msg, crc32.Checksum(msg, castagnoli))
}
