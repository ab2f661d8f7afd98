package dns

import (
	"encoding/binary"

	"faultbox/protocols"
)

// stream follows DNS over TCP: each message has its length in front of it.
type stream struct{ Codec }

const prefix = 2 // bytes of the length

func (c *stream) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	if len(buf) < prefix {
		return protocols.Frame{}, 0, nil
	}
	n := prefix + int(binary.BigEndian.Uint16(buf))
	if len(buf) < n {
		return protocols.Frame{}, 0, nil
	}
	f, _, err := c.Codec.Decode(d, buf[prefix:n])
	return f, n, err
}

// Apply implements protocols.Codec. A connection does not duplicate, and there
// is no further way to ask for what is truncated.
func (c *stream) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	if r := fates[0].Reply; fates[0].Act == protocols.Twice || r != nil && r.Error && r.Code == truncated {
		return raw, nil
	}
	forward, back = c.Codec.Apply(d, f, raw[prefix:], fates)
	if len(forward) > 0 && &forward[0] == &raw[prefix] {
		return raw, back
	}
	return framed(forward), framed(back)
}

func framed(msg []byte) []byte {
	if msg == nil {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)
}
