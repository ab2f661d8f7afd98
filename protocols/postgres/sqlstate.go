package postgres

import (
	"fmt"
	"slices"
	"strings"
)

// wellKnown maps parts of messages, in lower case, to the SQLSTATE that the
// server sends with them; the first that is found counts.
var wellKnown = []struct{ part, code string }{
	{"disk full", "53100"}, {"no space left", "53100"},
	{"out of memory", "53200"}, {"out of shared memory", "53200"},
	{"too many connections", "53300"}, {"too many clients", "53300"}, {"remaining connection slots", "53300"},
	{"temp_file_limit", "53400"}, {"too many open files", "53000"},
	{"deadlock", "40P01"},
	{"could not serialize", "40001"}, {"serialization failure", "40001"}, {"conflict with recovery", "40001"},
	{"restart transaction", "40001"}, {"restart read required", "40001"}, {"result is ambiguous", "40003"}, // CockroachDB, YugabyteDB
	{"no unique or exclusion constraint matching", "42P10"}, {"no unique constraint matching", "42830"},
	{"duplicate key", "23505"}, {"unique constraint", "23505"},
	{"foreign key", "23503"}, {"not-null constraint", "23502"}, {"check constraint", "23514"}, {"exclusion constraint", "23P01"},
	{"statement timeout", "57014"}, {"canceling statement due to user", "57014"}, {"query canceled", "57014"}, {"query_canceled", "57014"},
	{"lock timeout", "55P03"}, {"could not obtain lock", "55P03"},
	{"idle-in-transaction", "25P03"}, {"idle-session timeout", "57P05"}, {"transaction timeout", "25P04"},
	{"terminating connection because of crash", "57P02"}, {"terminating connection", "57P01"}, {"not accepting clients", "57P01"},
	{"starting up", "57P03"}, {"shutting down", "57P03"}, {"in recovery mode", "57P03"}, {"accepting connections", "57P03"},
	{"avoid wraparound", "54000"}, {"length too large", "54000"}, {"stack depth limit", "54001"},
	{"read only 0 of", "XX001"}, // "could not read block …"
	{"read-only", "25006"}, {"read only", "25006"}, {"during recovery", "25006"}, {"recovery is in progress", "55000"},
	{"transaction is aborted", "25P02"}, {"inside a transaction block", "25001"}, {"used in transaction blocks", "25P01"},
	{"permission denied", "42501"}, {"must be owner", "42501"}, {"row-level security policy", "42501"},
	{"password authentication failed", "28P01"}, {"pg_hba.conf", "28000"},
	{"syntax error", "42601"}, {"unterminated quoted", "42601"}, {"than target columns", "42601"}, {"than expressions", "42601"},
	{"is ambiguous", "42702"}, {"specified more than once", "42701"}, {"must appear in the group by", "42803"}, {"there is no parameter", "42P02"}, {"depend on it", "2BP01"},
	{"more than one row returned by a subquery", "21000"}, {"affect row a second time", "21000"},
	{"division by zero", "22012"}, {"logarithm", "2201E"}, {"square root", "2201F"}, {"date/time field value", "22008"}, {"reached maximum value of sequence", "2200H"},
	{"value too long", "22001"}, {"numeric field overflow", "22003"}, {"out of range", "22003"},
	{"invalid input", "22P02"}, {"invalid byte sequence", "22021"}, {"malformed array", "22P02"},
	{"cannot be changed without restarting", "55P02"}, {"unrecognized configuration parameter", "42704"}, {"invalid value for parameter", "22023"},
	{"bind message", "08P01"}, {"prepared statement", "26000"},
	{"cached plan must not change result type", "0A000"}, {"not supported", "0A000"},
	{pooler[0], "08P01"}, {pooler[1], "08P01"}, {pooler[2], "08P01"}, {pooler[3], "08P01"},
	{"connection refused", "08001"}, {"connection failure", "08006"}, {"connection lost", "08006"}, {"server closed the connection", "08006"},
	{"could not extend file", "53100"}, {"no such file", "58P01"}, {"could not read", "58030"}, {"could not write", "58030"}, {"could not fsync", "58030"},
	{"i/o error", "58030"}, {"input/output error", "58030"},
	{"data corrupted", "XX001"}, {"invalid page", "XX001"},
}

// pooler is what PgBouncer says when it gives up on a connection.
var pooler = [...]string{"query_wait_timeout", "server_login_retry", "no more connections allowed", "server conn crashed"}

