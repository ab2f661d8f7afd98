package postgres

import (
	"strings"

	"faultbox/protocols/sqltext"
)

// statement is the text of a query, and what rules and reports make of it.
type statement struct{ text, op, key string }

// starts reports whether the statement begins with these words, in upper case.
func (s *statement) starts(words ...string) bool {
	text := sqltext.Normalize(s.text)
	for _, w := range words {
		if len(text) < len(w) || !strings.EqualFold(text[:len(w)], w) || len(text) > len(w) && text[len(w)] != ' ' {
			return false
		}
		text = strings.TrimPrefix(text[len(w):], " ")
	}
	return true
}

// begins reports whether the statement begins a transaction.
func (s *statement) begins() bool { return s.op == "BEGIN" || s.op == "START" }

// ends reports whether the statement ends a transaction, failed or not.
func (s *statement) ends() bool {
	switch s.op {
	case "COMMIT", "ROLLBACK":
		return !s.starts(s.op, "PREPARED") && !s.returns()
	case "END", "ABORT":
		return true
	case "PREPARE":
		return s.starts("PREPARE", "TRANSACTION")
	}
	return false
}

// returns reports whether the statement goes back to a savepoint.
func (s *statement) returns() bool {
	return s.starts("ROLLBACK", "TO") || s.starts("ROLLBACK", "WORK", "TO") || s.starts("ROLLBACK", "TRANSACTION", "TO")
}

// takesData reports whether the client may have to send data for it.
func (s *statement) takesData() bool {
	text := strings.ToUpper(s.text)
	return strings.Contains(text, "COPY") && strings.Contains(text, "STDIN")
}

// portal is a bound statement; bind is the Bind message, nil if it was too long
// to keep.
type portal struct {
	name string
	stmt *statement
	bind []byte
}

// What a connection may make the codec keep, in entries of each kind and in
// bytes of text and parameters; beyond it the codec forgets something.
const (
	maxNames = 4096
	maxKept  = 8 << 20
)

// names are the prepared statements and portals of a connection.
type names struct {
	stmts   map[string]*statement
	portals map[string]*portal
	unnamed *statement
	current portal // the unnamed portal
	kept    int
	recent  [16]*statement // so that a text that comes again costs nothing
}

var unknown = &statement{op: "EXECUTE"}

func newNames() names {
	return names{stmts: map[string]*statement{}, portals: map[string]*portal{}, unnamed: unknown, current: portal{stmt: unknown}}
}

// statement returns the statement with that text.
func (t *names) statement(text []byte) *statement {
	slot := len(text)
	if len(text) > 0 {
		slot += int(text[len(text)/2])*7 + int(text[len(text)-1])
	}
	at := &t.recent[slot%len(t.recent)]
	if *at == nil || (*at).text != string(text) {
		s := string(text)
		*at = &statement{text: s, op: sqltext.Verb(s), key: sqltext.Table(s)}
		if (*at).op == "" {
			*at = &statement{text: s, op: "QUERY"}
		}
	}
	return *at
}

func (t *names) parse(name, text []byte) {
	s := t.statement(text)
	if len(name) == 0 {
		t.unnamed = s
		return
	}
	t.closeStatement(name)
	for len(t.stmts) >= maxNames || t.kept > maxKept && len(t.stmts) > 0 {
		for other := range t.stmts {
			t.closeStatement([]byte(other))
			break
		}
	}
	t.kept += len(text)
	t.stmts[string(name)] = s
}

func (t *names) closeStatement(name []byte) {
	if s := t.stmts[string(name)]; s != nil {
		t.kept -= len(s.text)
		delete(t.stmts, string(name))
	}
}

// bind notes a Bind message; message is nil if not all of it is there.
func (t *names) bind(name, stmt, message []byte) {
	s := t.unnamed
	if len(stmt) > 0 {
		if s = t.stmts[string(stmt)]; s == nil {
			s = unknown
		}
	}
	p := &t.current
	if len(name) > 0 {
		p = t.portals[string(name)]
		if p == nil {
			p = &portal{name: string(name)}
			for len(t.portals) >= maxNames || t.kept > maxKept && len(t.portals) > 0 {
				for other := range t.portals {
					t.closePortal([]byte(other))
					break
				}
			}
			t.portals[p.name] = p
		}
		t.kept += len(message) - len(p.bind)
	}
	p.stmt = s
	p.bind = append(p.bind[:0], message...)
}

func (t *names) closePortal(name []byte) {
	if p := t.portals[string(name)]; p != nil {
		t.kept -= len(p.bind)
		delete(t.portals, string(name))
	}
}

// portal returns the portal with that name; one that was made by DECLARE
// CURSOR is not known.
func (t *names) portal(name []byte) *portal {
	if len(name) == 0 {
		return &t.current
	}
	if p := t.portals[string(name)]; p != nil {
		return p
	}
	return &portal{name: string(name), stmt: unknown}
}
