package sqltext

import "strings"

// verbs are returned without allocating, the most frequent first.
var verbs = [...]string{"SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "COMMIT", "ROLLBACK", "SET", "SHOW", "WITH",
	"COPY", "MERGE", "VALUES", "TABLE", "CREATE", "ALTER", "DROP", "TRUNCATE", "LOCK", "START", "END", "ABORT", "SAVEPOINT",
	"RELEASE", "PREPARE", "EXECUTE", "DEALLOCATE", "DECLARE", "FETCH", "MOVE", "CLOSE", "CALL", "DO", "EXPLAIN", "ANALYZE",
	"VACUUM", "LISTEN", "NOTIFY", "UNLISTEN", "DISCARD", "RESET", "GRANT", "REVOKE", "REPLACE", "USE", "LOAD", "KILL"}

// Verb returns the first word of the statement in upper case, parentheses and
// comments before it skipped; "" if it has none.
func Verb(sql string) string { return Standard.Verb(sql) }

// Verb is the dialect's form of the function of that name.
func (d Dialect) Verb(sql string) string {
	for i := 0; i < len(sql); {
		end, k := d.token(sql, i)
		if k == word {
			return upper(sql[i:min(end, i+32)])
		}
		if k != blank && sql[i] != '(' && sql[i] != ';' {
			break
		}
		i = end
	}
	return ""
}

func upper(w string) string {
	for _, v := range verbs {
		if len(v) == len(w) && strings.EqualFold(v, w) {
			return v
		}
	}
	return strings.ToUpper(w)
}
