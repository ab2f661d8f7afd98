package kafka

import "github.com/twmb/franz-go/pkg/kmsg"

// message is what kmsg generates for each request and answer.
type message interface {
	kmsg.UnsafeReadFrom
	IsFlexible() bool
	AppendTo([]byte) []byte
}

// maxKept is how much room is kept for the next message.
const maxKept = 1 << 20

// read fills v, whose strings then refer to body. It reports whether body has
// that form.
func (c *codec) read(v any, body []byte) bool {
	m, ok := v.(message)
	return ok && (!m.IsFlexible() || c.sound(m, body)) && m.UnsafeReadFrom(body) == nil
}

// sound reports whether body can be read without harm.
//
// kmsg reads as many tagged fields as a message claims to have, which may be
// billions, without looking whether they are there. Bytes that could be such a
// number mostly are something else: a part of a record, of an id, of a negative
// integer. Then the message has the same form with other bytes in their place;
// were they a number it would not have.
func (c *codec) sound(m message, body []byte) bool {
	if cap(c.changed) > maxKept {
		c.changed, c.again = nil, nil
	}
	c.spots = c.spots[:0]
	for i := range len(body) - 3 {
		if body[i]&body[i+1]&body[i+2] >= 0x80 && body[i+3] >= 2 { // 2^22 or more, if it is a number
			c.spots = append(c.spots, i)
		}
	}
	if len(c.spots) == 0 {
		return true
	}
	for other := range byte(2) {
		c.changed = append(c.changed[:0], body...)
		for _, i := range c.spots {
			c.changed[i] = other
		}
		if m.UnsafeReadFrom(c.changed) != nil {
			return false
		}
		if c.again = m.AppendTo(c.again[:0]); len(c.again) != len(body) {
			return false
		}
	}
	return true
}
