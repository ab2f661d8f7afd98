package http2

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"

	"faultbox/protocols"
)

// Field is a header, or pseudo-header, of a message.
type Field = hpack.HeaderField

// blockDecoder reads the header blocks of one direction.
type blockDecoder struct {
	hpack  *hpack.Decoder
	fields []Field // of the block read last
	size   int
}

func (d *blockDecoder) init() {
	d.hpack = hpack.NewDecoder(4096, func(f Field) {
		d.size += int(f.Size())
		if d.size <= maxList {
			d.fields = append(d.fields, f)
		}
	})
	d.hpack.SetAllowedMaxDynamicTableSize(maxTable)
	d.hpack.SetMaxStringLength(window)
}

// blockEnd returns the length of the frames of the header block at the front
// of buf; 0 if it has not arrived whole.
func blockEnd(buf []byte) (n int, err error) {
	first := parseHeader(buf)
	for {
		if len(buf)-n < headerLen {
			break
		}
		h := parseHeader(buf[n:])
		if n > 0 && (h.kind != frameContinuation || h.num != first.num) {
			return 0, errors.New("read a header block: another frame comes before its end")
		}
		if n += headerLen + h.length; n > len(buf) {
			break
		}
		if h.has(flagEndHeaders) {
			return n, nil
		}
	}
	if max(n, len(buf)) >= window {
		return 0, fmt.Errorf("read a header block: it is longer than %d bytes", window)
	}
	return 0, nil
}

// decode reads the block whose frames are buf. promised is the stream that a
// PUSH_PROMISE opens.
func (d *blockDecoder) decode(buf []byte) (promised uint32, err error) {
	clear(d.fields)
	d.fields, d.size = d.fields[:0], 0
	for len(buf) > 0 {
		h := parseHeader(buf)
		fragment := buf[headerLen : headerLen+h.length]
		buf = buf[headerLen+h.length:]
		pad, skip := 0, 0
		if h.kind != frameContinuation && h.has(flagPadded) {
			skip++
			if len(fragment) > 0 {
				pad = int(fragment[0])
			}
		}
		if h.kind == frameHeaders && h.has(flagPriority) {
			skip += 5
		}
		if h.kind == framePush {
			if len(fragment) >= skip+4 {
				promised = uint32(fragment[skip])<<24&maxNumber | uint32(fragment[skip+1])<<16 | uint32(fragment[skip+2])<<8 | uint32(fragment[skip+3])
			}
			skip += 4
		}
		if skip+pad > len(fragment) {
			return 0, errors.New("read a header block: its padding is longer than its frame")
		}
		if _, err := d.hpack.Write(fragment[skip : len(fragment)-pad]); err != nil {
			return 0, fmt.Errorf("read a header block: %w", err)
		}
	}
	if err := d.hpack.Close(); err != nil {
		return 0, fmt.Errorf("read a header block: %w", err)
	}
	if d.size > maxList {
		return 0, fmt.Errorf("read a header block: it stands for more than %d bytes", maxList)
	}
	return promised, nil
}

// blockEncoder writes header blocks that neither use nor fill the dynamic table
// of their reader.
type blockEncoder struct {
	hpack *hpack.Encoder
	buf   bytes.Buffer
}

// emptyTable is the instruction that empties the dynamic table of the reader
// (RFC 7541, section 6.3). It also answers to any change of its size.
const emptyTable = 0x20

// append appends the frames of a header block. kind is HEADERS or
// PUSH_PROMISE of the stream promised; purge empties the reader's table.
func (e *blockEncoder) append(dst []byte, num, promised uint32, fields []Field, end, purge bool) []byte {
	if e.hpack == nil {
		e.hpack = hpack.NewEncoder(&e.buf)
		e.hpack.SetMaxDynamicTableSize(0)
		e.hpack.WriteField(Field{Name: ":method", Value: "GET"}) // takes the change of the size along
	}
	e.buf.Reset()
	if promised != 0 {
		e.buf.Write([]byte{byte(promised >> 24), byte(promised >> 16), byte(promised >> 8), byte(promised)})
	}
	if purge {
		e.buf.WriteByte(emptyTable)
	}
	for _, f := range fields {
		e.hpack.WriteField(f) // into memory
	}
	kind, flags := frameHeaders, byte(0)
	if promised != 0 {
		kind = framePush
	}
	if end {
		flags = flagEndStream
	}
	for {
		fragment := e.buf.Next(maxFrame)
		if e.buf.Len() == 0 {
			flags |= flagEndHeaders
		}
		dst = append(appendHeader(dst, len(fragment), kind, flags, num), fragment...)
		if e.buf.Len() == 0 {
			return dst
		}
		kind, flags = frameContinuation, 0
	}
}

// get returns the first field of that name, "" if there is none.
func get(fields []Field, name string) string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Value
		}
	}
	return ""
}

// itemReader makes the items of requests.
type itemReader struct {
	items [1]protocols.Item
	names map[string]string // "header:x-request-id" by "x-request-id"
}

// read returns the item of a request, valid until the next call. A header
// Host stands for :authority.
func (r *itemReader) read(fields []Field) []protocols.Item {
	it := &r.items[0]
	*it = protocols.Item{Attrs: it.Attrs[:0]}
	authority := ""
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case ":method":
			it.Op = f.Value
		case ":path":
			it.Key = f.Value
		case ":authority":
			authority = f.Value
			it.Attrs = append(it.Attrs, protocols.Attr{Name: "header:host", Value: f.Value})
		case ":scheme", ":protocol":
		default:
			it.Attrs = append(it.Attrs, protocols.Attr{Name: r.attr(f.Name), Value: f.Value})
		}
	}
	if it.Key == "" { // CONNECT
		it.Key = authority
	}
	it.Attrs = append(it.Attrs, protocols.Attr{Name: "target", Value: it.Key})
	for i := range len(it.Key) {
		if it.Key[i] == '?' {
			it.Key = it.Key[:i]
			break
		}
	}
	return r.items[:]
}

// attr returns the name of the attribute that holds a header.
func (r *itemReader) attr(name string) string {
	if a, ok := r.names[name]; ok {
		return a
	}
	if r.names == nil || len(r.names) >= 128 {
		r.names = make(map[string]string)
	}
	a := "header:" + name
	if len(name) <= 64 {
		r.names[name] = a
	}
	return a
}
