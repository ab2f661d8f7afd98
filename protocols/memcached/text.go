package memcached

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"

	"faultbox/protocols"
)

// maxData is more than any item that a server takes.
const maxData = 1<<31 - 1

var errLine = errors.New("a line does not end")

// textRequest reads a command line, and the beginning of its data block.
func (c *codec) textRequest(buf []byte) (f protocols.Frame, n int, err error) {
	end := bytes.IndexByte(buf, '\n') + 1
	if end == 0 {
		if len(buf) >= window {
			return f, 0, errLine
		}
		return f, 0, nil
	}
	c.words = split(c.words[:0], buf[:end])
	words := c.words
	if len(words) == 0 {
		words = append(words, []byte("unknown")) // the server says ERROR
	}
	e := entry{op: commandName(words[0])}
	data := -1
	switch e.op {
	case "get", "gets", "gat", "gats":
		e.form = values
		first := 1
		if e.op[1] == 'a' {
			first = 2
		}
		if len(words) > first+1 {
			for _, w := range words[first:] {
				e.keys = append(e.keys, string(w))
			}
			e.key = e.keys[0]
		} else if len(words) > first {
			e.key = string(words[first])
		}
	case "set", "add", "replace", "append", "prepend", "cas":
		data = number(at(words, 4))
	case "ms":
		e.form = meta
		data = number(at(words, 2))
	case "mg", "md", "ma", "me":
		e.form = meta
	case "stats":
		e.form = list
	case "lru_crawler":
		if len(words) > 1 && (string(words[1]) == "metadump" || string(words[1]) == "mgdump") {
			e.form = dump
		}
	case "quit":
		return f, end, nil
	case "watch":
		f := c.begin(e, end, end)
		f.Tunnel = true
		return f, end, nil
	}
	c.keyAndFlags(&e, words)
	total := end
	if data >= 0 {
		total += data + 2
	}
	n = min(len(buf), total)
	if n < total && len(buf) < window {
		return f, 0, nil
	}
	return c.begin(e, n, total), n, nil
}

// keyAndFlags reads what follows the name of a command.
func (c *codec) keyAndFlags(e *entry, words [][]byte) {
	switch e.op {
	case "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "ms", "mg", "md", "ma", "me":
		if len(words) > 1 {
			e.key = string(words[1])
		}
	}
	switch e.op {
	case "ms", "mg", "md", "ma":
		from := 2
		if e.op == "ms" {
			from = 3
		}
		for _, w := range words[min(from, len(words)):] {
			e.flags = append(e.flags, string(w))
		}
		e.quiet = slices.Contains(e.flags, "q")
		if slices.Contains(e.flags, "b") {
			if key, err := base64.StdEncoding.DecodeString(e.key); err == nil {
				e.base64, e.key = e.key, string(key)
			}
		}
	case "set", "add", "replace", "append", "prepend", "cas", "delete", "incr", "decr", "touch", "flush_all", "verbosity", "cache_memlimit":
		e.mute = string(words[len(words)-1]) == "noreply"
	}
}

// split appends the words of a line to dst.
func split(dst [][]byte, line []byte) [][]byte {
	for w := range bytes.FieldsSeq(line) {
		dst = append(dst, w)
	}
	return dst
}

// at returns a word, nil if there is none.
func at(words [][]byte, i int) []byte {
	if i < len(words) {
		return words[i]
	}
	return nil
}

// wordAt returns a word of a line, nil if it has none there.
func wordAt(line []byte, i int) []byte {
	for w := range bytes.FieldsSeq(line) {
		if i == 0 {
			return w
		}
		i--
	}
	return nil
}

var commandNames = []string{"get", "set", "gets", "delete", "incr", "decr", "add", "replace", "append", "prepend", "cas", "gat", "gats", "touch",
	"mg", "ms", "md", "ma", "mn", "me", "stats", "version", "flush_all", "verbosity", "quit", "watch", "shutdown", "lru_crawler", "cache_memlimit", "lru", "slabs"}

// commandName returns the name of a command, mostly without allocating.
func commandName(b []byte) string {
	for _, name := range commandNames {
		if name == string(b) {
			return name
		}
	}
	return string(b[:min(len(b), 32)])
}

