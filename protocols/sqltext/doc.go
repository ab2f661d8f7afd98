// Package sqltext reads SQL as far as matching and reporting need it: the
// normal form of a statement, its verb, its tables. It knows words, quotes and
// comments, not grammar; what it can't read it leaves as it is. Every function
// takes time linear in the text.
package sqltext

// Dialect is how quotes and comments are written.
type Dialect uint8

const (
	// Standard is PostgreSQL's lexical structure: '…', E'…' with backslashes,
	// "identifier", $tag$…$tag$, -- and nested /* */ comments.
	Standard Dialect = iota
	// MySQL is that of MySQL and MariaDB: '…' and "…" with backslashes,
	// `identifier`, -- and # and /* */ comments; /*! and /*M! are no comments.
	MySQL
)
