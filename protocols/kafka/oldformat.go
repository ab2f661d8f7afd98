package kafka

import "encoding/binary"

// Messages of the formats 0 and 1: offset, size, CRC, magic, attributes,
// timestamp (format 1), key, value. A compressed one holds others in its value.

// parts returns the key and the value of a message.
func parts(raw []byte) (key, value []byte, ok bool) {
	at := atMagic + 2
	if raw[atMagic] == 1 {
		at += 8
	}
	if key, at, ok = sized(raw, at); ok {
		value, _, ok = sized(raw, at)
	}
	return key, value, ok
}

func sized(raw []byte, at int) (b []byte, next int, ok bool) {
	if at+4 > len(raw) {
		return nil, 0, false
	}
	n := int(int32(binary.BigEndian.Uint32(raw[at:])))
	at += 4
	switch {
	case n > len(raw)-at:
		return nil, 0, false
	case n < 0:
		return nil, at, true
	}
	return raw[at : at+n : at+n], at + n, true
}

// readMessages finds the message that b is, or those that it holds.
func (s *scanner) readMessages(b *batch) {
	key, value, ok := parts(b.raw)
	codec := int(b.raw[atMagic+1] & compressionBits)
	if !ok || codec == 0 {
		b.opaque = !ok
		b.body = b.raw
		s.records = append(s.records, record{0, len(b.raw), key})
		return
	}
	var err error
	if b.body, err = s.inflater.inflate(codec, value); err != nil {
		b.opaque = true
		return
	}
	for at := 0; at < len(b.body); {
		rest := b.body[at:]
		if len(rest) <= atMagic+1 {
			b.opaque = true
			return
		}
		length := int(int32(binary.BigEndian.Uint32(rest[atLength:])))
		if length < 6 || length > len(rest)-12 || rest[atMagic] > 1 {
			b.opaque = true
			return
		}
		key, _, ok := parts(rest[:12+length])
		if !ok {
			b.opaque = true
			return
		}
		s.records = append(s.records, record{at, at + 12 + length, key})
		at += 12 + length
	}
}

// messages returns the messages of b, each as often as copies says, not
// compressed. If keep is set they have the offsets that a consumer expects.
func (b *batch) messages(records []record, copies []int, keep bool) []byte {
	var out []byte
	base := int64(0)
	wrapped := b.raw[atMagic+1]&compressionBits != 0
	if n := len(records); keep && wrapped && b.raw[atMagic] == 1 && n > 0 { // offsets in it are relative
		base = int64(binary.BigEndian.Uint64(b.raw)) - int64(binary.BigEndian.Uint64(b.body[records[n-1].from:]))
	}
	for i, r := range records {
		for range copies[i] {
			at := len(out)
			out = append(out, b.body[r.from:r.to]...)
			if keep {
				binary.BigEndian.PutUint64(out[at:], uint64(base+int64(binary.BigEndian.Uint64(out[at:]))))
			}
		}
	}
	return out
}
