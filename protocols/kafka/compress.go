package kafka

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// maxBody is how much of one message of the protocol is decompressed.
const maxBody = 64 << 20

var errTooLarge = errors.New("decompressed records are too large")

// inflater decompresses the records of batches.
type inflater struct {
	left int // bytes that may still be produced for the message at hand
	gzip *gzip.Reader
	lz4  *lz4.Reader
	zstd *zstd.Decoder
	src  bytes.Reader
}

// inflate decompresses src, whose codec is the number in a batch's attributes.
func (in *inflater) inflate(codec int, src []byte) (body []byte, err error) {
	switch codec {
	case 1:
		body, err = in.inflateGzip(src)
	case 2:
		body, err = in.inflateSnappy(src)
	case 3:
		in.src.Reset(src)
		if in.lz4 == nil {
			in.lz4 = lz4.NewReader(&in.src)
		} else {
			in.lz4.Reset(&in.src)
		}
		body, err = in.readAll(in.lz4)
	case 4:
		body, err = in.inflateZstd(src)
	default:
		err = fmt.Errorf("unknown compression %d", codec)
	}
	if err == nil && len(body) > in.left {
		err = errTooLarge
	}
	if err != nil {
		return nil, err
	}
	in.left -= len(body)
	return body, nil
}

func (in *inflater) readAll(r io.Reader) ([]byte, error) {
	return io.ReadAll(io.LimitReader(r, int64(in.left)+1))
}

func (in *inflater) inflateGzip(src []byte) (body []byte, err error) {
	in.src.Reset(src)
	if in.gzip == nil {
		in.gzip, err = gzip.NewReader(&in.src)
	} else {
		err = in.gzip.Reset(&in.src)
	}
	if err != nil {
		in.gzip = nil
		return nil, err
	}
	return in.readAll(in.gzip)
}

func (in *inflater) inflateZstd(src []byte) (body []byte, err error) {
	if in.zstd == nil {
		in.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBody), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, err
		}
	}
	return in.zstd.DecodeAll(src, nil)
}

// xerial begins snappy data in the framing of the Java library: a header of 16
// bytes, then blocks with their length in front.
var xerial = []byte("\x82SNAPPY\x00")

func (in *inflater) inflateSnappy(src []byte) (body []byte, err error) {
	if !bytes.HasPrefix(src, xerial) {
		return in.appendSnappy(nil, src)
	}
	if len(src) < 16 {
		return nil, io.ErrUnexpectedEOF
	}
	for src = src[16:]; len(src) > 0; {
		if len(src) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := int(binary.BigEndian.Uint32(src))
		if n > len(src)-4 {
			return nil, io.ErrUnexpectedEOF
		}
		if body, err = in.appendSnappy(body, src[4:4+n]); err != nil {
			return nil, err
		}
		src = src[4+n:]
	}
	return body, nil
}

func (in *inflater) appendSnappy(body, block []byte) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return nil, err
	case n > in.left-len(body):
		return nil, errTooLarge
	}
	part, err := snappy.Decode(nil, block)
	if body == nil {
		return part, err
	}
	return append(body, part...), err
}

// deflate compresses records with gzip, which every version of every client reads.
func deflate(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	w.Write(body) // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
}
