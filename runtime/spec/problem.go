package spec

import (
	"fmt"
	"strings"

	"go.starlark.net/syntax"
)

// Error is everything that is wrong with a spec, in the order found.
type Error struct{ Problems []Problem }

// Error prints each problem with its position and the offending line.
func (e *Error) Error() string {
	parts := make([]string, len(e.Problems))
	for i := range e.Problems {
		parts[i] = e.Problems[i].Error()
	}
	return strings.Join(parts, "\n")
}

// Problem is one mistake.
type Problem struct {
	Pos    string   // file:line:col; only the file where there is no line to blame
	Text   string   // what is wrong and what to do
	Source string   // the offending line and, below it, a mark; "" if there is none
	Called []string // calls that led there, outermost first; empty at the top level
}

func (p *Problem) Error() string {
	var b strings.Builder
	if p.Pos != "" {
		fmt.Fprintf(&b, "%s: ", p.Pos)
	}
	b.WriteString(p.Text)
	if p.Source != "" {
		b.WriteString("\n" + p.Source)
	}
	for _, c := range p.Called {
		b.WriteString("\n    called from " + c)
	}
	return b.String()
}

// maxShown is how much of a long source line is shown.
const maxShown = 120

// excerpt returns the line at pos with a mark below the column.
func excerpt(src string, pos syntax.Position) string {
	line := lineOf(src, int(pos.Line))
	col := min(max(int(pos.Col)-1, 0), len(line))
	indent := 0
	for indent < col && (line[indent] == ' ' || line[indent] == '\t') {
		indent++
	}
	line, col = line[indent:], col-indent
	if cut := col - maxShown/2; len(line) > maxShown && cut > 0 {
		line, col = append([]rune("…"), line[cut:]...), col-cut+1
	}
	if len(line) > maxShown {
		line = append(line[:maxShown:maxShown], '…')
	}
	if len(line) == 0 {
		return ""
	}
	mark := make([]rune, col)
	for i := range mark {
		mark[i] = ' '
		if line[i] == '\t' {
			mark[i] = '\t'
		}
	}
	return "    " + string(line) + "\n    " + string(mark) + "^"
}

// lineOf returns line n, from 1, without its end; nil if there is none.
func lineOf(src string, n int) []rune {
	for i := 1; ; i++ {
		line, rest, more := strings.Cut(src, "\n")
		if i == n {
			return []rune(strings.TrimRight(line, "\r"))
		}
		if !more {
			return nil
		}
		src = rest
	}
}
