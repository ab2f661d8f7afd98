package redis

import (
	"bytes"
	"strings"

	"faultbox/protocols"
)

// push is what the server says unasked, or in confirmation of SUBSCRIBE and
// its kin: ["message", channel, payload], ["pmessage", pattern, channel,
// payload], ["subscribe", channel, subscriptions], ["invalidate", [keys]].
type push struct {
	kind    string
	channel []byte
	payload int // index of the last element, for messages
	count   int // for confirmations; -1 if it has not arrived
}

var pushKinds = map[string]kind{
	"message": plain, "pmessage": plain, "smessage": plain,
	"subscribe": subscribe, "psubscribe": psubscribe, "ssubscribe": ssubscribe,
	"unsubscribe": unsubscribe, "punsubscribe": punsubscribe, "sunsubscribe": sunsubscribe,
}

func (p *push) confirms() bool { return pushKinds[p.kind] != plain }

// parsePush reads the beginning of an array; kind is "" if it can't be a push.
func parsePush(b []byte) (p push) {
	n, pos, err := length(b, 0)
	if pos == 0 || err != nil || n < 1 {
		return p
	}
	kind, pos := bulk(b, pos)
	if kind == nil {
		return p
	}
	if _, known := pushKinds[string(kind)]; !known {
		if b[0] == '>' {
			p.kind = string(kind)
			if _, from, _ := length(b, pos); from > 0 && b[pos] == '*' { // invalidate
				p.channel, _ = bulk(b, from)
			}
		}
		return p
	}
	wanted := 3
	if string(kind) == "pmessage" {
		_, pos = bulk(b, pos)
		wanted = 4
	}
	if n != wanted {
		return p
	}
	p.channel, pos = bulk(b, pos)
	p.kind, p.payload, p.count = string(kind), pos, -1
	if eol := lineEnd(b[pos:]); eol > 2 && b[pos] == ':' {
		p.count, _ = parseInt(b[pos+1 : pos+eol-1])
	}
	return p
}

// bulk returns the string at pos, nil if there is none, and what follows it.
func bulk(b []byte, pos int) ([]byte, int) {
	if pos >= len(b) || b[pos] != '$' && b[pos] != '+' {
		return nil, pos
	}
	eol := lineEnd(b[pos:])
	if eol < 0 {
		return nil, pos
	}
	if b[pos] == '+' {
		return b[pos+1 : pos+eol-1], pos + eol + 1
	}
	n, ok := parseInt(b[pos+1 : pos+eol-1])
	from := pos + eol + 1
	if ok && n == -1 {
		return nil, from
	}
	if !ok || n < 0 || from+n+2 > len(b) {
		return nil, pos
	}
	return b[from : from+n], from + n + 2
}

// monitorLine reports whether b is `+<time> [<db> <address>] "<command>" …`.
func monitorLine(b []byte) bool {
	dot := bytes.IndexByte(b, '.')
	_, ok := parseInt(b[1:max(dot, 1)])
	return ok
}

func (c *codec) subscribed() bool { return c.channels+c.patterns+c.shards > 0 }

// push returns the frame of a pushed message.
func (c *codec) push(p push) protocols.Frame {
	c.last++
	if p.kind == "" {
		p.kind = "push"
	}
	c.item[0] = protocols.Item{Op: p.kind, Key: string(p.channel)}
	return protocols.Frame{ID: c.last, End: true, Oneway: true, Items: c.item[:]}
}

// confirm returns the frame of a confirmation. One that nothing asked for (the
// slot of a shard channel has moved; replies are off) is a push.
func (c *codec) confirm(p push, e *exchange) protocols.Frame {
	family := pushKinds[p.kind]
	if e != nil && e.kind == family && e.n < 0 { // all there are, or one null
		e.n = int32(max(1, *c.subscriptions(family)))
	}
	if p.count >= 0 {
		c.count(family, p.count)
	}
	if e == nil || e.kind != family {
		return c.push(p)
	}
	e.n--
	c.answer.of = *e
	f := protocols.Frame{ID: e.id, End: e.n <= 0}
	if e.id == 0 {
		f.Raw = []byte{}
	}
	if f.End {
		c.pending.pop()
	}
	return f
}

func (c *codec) subscriptions(family kind) *int {
	switch family {
	case psubscribe, punsubscribe:
		return &c.patterns
	case ssubscribe, sunsubscribe:
		return &c.shards
	}
	return &c.channels
}

// count takes up the number that a confirmation tells: shard channels are
// counted apart, channels and patterns together.
func (c *codec) count(family kind, n int) {
	switch s := c.subscriptions(family); s {
	case &c.channels:
		*s = max(0, n-c.patterns)
	case &c.patterns:
		*s = max(0, n-c.channels)
	default:
		*s = n
	}
}

// applyPush makes what a subscriber hears instead of message raw.
func applyPush(f protocols.Frame, raw []byte, fate protocols.Fate, version int) []byte {
	switch fate.Act {
	case protocols.Lose:
		return nil
	case protocols.Twice:
		return append(append(make([]byte, 0, 2*len(raw)), raw...), raw...)
	case protocols.Answer:
		p := parsePush(raw)
		switch {
		case fate.Reply == nil:
		case fate.Reply.Error && version == 2:
			return appendError(nil, fate.Reply)
		case !fate.Reply.Error && strings.HasSuffix(p.kind, "message"):
			return appendValue(append([]byte(nil), raw[:p.payload]...), fate.Reply.Value, version)
		}
	}
	return raw
}
