package udp

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"faultbox/protocols"
	"faultbox/protocols/dns"
)

// Protocol is any protocol in datagrams.
var Protocol = &protocols.Protocol{
	Name: "udp",
	Doc:  "datagrams of any protocol; knows DNS",
	Fields: map[string]protocols.Field{
		"bytes":     {Of: "bytes", Bytes: true},
		"direction": {Of: "direction", Wild: both, Values: []string{"to", "from", "both"}},
		"name":      {Of: "name", Fold: true, Normalize: dns.TrimDot},
		"type":      {Of: "type", Fold: true},
	},
	Faults:      []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Datagram:    true,
	Multiplexed: true,
	Lossy:       true,
	ServerFirst: true,
	Check:       check,
	New:         func() protocols.Codec { return new(codec) },
}

// maxText is how many bytes of a datagram an event shows.
const maxText = 64

// both lets direction="both" match either.
func both(pattern, _ string) bool { return pattern == "both" }

// check completes a reply. An error is one of DNS. A response is the bytes of a
// datagram; of a DNS query that is told by name or type it is addresses.
func check(r *protocols.Reply) error {
	if r.Error {
		return dns.Check(r)
	}
	if r.Status != 0 || len(r.Headers) > 0 || len(r.Details) > 0 {
		return errors.New("a datagram has no status, headers or details: response(value=…) is its bytes, or the addresses that answer a DNS query")
	}
	switch r.Value.(type) {
	case nil, string:
		return nil
	case []any:
		return dns.Check(r)
	}
	return fmt.Errorf("a response is a string (the datagram's bytes, or an address that answers a DNS query) or a list of addresses, not a %T", r.Value)
}

// codec takes each datagram as a message, and DNS as what it is.
type codec struct {
	dns   dns.Codec
	items [1]protocols.Item
	attrs [4]protocols.Attr
}

func (c *codec) Decode(d protocols.Dir, buf []byte) (protocols.Frame, int, error) {
	f, n, err := c.dns.Decode(d, buf)
	if f.ID != 0 && d == protocols.ToClient {
		return f, n, err
	}
	op, direction := "send", "to"
	if d == protocols.ToClient {
		op, direction = "receive", "from"
	}
	// The string shares buf, which is valid as long as the frame is.
	c.attrs[0] = protocols.Attr{Name: "direction", Value: direction}
	c.attrs[1] = protocols.Attr{Name: "bytes", Value: unsafe.String(unsafe.SliceData(buf), len(buf))}
	if f.ID != 0 {
		query := f.Items[0]
		c.attrs[2] = protocols.Attr{Name: "name", Value: query.Key}
		c.attrs[3] = protocols.Attr{Name: "type", Value: query.Op}
		query.Attrs = c.attrs[:]
		c.items[0] = query
		f.Items = c.items[:]
		return f, n, err
	}
	c.items[0] = protocols.Item{Op: op, Text: text(buf), Attrs: c.attrs[:2]}
	return protocols.Frame{Items: c.items[:], Oneway: true, End: true}, n, nil
}

func (c *codec) Apply(d protocols.Dir, f protocols.Frame, raw []byte, fates []protocols.Fate) (forward, back []byte) {
	fate := fates[0]
	switch {
	case f.ID != 0 && (fate.Act != protocols.Answer || dns.Check(fate.Reply) == nil):
		return c.dns.Apply(d, f, raw, fates)
	case fate.Act == protocols.Lose:
		return nil, nil
	case fate.Act != protocols.Answer || fate.Reply.Error:
		return raw, nil
	}
	body := []byte{}
	switch v := fate.Reply.Value.(type) {
	case string:
		body = []byte(v)
	case []any: // addresses, and this is not DNS
		return raw, nil
	}
	if d == protocols.ToClient {
		return body, nil
	}
	if f.ID != 0 { // a query that hears bytes that are no answer
		c.dns.Apply(d, f, raw, []protocols.Fate{{Act: protocols.Lose}})
	}
	return nil, body
}

// text shows the beginning of a datagram: as it is, if it is text.
func text(b []byte) string {
	s := strconv.AppendQuoteToASCII(make([]byte, 0, 4*maxText), unsafe.String(unsafe.SliceData(b), min(len(b), maxText)))
	s = s[1 : len(s)-1]
	if len(b) > maxText {
		s = append(s, "…"...)
	}
	return string(s)
}
