package steps

import (
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// postgresParams writes arguments as text, whose type the server infers.
func postgresParams(args []any) ([][]byte, error) {
	params := make([][]byte, len(args))
	for i, v := range args {
		s, ok := text(v)
		switch v := v.(type) {
		case nil:
			continue // NULL
		case []any:
			var err error
			if s, err = postgresArray(v); err != nil {
				return nil, err
			}
		case map[string]any:
			var err error
			if s, err = encodeJSON(v); err != nil {
				return nil, err
			}
		default:
			if !ok {
				return nil, misused("pass argument $%d: want None, a bool, number, string, list or dict", i+1)
			}
		}
		params[i] = []byte(s)
	}
	return params, nil
}

// postgresArray writes an array literal (PostgreSQL manual, 8.15.6).
func postgresArray(list []any) (string, error) {
	elements := make([]string, len(list))
	for i, v := range list {
		switch v := v.(type) {
		case nil:
			elements[i] = "NULL"
		case []any:
			inner, err := postgresArray(v)
			if err != nil {
				return "", err
			}
			elements[i] = inner
		default:
			s, ok := text(v)
			if !ok {
				var err error
				if s, err = encodeJSON(v); err != nil {
					return "", err
				}
			}
			elements[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		}
	}
	return "{" + strings.Join(elements, ",") + "}", nil
}

// postgresTypes knows which types are arrays, and of what.
var postgresTypes = sync.OnceValue(pgtype.NewMap)

// postgresRows turns a result into a list of dicts. Of columns with the same
// name the last one stays.
func postgresRows(r *pgconn.Result) []any {
	rows := make([]any, len(r.Rows))
	for i, row := range r.Rows {
		dict := make(map[string]any, len(row))
		for col, value := range row {
			f := r.FieldDescriptions[col]
			dict[f.Name] = postgresValue(f.DataTypeOID, value)
		}
		rows[i] = dict
	}
	return rows
}

// postgresValue turns a value in text format into one that a spec knows.
func postgresValue(oid uint32, value []byte) any {
	if value == nil {
		return nil
	}
	s := string(value)
	switch oid {
	case pgtype.BoolOID:
		return s == "t"
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		return number(s)
	case pgtype.JSONOID, pgtype.JSONBOID:
		if v, ok := decodeJSON(value); ok {
			return v
		}
	case pgtype.TimestampOID:
		return postgresTime(s, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999")
	case pgtype.TimestamptzOID:
		for _, zone := range []string{"-07", "-07:00", "-07:00:00"} {
			if t, err := time.Parse("2006-01-02 15:04:05.999999999"+zone, s); err == nil {
				return t.UTC().Format(time.RFC3339Nano)
			}
		}
	default:
		if t, ok := postgresTypes().TypeForOID(oid); ok {
			if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
				return postgresElements(array.ElementType.OID, s)
			}
		}
	}
	return s
}

// postgresTime rewrites a time; infinity and years before Christ stay as they are.
func postgresTime(s, from, to string) string {
	t, err := time.Parse(from, s)
	if err != nil {
		return s
	}
	return t.Format(to)
}

// postgresElements reads an array literal into nested lists.
func postgresElements(oid uint32, literal string) any {
	if i := strings.Index(literal, "={"); i > 0 && literal[0] == '[' { // bounds that do not start at 1
		literal = literal[i+1:]
	}
	p := arrayParser{rest: literal, element: func(s string) any { return postgresValue(oid, []byte(s)) }}
	if list, ok := p.list(); ok && p.rest == "" {
		return list
	}
	return literal
}

// arrayParser reads the text form of arrays (PostgreSQL manual, 8.15.6).
type arrayParser struct {
	rest    string
	element func(string) any
}

func (p *arrayParser) list() ([]any, bool) {
	list := []any{}
	if !p.take('{') {
		return nil, false
	}
	if p.take('}') {
		return list, true
	}
	for {
		v, ok := p.value()
		if !ok {
			return nil, false
		}
		list = append(list, v)
		if p.take('}') {
			return list, true
		}
		if !p.take(',') {
			return nil, false
		}
	}
}

func (p *arrayParser) value() (any, bool) {
	if strings.HasPrefix(p.rest, "{") {
		return p.list()
	}
	if !p.take('"') {
		end := strings.IndexAny(p.rest, ",}")
		if end < 0 {
			return nil, false
		}
		word := p.rest[:end]
		p.rest = p.rest[end:]
		if strings.EqualFold(word, "NULL") {
			return nil, true
		}
		return p.element(word), true
	}
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '\\':
			if i++; i == len(p.rest) {
				return nil, false
			}
			b.WriteByte(p.rest[i])
		case '"':
			p.rest = p.rest[i+1:]
			return p.element(b.String()), true
		default:
			b.WriteByte(c)
		}
	}
	return nil, false
}

func (p *arrayParser) take(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}
