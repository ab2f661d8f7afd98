package kvstore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of one command; Redis has the first two as well.
const (
	maxArgs   = 1 << 20
	maxInline = 64 << 10
	maxBulk   = 64 << 20
)

// protocolError is a mistake of the client's after which its place is lost. The
// client hears it, then the connection is closed.
type protocolError string

func (e protocolError) Error() string { return "ERR Protocol error: " + string(e) }

// readCommand reads the next command: an array of bulk strings, or an inline
// line. An empty command (a blank line) has no arguments.
func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(line, "*") {
		return strings.Fields(line), nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n > maxArgs {
		return nil, protocolError("invalid multibulk length")
	}
	var args []string
	total := 0
	for range n {
		arg, err := readBulk(r, maxBulk-total)
		if err != nil {
			return nil, err
		}
		total += len(arg)
		args = append(args, arg)
	}
	return args, nil
}

// readBulk reads one bulk string of at most limit bytes.
func readBulk(r *bufio.Reader, limit int) (string, error) {
	line, err := readLine(r)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(line, "$") {
		return "", protocolError(fmt.Sprintf("expected '$', got '%.1s'", line))
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil || n < 0 || n > limit {
		return "", protocolError("invalid bulk length")
	}
	var b strings.Builder
	if _, err := io.CopyN(&b, r, int64(n)); err != nil {
		return "", io.ErrUnexpectedEOF
	}
	var end [2]byte
	if _, err := io.ReadFull(r, end[:]); err != nil {
		return "", io.ErrUnexpectedEOF
	}
	if string(end[:]) != "\r\n" {
		return "", protocolError("bulk string without CRLF")
	}
	return b.String(), nil
}

// readLine reads up to LF and cuts the line end off.
func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", protocolError("too big inline request")
	}
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// writer writes answers in the protocol version that the client chose.
type writer struct {
	*bufio.Writer
	resp3 bool
}

func (w *writer) status(s string) { fmt.Fprintf(w, "+%s\r\n", s) }
func (w *writer) fail(s string) {
	fmt.Fprintf(w, "-%s\r\n", strings.NewReplacer("\r", " ", "\n", " ").Replace(s))
}
func (w *writer) integer(n int64)  { fmt.Fprintf(w, ":%d\r\n", n) }
func (w *writer) bulk(s string)    { fmt.Fprintf(w, "$%d\r\n%s\r\n", len(s), s) }
func (w *writer) array(length int) { fmt.Fprintf(w, "*%d\r\n", length) }

// dict opens a map of pairs; RESP2 writes one as a flat array.
func (w *writer) dict(pairs int) {
	if w.resp3 {
		fmt.Fprintf(w, "%%%d\r\n", pairs)
		return
	}
	w.array(2 * pairs)
}

func (w *writer) null() {
	if w.resp3 {
		w.WriteString("_\r\n")
		return
	}
	w.WriteString("$-1\r\n")
}
