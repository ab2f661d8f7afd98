package sqltext

import "strings"

// maxTables is how many tables of a statement are told.
const maxTables = 16

// Table returns the first table that the statement names, "" if it sees none.
func Table(sql string) string { return Standard.Table(sql) }

// Table is the dialect's form of the function of that name.
func (d Dialect) Table(sql string) string {
	if t := d.tables(sql, 1, nil); len(t) > 0 {
		return t[0]
	}
	return ""
}

// Tables returns the tables that the statement names, each once, in order and
// without quotes. It goes by the words before a name, so it may miss one, or
// take another name for a table: for reports, not for decisions.
func Tables(sql string) []string { return Standard.Tables(sql) }

// Tables is the dialect's form of the function of that name.
func (d Dialect) Tables(sql string) []string { return d.tables(sql, maxTables, nil) }

func (d Dialect) tables(sql string, limit int, out []string) []string {
	expect, list := false, false // a table's name comes next; a comma brings another
	for i := 0; i < len(sql) && len(out) < limit; {
		end, k := d.token(sql, i)
		switch {
		case k == blank:
		case k == comma:
			expect = list
		case k == word && leads(sql[i:end]):
			expect, list = true, strings.EqualFold(sql[i:end], "from")
		case k == word && expect && fills(sql[i:end]):
		case expect && (k == word || k == quoted && sql[i] != '\''):
			var name string
			name, end = d.name(sql, i)
			if !stops(name) && !contains(out, name) {
				out = append(out, name)
			}
			expect = false
		default:
			expect = false
			list = list && k == word
		}
		i = end
	}
	return out
}

// name reads a name with its qualifiers, and returns its end.
func (d Dialect) name(s string, i int) (string, int) {
	begin, plain := i, true
	var parts []string
	for {
		end, k := d.token(s, i)
		part := s[i:end]
		if k == quoted {
			part, plain = strings.Trim(part, "\"`"), false
		}
		parts = append(parts, part)
		i = end
		if i+1 >= len(s) || s[i] != '.' {
			break
		}
		if _, k := d.token(s, i+1); k != word && k != quoted {
			break
		}
		i++
	}
	if plain {
		return s[begin:i], i
	}
	return strings.Join(parts, "."), i
}

func oneOf(w string, list ...string) bool {
	for _, l := range list {
		if len(l) == len(w) && strings.EqualFold(l, w) {
			return true
		}
	}
	return false
}

// leads: a table's name follows.
func leads(w string) bool {
	return oneOf(w, "from", "into", "update", "join", "table", "copy", "truncate", "lock")
}

// fills: may stand between such a word and the name.
func fills(w string) bool {
	return oneOf(w, "only", "if", "not", "exists", "ignore", "low_priority", "concurrently")
}

// stops: no table after all (FOR UPDATE NOWAIT, DO UPDATE SET, COPY … FROM STDIN).
func stops(w string) bool {
	return oneOf(w, "set", "of", "nowait", "skip", "stdin", "stdout", "program", "select", "lateral", "in")
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}
