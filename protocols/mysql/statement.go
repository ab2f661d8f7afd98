package mysql

import (
	"bytes"
	"strings"

	"faultbox/protocols"
	"faultbox/protocols/sqltext"
)

const dialect = sqltext.MySQL

// statement is the text of a query, and what rules and reports make of it.
type statement struct{ text, op, key string }

// ends reports whether the statement ends a transaction.
func (s *statement) ends() bool {
	if s == nil || s.op != "COMMIT" && s.op != "ROLLBACK" {
		return false
	}
	words := strings.Fields(strings.ToUpper(dialect.Normalize(s.text)))
	return len(words) < 2 || words[1] != "TO" && (len(words) < 3 || words[2] != "TO") // ROLLBACK [WORK] TO savepoint
}

// takesData reports whether the client may have to send a file for it.
func (s *statement) takesData() bool { return s != nil && s.op == "LOAD" }

// prepared is a statement with an id.
type prepared struct {
	*statement
	params int
	long   bool   // it has been sent long data
	types  []byte // of its parameters, that the client has told and the server has not heard
}

// What a connection may make the codec keep, in statements and in bytes of
// text and types; beyond it the codec forgets something.
const (
	maxStatements = 16384
	maxKept       = 8 << 20
)

// statements are the prepared statements of a connection.
type statements struct {
	byID   map[uint32]*prepared
	last   *prepared // that the client has asked for
	kept   int
	recent [16]*statement // so that a text that comes again costs nothing
}

// lastPrepared is an id that MariaDB takes for the statement prepared last.
const lastPrepared = 0xffffffff

// statement returns the statement with that text.
func (t *statements) statement(text []byte) *statement {
	slot := len(text)
	if len(text) > 0 {
		slot += int(text[len(text)/2])*7 + int(text[len(text)-1])
	}
	at := &t.recent[slot%len(t.recent)]
	if *at == nil || (*at).text != string(text) {
		s := string(text)
		*at = &statement{text: s, op: dialect.Verb(s), key: dialect.Table(s)}
		if (*at).op == "" {
			(*at).op = "QUERY"
		}
	}
	return *at
}

// prepare returns a statement that has no id yet.
func (t *statements) prepare(text []byte) *prepared {
	t.last = &prepared{statement: t.statement(text)}
	return t.last
}

// add gives a statement the id that the server has chosen.
func (t *statements) add(id uint32, p *prepared) {
	t.close(id)
	if t.byID == nil {
		t.byID = make(map[uint32]*prepared)
	}
	for len(t.byID) >= maxStatements || t.kept > maxKept && len(t.byID) > 0 {
		for other := range t.byID {
			t.close(other)
			break
		}
	}
	t.byID[id] = p
	t.kept += len(p.text)
}

// get returns the statement with that id, nil if it is not known.
func (t *statements) get(id uint32) *prepared {
	if id == lastPrepared {
		return t.last
	}
	return t.byID[id]
}

func (t *statements) close(id uint32) {
	if p := t.byID[id]; p != nil {
		t.kept -= len(p.text)
		delete(t.byID, id)
	}
}

// forget drops all: the session begins anew.
func (t *statements) forget() {
	clear(t.byID)
	t.kept = 0
}

var unknown = &prepared{statement: &statement{op: "EXECUTE"}}

// execute reads a COM_STMT_EXECUTE or COM_STMT_BULK_EXECUTE, and puts in the
// types of the parameters if the server has not heard them.
func (c *codec) execute(e *entry, f *protocols.Frame, raw []byte, length int) {
	e.prep = c.stmts.get(stmtID(raw[4:]))
	if e.prep == nil {
		e.prep = unknown
	}
	e.stmt = e.prep.statement
	if e.prep.types == nil || e.kind != comStmtExecute {
		return
	}
	at, _ := c.boundTypes(raw, e.prep.params)
	if at == 0 {
		return
	}
	if raw[at] == 0 && length+len(e.prep.types) < maxPayload {
		e.types = e.prep.types
		f.Raw = bytes.Join([][]byte{raw[:at], {1}, e.types, raw[at+1:]}, nil)
		length += len(e.types)
		f.Raw[0], f.Raw[1], f.Raw[2] = byte(length), byte(length>>8), byte(length>>16)
	}
	e.prep.types = nil
}

// boundTypes returns where new_params_bind_flag is in a COM_STMT_EXECUTE, 0 if
// it has none, and the types behind it.
func (c *codec) boundTypes(raw []byte, params int) (flag int, types []byte) {
	const header = 4 + 1 + 4 + 1 + 4 // packet header, command, id, flags, iteration count
	if len(raw) < header {
		return 0, nil
	}
	b := raw[header:]
	if c.has(clientQueryAttributes) && (params > 0 || raw[9]&8 != 0) {
		n, rest := lenenc(b)
		if n > maxPayload {
			return 0, nil
		}
		params, b = int(n), rest
	}
	nulls := (params + 7) / 8
	if params == 0 || len(b) <= nulls {
		return 0, nil
	}
	flag = len(raw) - len(b) + nulls
	b = b[nulls+1:]
	if raw[flag] != 1 {
		return flag, nil
	}
	types = b
	for range params {
		if len(b) < 2 {
			return 0, nil
		}
		b = b[2:]
		if c.has(clientQueryAttributes) {
			b = skipString(b)
		}
	}
	return flag, types[:len(types)-len(b)]
}
