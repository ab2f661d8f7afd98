package memcached

import (
	"encoding/binary"
	"errors"
	"fmt"

	"faultbox/protocols"
)

const (
	header      = 24
	request     = 0x80 // magic
	response    = 0x81
	opGet       = 0x00
	opIncrement = 0x05
	opDecrement = 0x06
	opQuit      = 0x07
	opNoop      = 0x0a
	opVersion   = 0x0b
	opStat      = 0x10
	opQuitQ     = 0x17
	opSASLList  = 0x20
	opSASLStep  = 0x22
)

// opcodes are the commands of the binary protocol by their first byte. loud is
// what a quiet one is called when it is always answered.
var opcodes = [256]struct {
	name  string
	quiet bool
	loud  byte
}{
	0x00: {name: "get"}, 0x01: {name: "set"}, 0x02: {name: "add"}, 0x03: {name: "replace"}, 0x04: {name: "delete"},
	0x05: {name: "incr"}, 0x06: {name: "decr"}, 0x07: {name: "quit"}, 0x08: {name: "flush_all"}, 0x09: {"get", true, 0x00},
	0x0a: {name: "noop"}, 0x0b: {name: "version"}, 0x0c: {name: "get"}, 0x0d: {"get", true, 0x0c}, 0x0e: {name: "append"},
	0x0f: {name: "prepend"}, 0x10: {name: "stats"}, 0x11: {"set", true, 0x01}, 0x12: {"add", true, 0x02}, 0x13: {"replace", true, 0x03},
	0x14: {"delete", true, 0x04}, 0x15: {"incr", true, 0x05}, 0x16: {"decr", true, 0x06}, 0x17: {"quit", true, 0x07}, 0x18: {"flush_all", true, 0x08},
	0x19: {"append", true, 0x0e}, 0x1a: {"prepend", true, 0x0f}, 0x1b: {name: "verbosity"}, 0x1c: {name: "touch"}, 0x1d: {name: "gat"},
	0x1e: {"gat", true, 0x1d}, 0x20: {name: "sasl_list_mechs"}, 0x21: {name: "sasl_auth"}, 0x22: {name: "sasl_step"},
	0x23: {name: "gat"}, 0x24: {"gat", true, 0x23},
}

var errLost = errors.New("this is not the binary protocol of memcached any more")

// frameOf reads the header of a packet: the length of all of it, and the key
// once it has come.
func frameOf(buf []byte, magic byte) (total int, key []byte, ready bool, err error) {
	if buf[0] != magic {
		return 0, nil, false, errLost
	}
	if len(buf) < header {
		return 0, nil, false, nil
	}
	extras, keyLength := int(buf[4]), int(binary.BigEndian.Uint16(buf[2:]))
	body := int(binary.BigEndian.Uint32(buf[8:]))
	if extras+keyLength > body || body > maxData {
		return 0, nil, false, errLost
	}
	total = header + body
	if len(buf) < min(total, window) {
		return total, nil, false, nil
	}
	at := min(len(buf), header+extras)
	return total, buf[at:min(len(buf), at+keyLength)], true, nil
}

// binaryRequest reads a packet of the client.
func (c *codec) binaryRequest(buf []byte) (f protocols.Frame, n int, err error) {
	total, key, ready, err := frameOf(buf, request)
	if !ready {
		return f, 0, err
	}
	op := buf[1]
	e := entry{form: packet, op: opcodes[op].name, key: string(key), quiet: opcodes[op].quiet, opcode: op, opaque: [4]byte(buf[12:16])}
	n = min(len(buf), total)
	switch op {
	case opStat:
		e.form = packets
	case opQuit, opQuitQ:
		return c.split(protocols.ToServer, f, n, total), n, nil
	}
	if op >= opSASLList && op <= opSASLStep {
		c.pending.push(e) // belongs to no exchange
		return c.split(protocols.ToServer, f, n, total), n, nil
	}
	if e.op == "" {
		e.op = fmt.Sprintf("0x%02x", op)
	}
	return c.begin(e, n, total), n, nil
}

// binaryAnswer reads a packet of the server.
func (c *codec) binaryAnswer(buf []byte) (f protocols.Frame, n int, err error) {
	total, key, ready, err := frameOf(buf, response)
	if !ready {
		return f, 0, err
	}
	n = min(len(buf), total)
	e := c.pending.front()
	for e != nil && e.quiet && !e.sentAs(buf) { // it had nothing to tell
		c.pending.pop()
		e = c.pending.front()
	}
	if e == nil || !e.sentAs(buf) {
		return c.split(protocols.ToClient, f, n, total), n, nil
	}
	if status := binary.BigEndian.Uint16(buf[6:]); status > 2 && status != 5 {
		f.Err = statusName(status)
	}
	done := e.form != packets || len(key) == 0
	return c.finish(f, done, n, total), n, nil
}

// sentAs reports whether a packet of the server answers e.
func (e *entry) sentAs(b []byte) bool { return e.opcode == b[1] && e.opaque == [4]byte(b[12:16]) }

// statusName names what is no ordinary outcome.
func statusName(status uint16) string {
	for _, f := range failures {
		if f.status == status {
			return f.name
		}
	}
	return fmt.Sprintf("0x%02x", status)
}

// packetOf makes a packet of the server.
func packetOf(opcode byte, opaque [4]byte, status uint16, extras, key, value []byte) []byte {
	b := make([]byte, header, header+len(extras)+len(key)+len(value))
	b[0], b[1], b[4] = response, opcode, byte(len(extras))
	binary.BigEndian.PutUint16(b[2:], uint16(len(key)))
	binary.BigEndian.PutUint16(b[6:], status)
	binary.BigEndian.PutUint32(b[8:], uint32(len(extras)+len(key)+len(value)))
	copy(b[12:], opaque[:])
	return append(append(append(b, extras...), key...), value...)
}

// noop makes a Noop of the client, which is answered when all before it is done.
func noop(opaque [4]byte) []byte {
	b := packetOf(opNoop, opaque, 0, nil, nil, nil)
	b[0] = request
	return b
}
