package kafka

import (
	"encoding/binary"
	"hash/crc32"
)

// The fixed part of a record batch, format 2 (KIP-98).
const (
	atLength       = 8
	atMagic        = 16
	atCRC          = 17
	atAttributes   = 21
	atLastDelta    = 23
	atProducerID   = 43
	atProducer     = 51 // its epoch
	atBaseSequence = 53
	atCount        = 57
	batchHeader    = 61

	compressionBits = 7
	controlBit      = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batch is a record batch, or a message of the formats before (0 and 1), which
// may hold others, compressed.
type batch struct {
	raw    []byte
	body   []byte // its records, or the messages in it, decompressed
	from   int    // of its records in scanner.records
	to     int
	opaque bool // it can't be read: counts as one message without a key
	again  int  // records of an idempotent producer, from the first, that were sent before
}

// record is a record's place in a batch's body.
type record struct {
	from, to int
	key      []byte // nil: none
}

// items returns how many messages the batch holds.
func (b *batch) items() int {
	if b.opaque {
		return 1
	}
	return b.to - b.from
}

func (b *batch) magic() byte          { return b.raw[atMagic] }
func (b *batch) attributes() int      { return int(binary.BigEndian.Uint16(b.raw[atAttributes:])) }
func (b *batch) count() int32         { return int32(binary.BigEndian.Uint32(b.raw[atCount:])) }
func (b *batch) sequence() int32      { return int32(binary.BigEndian.Uint32(b.raw[atBaseSequence:])) }
func (b *batch) producerEpoch() int16 { return int16(binary.BigEndian.Uint16(b.raw[atProducer:])) }
func (b *batch) crc() uint32          { return binary.BigEndian.Uint32(b.raw[atCRC:]) }
func (b *batch) number(i int) int32   { return (b.sequence() + int32(i)) & sequenceMask } // of a record
func (b *batch) producerOf(p *part) producer {
	return producer{b.producerID(), b.producerEpoch(), p.topic, p.partition}
}
func (b *batch) producerID() int64 {
	if b.magic() != 2 {
		return -1
	}
	return int64(binary.BigEndian.Uint64(b.raw[atProducerID:]))
}

// scanner takes the batches of one message of the protocol apart.
type scanner struct {
	inflater inflater
	batches  []batch
	records  []record
}

func (s *scanner) reset() {
	s.inflater.left = maxBody
	s.batches, s.records = s.batches[:0], s.records[:0]
}

// scan appends the batches in set, the records of one partition, to s.batches
// and returns what follows the last whole one: the beginning of a batch that a
// broker cut off, or what is no batch at all.
func (s *scanner) scan(set []byte) (rest []byte) {
	for len(set) > atMagic {
		length := int(int32(binary.BigEndian.Uint32(set[atLength:])))
		if length < 6 || length > len(set)-12 {
			break
		}
		b := batch{raw: set[: 12+length : 12+length], from: len(s.records)}
		switch magic := set[atMagic]; {
		case magic > 2 || magic == 2 && 12+length < batchHeader:
			return set
		case magic < 2:
			s.readMessages(&b)
		case b.attributes()&controlBit == 0:
			s.readRecords(&b)
		}
		if b.opaque {
			s.records = s.records[:b.from]
		}
		b.to = len(s.records)
		s.batches = append(s.batches, b)
		set = set[12+length:]
	}
	return set
}

// readRecords finds the records of a batch of format 2.
func (s *scanner) readRecords(b *batch) {
	b.body = b.raw[batchHeader:]
	if codec := b.attributes() & compressionBits; codec != 0 {
		var err error
		if b.body, err = s.inflater.inflate(codec, b.body); err != nil {
			b.opaque = true
			return
		}
	}
	n := 0
	for at := 0; at < len(b.body); n++ {
		length, w := binary.Varint(b.body[at:])
		if w <= 0 || length <= 0 || length > int64(len(b.body)-at-w) {
			b.opaque = true
			return
		}
		end := at + w + int(length)
		key, ok := keyOf(b.body[at+w : end])
		if !ok {
			b.opaque = true
			return
		}
		s.records = append(s.records, record{at, end, key})
		at = end
	}
	b.opaque = n != int(b.count())
}

// fields returns where the offset delta of a record begins and ends; rec
// begins behind its length.
func offsetDelta(rec []byte) (from, to int, ok bool) {
	if len(rec) < 1 {
		return 0, 0, false
	}
	_, n := binary.Varint(rec[1:]) // timestamp delta, behind the attributes
	if n <= 0 {
		return 0, 0, false
	}
	from = 1 + n
	_, n = binary.Varint(rec[from:])
	return from, from + n, n > 0
}

func keyOf(rec []byte) (key []byte, ok bool) {
	_, at, ok := offsetDelta(rec)
	if !ok {
		return nil, false
	}
	n, w := binary.Varint(rec[at:])
	switch at += w; {
	case w <= 0 || n > int64(len(rec)-at):
		return nil, false
	case n < 0:
		return nil, true
	}
	return rec[at : at+int(n) : at+int(n)], true
}

// produced returns the batch with each record as often as copies says, with
// offsets from 0 without gaps, as a broker wants them from a producer.
func (b *batch) produced(records []record, copies []int) []byte {
	var body, rec []byte
	delta := int64(0)
	for i, r := range records {
		_, w := binary.Varint(b.body[r.from:])
		old := b.body[r.from+w : r.to]
		from, to, _ := offsetDelta(old)
		for range copies[i] {
			rec = append(rec[:0], old[:from]...)
			rec = binary.AppendVarint(rec, delta)
			rec = append(rec, old[to:]...)
			body = binary.AppendVarint(body, int64(len(rec)))
			body = append(body, rec...)
			delta++
		}
	}
	attributes := b.attributes()
	if attributes&compressionBits != 0 {
		attributes = attributes&^compressionBits | 1
		body = deflate(body)
	}
	out := b.with(body, attributes, int32(delta))
	binary.BigEndian.PutUint32(out[atLastDelta:], uint32(delta-1))
	return sum(out)
}

// thinned returns the batch without the records whose copies are 0, its
// offsets as they were, as compaction leaves it.
func (b *batch) thinned(records []record, copies []int) []byte {
	var body []byte
	n := int32(0)
	for i, r := range records {
		if copies[i] > 0 {
			body = append(body, b.body[r.from:r.to]...)
			n++
		}
	}
	return sum(b.with(body, b.attributes()&^compressionBits, n))
}

// with returns a copy of the batch that has another body. Its CRC is not right yet.
func (b *batch) with(body []byte, attributes int, count int32) []byte {
	out := make([]byte, batchHeader, batchHeader+len(body))
	copy(out, b.raw)
	out = append(out, body...)
	binary.BigEndian.PutUint32(out[atLength:], uint32(len(out)-12))
	binary.BigEndian.PutUint16(out[atAttributes:], uint16(attributes))
	binary.BigEndian.PutUint32(out[atCount:], uint32(count))
	return out
}

// resequence sets the sequence number of a batch's first record in place.
func resequence(raw []byte, sequence int32) {
	binary.BigEndian.PutUint32(raw[atBaseSequence:], uint32(sequence))
	sum(raw)
}

func sum(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[atCRC:], crc32.Checksum(raw[atAttributes:], castagnoli))
	return raw
}
