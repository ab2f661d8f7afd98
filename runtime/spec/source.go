package spec

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"go.starlark.net/syntax"
)

// maxSource is the size of the largest file that a spec may consist of, load
// or read.
const maxSource = 10 << 20

// readSource reads a file of Starlark and checks that it is text.
func readSource(open func() (fs.File, error)) (string, error) {
	data, err := readLimited(open)
	if err != nil {
		return "", err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) || bytes.IndexByte(line, 0) >= 0 {
			return "", fmt.Errorf("line %d is not UTF-8 text", i+1)
		}
	}
	return string(data), nil
}

// readLimited reads a whole regular file of at most maxSource bytes.
func readLimited(open func() (fs.File, error)) ([]byte, error) {
	f, err := open()
	if err != nil {
		if pe, ok := err.(*fs.PathError); ok {
			err = pe.Err
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("is a folder, want a file")
	}
	if !info.Mode().IsRegular() && info.Mode()&(os.ModeNamedPipe|os.ModeCharDevice) == 0 {
		return nil, fmt.Errorf("is not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSource {
		return nil, fmt.Errorf("is larger than %d MB", maxSource>>20)
	}
	return data, nil
}

// maxNesting bounds how deep the syntax tree of one statement can become.
const maxNesting = 10_000

// checkNesting refuses source whose syntax tree would be too deep to be worked
// on by recursion. What it counts, the tokens between two commas or line ends
// on each open level of brackets, is never less than the depth.
func checkNesting(path, src string) error {
	levels, total, elifs := []int{0}, 0, 0
	pos := syntax.MakePosition(&path, 1, 1)
	add := func() { levels[len(levels)-1]++; total++ }
	reset := func() { total -= levels[len(levels)-1]; levels[len(levels)-1] = 0 }
	for i := 0; i < len(src); {
		n := 1
		switch c := src[i]; {
		case c == '\n':
			if len(levels) == 1 {
				reset()
			}
			pos.Line++
		case c == '#':
			for i+n < len(src) && src[i+n] != '\n' {
				n++
			}
		case c == '"' || c == '\'':
			n = stringLen(src[i:])
			pos.Line += int32(bytes.Count([]byte(src[i:i+n]), []byte("\n")))
			add()
		case c == '(' || c == '[' || c == '{':
			add()
			levels = append(levels, 0)
		case c == ')' || c == ']' || c == '}':
			if len(levels) > 1 {
				reset()
				levels = levels[:len(levels)-1]
			}
		case c == ',':
			reset()
		case c == '\\' && i+1 < len(src) && src[i+1] == '\n':
			n = 2
			pos.Line++
		case c == ' ' || c == '\t' || c == '\r':
		case wordByte(c):
			for i+n < len(src) && wordByte(src[i+n]) {
				n++
			}
			if src[i:i+n] == "elif" {
				elifs++
			}
			add()
		default:
			add()
		}
		if total > maxNesting || elifs > maxNesting {
			return &Problem{Pos: fmt.Sprintf("%s:%d:1", path, pos.Line), Text: "this expression is nested too deeply"}
		}
		i += n
	}
	return nil
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// stringLen returns the length of the string literal at the start of s, or of
// what there is of it.
func stringLen(s string) int {
	quote, long := s[:1], len(s) >= 3 && s[1] == s[0] && s[2] == s[0]
	if long {
		quote = s[:3]
	}
	for i := len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\':
			i++
		case s[i] == '\n' && !long:
			return i
		case len(s)-i >= len(quote) && s[i:i+len(quote)] == quote:
			return i + len(quote)
		}
	}
	return len(s)
}
