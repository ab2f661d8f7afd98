//go:build linux

package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// ignore is a .dockerignore file: see "docker build", .dockerignore files.
type ignore struct {
	patterns []ignorePattern
	negated  bool // some pattern takes things back in
}

type ignorePattern struct {
	re    *regexp.Regexp
	again bool // !pattern: not ignored after all
}

// readIgnore reads the .dockerignore of a folder. There may be none.
func readIgnore(dir string) (*ignore, error) {
	file := filepath.Join(dir, ".dockerignore")
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &ignore{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what not to build: %w", err)
	}
	i := &ignore{}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		pattern, again := strings.CutPrefix(line, "!")
		pattern = strings.TrimPrefix(path.Clean(strings.TrimSpace(pattern)), "/")
		re, err := regexp.Compile(ignoreExpr(pattern))
		if err != nil {
			return nil, fmt.Errorf("read %s:%d: %q is no pattern: %w", file, n+1, line, err)
		}
		i.patterns = append(i.patterns, ignorePattern{re, again})
		i.negated = i.negated || again
	}
	return i, nil
}

// ignoreExpr turns a pattern into an expression for the name itself and for
// all that is below it. ** is any number of folders, * and ? stop at a slash.
func ignoreExpr(pattern string) string {
	var b strings.Builder
	b.WriteString(`^`)
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString(`(.*/)?`)
			i += 2
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(`.*`)
			i++
		case c == '*':
			b.WriteString(`[^/]*`)
		case c == '?':
			b.WriteString(`[^/]`)
		case c == '[' || c == ']':
			b.WriteByte(c)
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(`(/.*)?$`)
	return b.String()
}

// excludes reports whether a file is left out. The last pattern that fits it
// counts. The Dockerfile itself is always needed.
func (i *ignore) excludes(name string) bool {
	if name == "Dockerfile" || name == ".dockerignore" {
		return false
	}
	out := false
	for _, p := range i.patterns {
		if p.again == out && p.re.MatchString(name) {
			out = !p.again
		}
	}
	return out
}
