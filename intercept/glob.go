package intercept

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// glob is a pattern in which * stands for any run of characters (newlines and
// slashes included) and ? for one.
type glob struct {
	pattern string
	fold    bool
	raw     bool // of bytes: a character is one of them, whatever it is
}

func compileGlob(pattern string, fold bool) glob {
	if fold {
		pattern = strings.ToLower(pattern)
	}
	return glob{pattern: pattern, fold: fold}
}

func (g glob) any() bool { return g.pattern == "*" }

// match takes time linear in len(s) for the patterns people write and at most
// len(s)*len(pattern); it allocates nothing.
func (g glob) match(s string) bool {
	p := g.pattern
	star, mark := -1, 0
	i, j := 0, 0
	for i < len(s) {
		r, n := g.next(s[i:])
		if j < len(p) {
			if p[j] == '*' {
				star, mark = j, i
				j++
				continue
			}
			pr, pn := g.next(p[j:])
			if p[j] == '?' || pr == r && (r != utf8.RuneError || s[i] == p[j]) || g.fold && pr == unicode.ToLower(r) {
				i, j = i+n, j+pn
				continue
			}
		}
		if star < 0 {
			return false
		}
		_, n = g.next(s[mark:])
		mark += n
		i, j = mark, star+1
	}
	return strings.Trim(p[j:], "*") == ""
}

// next returns the first character of s and its length.
func (g glob) next(s string) (rune, int) {
	if g.raw {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}

// Glob reports whether s as a whole is of the pattern's form, minding case.
func Glob(pattern, s string) bool { return compileGlob(pattern, false).match(s) }
