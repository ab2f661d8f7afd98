package sqltext

import "strings"

// Normalize returns the statement as rules compare it: comments and runs of
// white space outside of quotes are one blank, none at either end, no ; at the
// end. The case of letters stays. Text that is normal already is returned
// without allocating, as is text to be trimmed at its ends only.
func Normalize(sql string) string { return Standard.Normalize(sql) }

// Normalize is the dialect's form of the function of that name.
func (d Dialect) Normalize(sql string) string {
	base := d.skipBlanks(sql, 0)
	s := sql[base:]
	n := 0           // what comes out so far is s[:n], while buf is nil
	var buf []byte   // what comes out so far, once it differs from s
	pending := false // a blank is due before the next token
	for i := 0; i < len(s); {
		end, k := d.token(s, i)
		switch {
		case k == blank:
			pending = true
			i = end
			continue
		case buf == nil && (i == n || pending && i == n+1 && s[n] == ' '):
			n = end
		default:
			if buf == nil {
				buf = append(make([]byte, 0, len(s)), s[:n]...)
			}
			if pending {
				buf = append(buf, ' ')
			}
			buf = append(buf, s[i:end]...)
		}
		pending = false
		i = end
	}
	if buf != nil {
		s, n = string(buf), len(buf)
	}
	return strings.TrimRight(s[:n], " ;\t\n\v\f\r\x00")
}

// skipBlanks returns the place of the first token at or after i.
func (d Dialect) skipBlanks(s string, i int) int {
	for i < len(s) {
		end, k := d.token(s, i)
		if k != blank {
			break
		}
		i = end
	}
	return i
}
