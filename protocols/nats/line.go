package nats

import (
	"bytes"
	"fmt"
)

// op is what a control line says.
type op uint8

const (
	info op = iota
	connect
	pub
	hpub
	sub
	unsub
	msg
	hmsg
	ping
	pong
	ok
	fail
)

// names are the operations as the manual writes them.
var names = [...]string{"INFO", "CONNECT", "PUB", "HPUB", "SUB", "UNSUB", "MSG", "HMSG", "PING", "PONG", "+OK", "-ERR"}

// spoken are the operations of each side.
var spoken = [2][]op{{pub, hpub, pong, ping, sub, unsub, connect}, {msg, hmsg, ok, ping, pong, fail, info}}

// line is a control line. Its words lie in the buffer.
type line struct {
	op      op
	text    []byte    // behind the operation
	words   [5][]byte // of text, for operations that have a few
	n       int       // how many
	subject []byte
	sid     []byte
	reply   []byte // nil: none
	head    int    // bytes of the headers
	size    int    // bytes of headers and payload
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// parse reads into the empty l a control line, without its end, that holds one
// of these operations.
func (l *line) parse(b []byte, spoken []op) error {
	word, rest := nextWord(b)
	known := false
	for _, o := range spoken {
		if len(word) == len(names[o]) && (string(word) == names[o] || bytes.EqualFold(word, []byte(names[o]))) {
			l.op, known = o, true
			break
		}
	}
	if !known {
		return fmt.Errorf("unknown operation %.20q", word)
	}
	l.text = rest
	switch l.op {
	case pub, hpub, msg, hmsg, sub, unsub:
	default:
		return nil
	}
	for {
		if word, rest = nextWord(rest); word == nil {
			break
		}
		if l.n == len(l.words) {
			return fmt.Errorf("too many words behind %s", names[l.op])
		}
		l.words[l.n] = word
		l.n++
	}
	return l.assign()
}

// nextWord returns the first word of b, nil if there is none, and what follows.
func nextWord(b []byte) (word, rest []byte) {
	for len(b) > 0 && blank(b[0]) {
		b = b[1:]
	}
	if len(b) == 0 {
		return nil, nil
	}
	end := 0
	for end < len(b) && !blank(b[end]) {
		end++
	}
	return b[:end], b[end:]
}

// assign gives the words of PUB, HPUB, MSG, HMSG, SUB and UNSUB their meaning.
func (l *line) assign() error {
	w := l.words[:l.n]
	sizes := 0
	switch l.op {
	case hpub, hmsg:
		sizes = 2
	case pub, msg:
		sizes = 1
	}
	fixed := 1 // words that must be there
	if l.op == msg || l.op == hmsg || l.op == sub {
		fixed = 2
	}
	if len(w) < fixed+sizes || len(w) > fixed+sizes+1 {
		return fmt.Errorf("%s with %d words", names[l.op], len(w))
	}
	l.subject = w[0]
	switch l.op {
	case sub, unsub:
		return nil
	case msg, hmsg:
		l.sid = w[1]
	}
	if len(w) > fixed+sizes {
		l.reply = w[fixed]
	}
	l.size = number(w[len(w)-1])
	if sizes == 2 {
		l.head = number(w[len(w)-2])
	}
	if l.size < 0 || l.head < 0 || l.head > l.size {
		return fmt.Errorf("%s with a bad size", names[l.op])
	}
	return nil
}

// number returns a decimal number, -1 if b is none or beyond any payload.
func number(b []byte) int {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' || n > 1<<27 {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	if len(b) == 0 {
		return -1
	}
	return n
}
