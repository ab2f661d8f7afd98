package sqltext

import "strings"

type kind uint8

const (
	blank  kind = iota // white space or a comment
	quoted             // a string or a quoted identifier
	word               // letters, digits, _ and $
	comma              // ,
	symbol             // any other single character
)

// token returns the end and the kind of what begins at s[i].
func (d Dialect) token(s string, i int) (end int, k kind) {
	switch c := s[i]; {
	case isBlank(c):
		for i++; i < len(s) && isBlank(s[i]); i++ {
		}
		return i, blank
	case c == '-' && d.dashes(s[i:]), c == '#' && d == MySQL:
		if n := strings.IndexByte(s[i:], '\n'); n >= 0 {
			return i + n + 1, blank
		}
		return len(s), blank
	case c == '/' && strings.HasPrefix(s[i:], "/*"):
		return d.blockComment(s, i)
	case c == '\'':
		return quote(s, i, d == MySQL || escapes(s, i)), quoted
	case c == '"':
		return quote(s, i, d == MySQL), quoted
	case c == '`' && d == MySQL:
		return quote(s, i, false), quoted
	case c == '$' && d == Standard:
		return dollar(s, i)
	case isWord(c):
		for i++; i < len(s) && isWord(s[i]); i++ {
		}
		return i, word
	case c == ',':
		return i + 1, comma
	}
	return i + 1, symbol
}

// dashes reports whether s begins with --; MySQL wants a blank behind it.
func (d Dialect) dashes(s string) bool {
	return strings.HasPrefix(s, "--") && (d != MySQL || len(s) > 2 && isBlank(s[2]))
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' || c == 0 }

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// escapes reports whether the quote at s[i] opens an E'…' string.
func escapes(s string, i int) bool {
	return i > 0 && s[i-1]|0x20 == 'e' && (i == 1 || !isWord(s[i-2]))
}

// quote returns the end of the quoted text that begins at s[i]; a doubled
// quote reads as two texts, which makes no difference here.
func quote(s string, i int, backslash bool) int {
	q := s[i]
	for i++; i < len(s); i++ {
		switch {
		case s[i] == q:
			return i + 1
		case s[i] == '\\' && backslash:
			i++
		}
	}
	return len(s)
}

// blockComment reads a /* */ comment; one that never ends is kept as it is.
func (d Dialect) blockComment(s string, i int) (end int, k kind) {
	if d == MySQL {
		n := strings.Index(s[i+2:], "*/")
		switch {
		case n < 0:
			return len(s), quoted
		case strings.HasPrefix(s[i:], "/*!") || strings.HasPrefix(s[i:], "/*M!"):
			return i + 4 + n, quoted
		}
		return i + 4 + n, blank
	}
	depth := 1
	for j := i + 2; j+1 < len(s); j++ {
		switch s[j : j+2] {
		case "/*":
			depth++
			j++
		case "*/":
			depth--
			j++
		}
		if depth == 0 {
			return j + 1, blank
		}
	}
	return len(s), quoted
}

// dollar reads $tag$…$tag$, or a lone $ or parameter.
func dollar(s string, i int) (end int, k kind) {
	j := i + 1
	for j < len(s) && isWord(s[j]) && s[j] != '$' {
		j++
	}
	if j < len(s) && s[j] == '$' && (j == i+1 || s[i+1] < '0' || s[i+1] > '9') {
		tag := s[i : j+1]
		if n := strings.Index(s[j+1:], tag); n >= 0 {
			return j + 1 + n + len(tag), quoted
		}
		return len(s), quoted
	}
	return max(j, i+1), word
}