// missing maps the kind of a thing that "does not exist", or "already exists".
var missing = map[string]struct{ absent, present string }{
	"database": {"3D000", "42P04"}, "role": {"42704", "42710"}, "schema": {"3F000", "42P06"}, "savepoint": {"3B001", ""},
	"relation": {"42P01", "42P07"}, "table": {"42P01", "42P07"}, "view": {"42P01", "42P07"}, "sequence": {"42P01", "42P07"}, "column": {"42703", "42701"},
	"function": {"42883", "42723"}, "procedure": {"42883", "42723"}, "aggregate": {"42883", "42723"}, "operator": {"42883", "42723"},
	"prepared": {"26000", "42P05"}, "portal": {"34000", "42P03"}, "cursor": {"34000", "42P03"},
	"type": other, "index": other, "constraint": other, "trigger": other, "extension": other, "tablespace": other, "collation": other,
	"policy": other, "rule": other, "language": other, "server": other, "publication": other, "subscription": other, "conversion": other,
}

var other = struct{ absent, present string }{"42704", "42710"}

// ofThing returns the SQLSTATE of a message about a thing that is not there, or
// is there already; the first word outside of quotes that names a kind tells
// which (constraint "a" of relation "roles" does not exist).
func ofThing(message string) string {
	absent := strings.Contains(message, "does not exist")
	if !absent && !strings.Contains(message, "already exists") {
		return ""
	}
	for i, part := range strings.Split(message, `"`) {
		for word := range strings.FieldsSeq(part) {
			switch kind, known := missing[word]; {
			case i%2 == 1 || !known: // a name
			case absent:
				return kind.absent
			default:
				return kind.present
			}
		}
	}
	return ""
}

// sqlstate returns the SQLSTATE for a code as a spec writes it (five
// characters, or the name of a condition), or the one that belongs to the
// message if code is empty.
func sqlstate(code, message string) (string, error) {
	if code == "" {
		return inferred(strings.ToLower(message)), nil
	}
	if known, ok := conditions[strings.ToLower(code)]; ok {
		return known, nil
	}
	if !isSQLState(code) {
		return "", fmt.Errorf("unknown code %q: a SQLSTATE such as \"40001\" or a condition name such as \"serialization_failure\"%s", code, suggestion(code))
	}
	if class := code[:2]; class == "00" || class == "01" || class == "02" {
		return "", fmt.Errorf("code %q is not an error: class %s is success or a warning", code, class)
	}
	return code, nil
}

func isSQLState(code string) bool {
	if len(code) != 5 {
		return false
	}
	digits := 0
	for i := range len(code) {
		switch c := code[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c < 'A' || c > 'Z':
			return false
		}
	}
	return digits > 0
}

func inferred(message string) string {
	if code := ofThing(message); code != "" {
		return code
	}
	for _, w := range wellKnown {
		if strings.Contains(message, w.part) {
			return w.code
		}
	}
	if code, ok := conditions[strings.ReplaceAll(message, " ", "_")]; ok {
		return code
	}
	return "XX000"
}

// suggestion returns `; did you mean "x"?` for a name that is nearly one: that
// shares most of its three-letter parts.
func suggestion(code string) string {
	code = strings.ReplaceAll(strings.ToLower(code), " ", "_")
	best, most := "", 0.5
	for _, name := range sortedConditions() {
		shared := 0
		for i := range max(0, len(code)-2) {
			if strings.Contains(name, code[i:i+3]) {
				shared++
			}
		}
		if score := float64(shared) / float64(max(len(code), len(name))-2); score > most {
			best, most = name, score
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func sortedConditions() []string {
	names := make([]string, 0, len(conditions))
	for name := range conditions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// conditionOf returns the name of a SQLSTATE in words.
func conditionOf(code string) string {
	for _, name := range sortedConditions() {
		if conditions[name] == code {
			return strings.ReplaceAll(name, "_", " ")
		}
	}
	return "injected fault"
}

// severityOf returns the severity with which the server raises the error: the
// server ends the connection when it shuts down or has no slot for it.
func severityOf(code, message string) string {
	switch code {
	case "57P01", "57P02", "57P03", "57P04", "57P05", "53300", "25P03", "25P04", "28000", "28P01", "3D000":
		return "FATAL"
	}
	lower := strings.ToLower(message)
	if strings.HasPrefix(lower, "terminating connection") || slices.ContainsFunc(pooler[:], func(part string) bool { return strings.Contains(lower, part) }) {
		return "FATAL"
	}
	return "ERROR"
}
