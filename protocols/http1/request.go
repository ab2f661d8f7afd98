package http1

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"faultbox/protocols"
)

// requestLine is the parts of "GET /path HTTP/1.1".
type requestLine struct{ method, target, version []byte }

func parseRequestLine(line []byte) (r requestLine, err error) {
	i, j := bytes.IndexByte(line, ' '), bytes.LastIndexByte(line, ' ')
	if i <= 0 || i == j {
		return r, fmt.Errorf("read a request: %q is no request line", line[:min(len(line), 64)])
	}
	return requestLine{line[:i], line[i+1 : j], line[j+1:]}, nil
}

// plausibleRequest rejects what is not going to be a request of HTTP/1 as soon
// as it can be told, for whoever sent it may be waiting for an answer.
func plausibleRequest(b []byte) error {
	if bytes.HasPrefix(b, []byte("PRI * HTTP/2")) {
		return errHTTP2
	}
	if b[0] == 0x16 {
		return errors.New("the client speaks TLS: declare the interface with tls=True")
	}
	if eol := bytes.IndexByte(b, '\n'); eol >= 0 {
		r, err := parseRequestLine(bytes.TrimSuffix(b[:eol], []byte("\r")))
		if err != nil {
			return err
		}
		b = r.method
	}
	for i, c := range b {
		if c == ' ' && i > 0 {
			return nil
		}
		if !protocols.HTTPTokenChar(rune(c)) || i > 64 {
			return fmt.Errorf("read a request: %q begins with no method", b[:i+1])
		}
	}
	return nil
}

// itemReader makes the items of requests. Clients send much the same head
// again and again: a head that equals the one before costs no allocation.
type itemReader struct {
	head  []byte
	items [1]protocols.Item
	names map[string]string // "header:x-request-id" by "X-Request-Id"
}

// read returns the item of a request with that head. It is valid until the
// next call.
func (r *itemReader) read(head []byte, line requestLine) []protocols.Item {
	if r.head != nil && bytes.Equal(r.head, head) {
		return r.items[:]
	}
	r.head = append(r.head[:0], head...)
	it := &r.items[0]
	target := resource(string(line.target))
	path, _, _ := strings.Cut(target, "?")
	it.Op, it.Key = methodName(line.method), strings.Clone(path)
	it.Attrs = append(it.Attrs[:0], protocols.Attr{Name: "target", Value: target})
	_, fields := nextLine(head)
	text := string(fields)
	for text != "" {
		var row string
		row, text, _ = strings.Cut(text, "\n")
		row = strings.TrimSuffix(row, "\r")
		switch i := strings.IndexByte(row, ':'); {
		case row == "":
			return r.items[:]
		case row[0] == ' ' || row[0] == '\t': // goes on with the field before
			if last := &it.Attrs[len(it.Attrs)-1]; len(it.Attrs) > 1 {
				last.Value = strings.Trim(last.Value+" "+strings.Trim(row, " \t"), " ")
			}
		case i > 0:
			it.Attrs = append(it.Attrs, protocols.Attr{Name: r.attr(row[:i]), Value: strings.Trim(row[i+1:], " \t")})
		}
	}
	return r.items[:]
}

// attr returns the name of the attribute that holds a header.
func (r *itemReader) attr(name string) string {
	if a, ok := r.names[name]; ok {
		return a
	}
	a := "header:" + strings.ToLower(strings.Trim(name, " \t"))
	if r.names == nil || len(r.names) >= 128 {
		r.names = make(map[string]string)
	}
	if len(name) <= 64 {
		r.names[strings.Clone(name)] = a
	}
	return a
}

// resource returns path and query of a request target (RFC 9112, section 3.2):
// the absolute form loses scheme and host; "*" and host:port stay.
func resource(target string) string {
	i := strings.Index(target, "://")
	if i <= 0 || strings.ContainsAny(target[:i], "/?") {
		return target
	}
	rest := target[i+3:]
	switch j := strings.IndexAny(rest, "/?"); {
	case j < 0:
		return "/"
	case rest[j] == '?':
		return "/" + rest[j:]
	default:
		return rest[j:]
	}
}

func methodName(b []byte) string {
	switch string(b) {
	case "GET":
		return "GET"
	case "POST":
		return "POST"
	case "PUT":
		return "PUT"
	case "DELETE":
		return "DELETE"
	case "HEAD":
		return "HEAD"
	case "PATCH":
		return "PATCH"
	case "OPTIONS":
		return "OPTIONS"
	}
	return string(b)
}
