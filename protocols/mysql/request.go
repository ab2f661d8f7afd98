package mysql

import (
	"encoding/binary"
	"fmt"

	"faultbox/protocols"
)

// kind is the first byte of a command (manual: "Command Phase").
type kind byte

const (
	comQuit             kind = 0x01
	comQuery            kind = 0x03
	comFieldList        kind = 0x04
	comProcessInfo      kind = 0x0a
	comPing             kind = 0x0e
	comChangeUser       kind = 0x11
	comBinlogDump       kind = 0x12
	comTableDump        kind = 0x13
	comStmtPrepare      kind = 0x16
	comStmtExecute      kind = 0x17
	comStmtSendLongData kind = 0x18
	comStmtClose        kind = 0x19
	comStmtReset        kind = 0x1a
	comStmtFetch        kind = 0x1c
	comBinlogDumpGTID   kind = 0x1e
	comResetConnection  kind = 0x1f
	comClone            kind = 0x20
	comGroupReplication kind = 0x21
	comStmtBulkExecute  kind = 0xfa
)

var commandNames = [...]string{0x02: "COM_INIT_DB", 0x03: "COM_QUERY", 0x04: "COM_FIELD_LIST", 0x05: "COM_CREATE_DB", 0x06: "COM_DROP_DB",
	0x07: "COM_REFRESH", 0x08: "COM_SHUTDOWN", 0x09: "COM_STATISTICS", 0x0a: "COM_PROCESS_INFO", 0x0c: "COM_PROCESS_KILL", 0x0d: "COM_DEBUG",
	0x0e: "COM_PING", 0x11: "COM_CHANGE_USER", 0x12: "COM_BINLOG_DUMP", 0x13: "COM_TABLE_DUMP", 0x15: "COM_REGISTER_SLAVE",
	0x16: "COM_STMT_PREPARE", 0x17: "COM_STMT_EXECUTE", 0x1a: "COM_STMT_RESET", 0x1b: "COM_SET_OPTION", 0x1c: "COM_STMT_FETCH",
	0x1e: "COM_BINLOG_DUMP_GTID", 0x1f: "COM_RESET_CONNECTION", 0x20: "COM_CLONE", 0x21: "COM_SUBSCRIBE_GROUP_REPLICATION_STREAM",
	0xfa: "COM_STMT_BULK_EXECUTE"}

// String returns the name of the command as the manual writes it.
func (k kind) String() string {
	if int(k) < len(commandNames) && commandNames[k] != "" {
		return commandNames[k]
	}
	return fmt.Sprintf("COM_%02X", byte(k))
}

// request follows a packet of the client, of whose payload of length bytes a
// window has come. Commands are numbered from 0; any other packet belongs to a
// login, or is data.
func (c *codec) request(raw []byte, length int) (f protocols.Frame, err error) {
	b, seq := raw[4:], raw[3]
	switch {
	case c.phase == greeting:
		return f, errLost
	case c.phase == handshake:
		return c.handshakeResponse(b)
	case c.infile:
		c.infile = length > 0
		return f, nil
	case seq != 0 || len(b) == 0:
		return f, nil
	}
	e := entry{kind: kind(b[0]), seq: seq + 1, stage: single}
	switch e.kind {
	case comQuit:
		return f, nil
	case comStmtClose:
		c.stmts.close(stmtID(b))
		return f, nil
	case comStmtSendLongData:
		if p := c.stmts.get(stmtID(b)); p != nil {
			p.long = true
		}
		return f, nil
	case comStmtReset:
		if p := c.stmts.get(stmtID(b)); p != nil {
			p.long = false
		}
	case comQuery:
		e.stage = opening
		e.stmt = c.stmts.statement(c.queryText(b[1:]))
	case comStmtPrepare:
		e.stage = preparing
		e.prep = c.stmts.prepare(b[1:])
	case comStmtExecute, comStmtBulkExecute:
		e.stage = opening
		c.execute(&e, &f, raw, length)
	case comProcessInfo:
		e.stage = opening
	case comFieldList, comStmtFetch:
		e.stage = rows
	case comChangeUser:
		e.stage = switching
	case comBinlogDump, comBinlogDumpGTID, comTableDump, comClone, comGroupReplication:
		f.Tunnel = true
	}
	c.ids++
	e.id = c.ids
	c.pending.push(e)
	f.ID, f.End, f.Items = e.id, true, c.items[:]
	c.describe(&e)
	return f, nil
}

// describe makes the item of a command.
func (c *codec) describe(e *entry) {
	if e.stmt == nil {
		c.items[0] = protocols.Item{Op: e.kind.String()}
		if e.kind == comStmtPrepare {
			c.items[0].Key, c.items[0].Text = e.prep.key, e.prep.text
		}
		return
	}
	c.attrs[0] = protocols.Attr{Name: "query", Value: e.stmt.text}
	c.items[0] = protocols.Item{Op: e.stmt.op, Key: e.stmt.key, Text: e.stmt.text, Attrs: c.attrs[:]}
}

func stmtID(b []byte) uint32 {
	if len(b) < 5 {
		return 0
	}
	return binary.LittleEndian.Uint32(b[1:])
}

// queryText returns the statement of a COM_QUERY, behind its attributes.
func (c *codec) queryText(b []byte) []byte {
	if !c.has(clientQueryAttributes) {
		return b
	}
	n, b := lenenc(b)
	_, b = lenenc(b) // parameter sets: 1
	if n == 0 {
		return b
	}
	if n > uint64(len(b)) {
		return nil
	}
	nulls := b
	b = b[min(len(b), int(n+7)/8+1):] // and new_params_bind_flag, which is 1
	types := make([]byte, n)
	for i := range types {
		if len(b) < 2 {
			return nil
		}
		types[i] = b[0]
		b = skipString(b[2:])
	}
	for i, t := range types {
		if nulls[i/8]&(1<<(i%8)) == 0 {
			b = skipValue(t, b)
		}
	}
	return b
}

// skipValue drops a value of that type in the binary protocol (manual:
// "Binary Protocol Resultset Row").
func skipValue(t byte, b []byte) []byte {
	size := 0
	switch t {
	case 1: // TINY
		size = 1
	case 2, 13: // SHORT, YEAR
		size = 2
	case 3, 9, 4: // LONG, INT24, FLOAT
		size = 4
	case 8, 5: // LONGLONG, DOUBLE
		size = 8
	case 6: // NULL
	case 7, 10, 11, 12: // TIMESTAMP, DATE, TIME, DATETIME
		if len(b) > 0 {
			size = 1 + int(b[0])
		}
	default:
		return skipString(b)
	}
	return b[min(size, len(b)):]
}