// number reads the length of a data block: -1 if it is none.
func number(word []byte) int {
	if len(word) == 0 || len(word) > 10 {
		return -1
	}
	n := 0
	for _, b := range word {
		if b < '0' || b > '9' {
			return -1
		}
		n = 10*n + int(b-'0')
	}
	if n > maxData {
		return -1
	}
	return n
}

// block returns the length of a data block with its line end.
func block(word []byte) int {
	if n := number(word); n >= 0 {
		return n + 2
	}
	return 0
}

// textAnswer reads a line of an answer, with its data block.
func (c *codec) textAnswer(buf []byte) (f protocols.Frame, n int, err error) {
	for {
		end := bytes.IndexByte(buf[n:], '\n') + 1
		if end == 0 {
			break
		}
		text := bytes.TrimRight(buf[n:n+end], "\r\n")
		e := c.attribute(text)
		if e == nil {
			if n > 0 {
				break
			}
			return f, end, nil // the server says why it ends the connection
		}
		data, done := e.read(text)
		total := n + end + data
		if total > len(buf) {
			if n > 0 || len(buf) < window {
				break
			}
			n = len(buf)
			return c.finish(f, done, n, total), n, nil
		}
		n = total
		if done {
			f.Err = errorWord(text)
			return c.finish(f, true, n, n), n, nil
		}
	}
	switch {
	case n > 0:
		return c.finish(f, false, n, n), n, nil
	case len(buf) >= window:
		return f, 0, errLine
	}
	return f, 0, nil
}

// read tells of a line of the answer how long its data block is, and whether
// the answer ends with it.
func (e *entry) read(text []byte) (data int, done bool) {
	word, _, _ := bytes.Cut(text, []byte(" "))
	if errorWord(text) != "" {
		return 0, true
	}
	switch e.form {
	case values:
		if string(word) == "VALUE" {
			return block(wordAt(text, 3)), false
		}
	case list:
		return 0, string(word) != "STAT" && string(word) != "ITEM" && string(word) != "PREFIX"
	case dump:
		return 0, string(word) != "mg" && !bytes.HasPrefix(word, []byte("key="))
	case meta:
		if string(word) == "VA" {
			return block(wordAt(text, 1)), true
		}
	}
	return 0, true
}

// errorWord returns the word that makes a line an error, "" if it is none.
func errorWord(text []byte) string {
	word, _, _ := bytes.Cut(text, []byte(" "))
	for _, w := range []string{plainError, clientError, serverError} {
		if string(word) == w {
			return w
		}
	}
	return ""
}

// attribute returns the command that a line answers, nil if there is none. It
// drops the quiet ones before it: they had nothing to tell.
func (c *codec) attribute(text []byte) *entry {
	e := c.pending.front()
	for e != nil && e.quiet && !e.answeredBy(text) {
		c.pending.pop()
		e = c.pending.front()
	}
	return e
}

// answeredBy reports whether a line may answer a quiet meta command.
func (e *entry) answeredBy(text []byte) bool {
	if errorWord(text) != "" {
		return true
	}
	words := split(nil, text)
	if len(words) == 0 {
		return false
	}
	if word, asked := tells(words, 'O'), e.flag('O'); word != asked {
		return false
	}
	if word := tells(words, 'k'); (word != "") != (e.flag('k') != "") || word != "" && word[1:] != e.key && word[1:] != e.base64 {
		return false
	}
	switch code := string(words[0]); e.op {
	case "mg":
		return code == "VA" || code == "HD"
	case "ms":
		return code == "NS" || code == "EX" || code == "NF"
	case "md":
		return code == "NF" || code == "EX"
	case "ma":
		return code == "NF" || code == "NS" || code == "EX"
	}
	return false
}

// tells returns the word of an answer that begins with a flag's letter.
func tells(words [][]byte, letter byte) string {
	for _, w := range words[1:] {
		if w[0] == letter {
			return string(w)
		}
	}
	return ""
}

// flag returns a flag of a meta command with its token, "" if it has none.
func (e *entry) flag(letter byte) string {
	for _, f := range e.flags {
		if f[0] == letter {
			return f
		}
	}
	return ""
}
