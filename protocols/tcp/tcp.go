package tcp

import (
	"errors"
	"fmt"
	"unsafe"

	"faultbox/protocols"
)

// Protocol is raw TCP.
var Protocol = &protocols.Protocol{
	Name: "tcp",
	Doc:  "any TCP connection, as a stream of bytes",
	Fields: map[string]protocols.Field{
		"bytes":     {Of: "bytes", Bytes: true},
		"direction": {Of: "direction", Wild: both, Values: []string{"to", "from", "both"}},
	},
	Faults:      []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	ServerFirst: true,
	Check:       check,
	New:         func() protocols.Codec { return new(codec) },
}

// maxText is how many bytes of a message an event shows.
const maxText = 64

// both lets direction="both" match either.
func both(pattern, _ string) bool { return pattern == "both" }

// check completes a reply: the connection ends behind it, with a reset if it
// is an error.
func check(r *protocols.Reply) error {
	if r.Code != "" || r.Status != 0 || len(r.Headers) > 0 || len(r.Details) > 0 {
		return errors.New("raw TCP has no code, status, headers or details: error() resets the connection, response(body=…) writes and closes")
	}
	if r.Error {
		if r.Message != "" {
			return errors.New("raw TCP has no error messages: error() resets the connection, response(body=…) writes and closes")
		}
		r.Reset = true
		return nil
	}
	switch r.Value.(type) {
	case nil, string:
	default:
		return fmt.Errorf("a raw TCP response is a string, not a %T", r.Value)
	}
	r.Close = true
	return nil
}

// codec takes what it is given as one message.
type codec struct {
	items [1]protocols.Item
	attrs [2]protocols.Attr
}

func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	op, direction := "send", "to"
	if d == protocols.ToClient {
		op, direction = "receive", "from"
	}
	c.attrs[0] = protocols.Attr{Name: "direction", Value: direction}
	// The string shares buf, which is valid as long as the frame is.
	c.attrs[1] = protocols.Attr{Name: "bytes", Value: unsafe.String(unsafe.SliceData(buf), len(buf))}
	c.items[0] = protocols.Item{Op: op, Text: text(buf), Attrs: c.attrs[:]}
	return protocols.Frame{Items: c.items[:], Oneway: true, End: true}, len(buf), nil
}

// text shows the beginning of a message: as it is, if it is text.
func text(b []byte) string {
	const hex = "0123456789abcdef"
	var out [4*maxText + len("…")]byte
	s := out[:0]
	for i, ch := range b {
		switch {
		case i == maxText:
			return string(append(s, "…"...))
		case ch == '\n':
			s = append(s, `\n`...)
		case ch == '\r':
			s = append(s, `\r`...)
		case ch < ' ' || ch > '~':
			s = append(s, '\\', 'x', hex[ch>>4], hex[ch&15])
		default:
			s = append(s, ch)
		}
	}
	return string(s)
}

func (c *codec) Apply(d protocols.Dir, _ protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	fate := fates[0]
	switch fate.Act {
	case protocols.Lose:
		return nil, nil
	case protocols.Twice:
		return append(append(make([]byte, 0, 2*len(raw)), raw...), raw...), nil
	case protocols.Answer:
		body, _ := fate.Reply.Value.(string)
		if d == protocols.ToClient {
			return []byte(body), nil
		}
		return nil, []byte(body)
	}
	return raw, nil
}
