package protocols

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// What the versions of HTTP share (RFC 9110).

// PathField matches the path of a request; a pattern that has a "?" looks at
// the query too. The Item's Key is the path, its attribute "target" path and
// query.
var PathField = Field{Of: "key", Pick: func(pattern string) string {
	if strings.Contains(pattern, "?") {
		return "target"
	}
	return "key"
}}

// CheckHTTP validates and completes status, message, body and headers of a
// reply: see Protocol.Check.
func CheckHTTP(r *Reply) error {
	switch {
	case r.Error && r.Status == 0:
		r.Status = 500
	case r.Status == 0:
		r.Status = 200
	}
	switch {
	case r.Error && (r.Status < 400 || r.Status > 599):
		return fmt.Errorf("http error status %d: must be 400 to 599 (use response(…) for others)", r.Status)
	case r.Status < 200 || r.Status > 599:
		return fmt.Errorf("http status %d: must be 200 to 599", r.Status)
	case !r.Error && r.Message != "":
		return errors.New("an http response takes body=: use error(…) for message=")
	case r.Error && r.Message == "":
		r.Message = HTTPReason(r.Status)
	case !r.Error && r.Value != nil && r.Value != "" && HTTPBodiless(r.Status):
		return fmt.Errorf("http status %d has no body", r.Status)
	}
	if r.Status >= 400 {
		r.Code = strconv.Itoa(r.Status)
	}
	return checkHTTPHeaders(r.Headers)
}

func checkHTTPHeaders(headers []Attr) error {
	for _, h := range headers {
		switch {
		case h.Name == "" || strings.ContainsFunc(h.Name, func(c rune) bool { return !HTTPTokenChar(c) }):
			return fmt.Errorf("http header %q: not a header's name", h.Name)
		case strings.ContainsAny(h.Value, "\r\n\x00"):
			return fmt.Errorf("http header %q: its value must be one line", h.Name)
		case strings.EqualFold(h.Name, "Content-Length") || strings.EqualFold(h.Name, "Transfer-Encoding"):
			return fmt.Errorf("http header %q: follows from the body, leave it out", h.Name)
		}
	}
	return nil
}

// HTTPTokenChar reports whether c may be in a method or a header's name (RFC 9110,
// section 5.6.2).
func HTTPTokenChar(c rune) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}

// HTTPBody returns the body of an HTTP reply and its type: a string as it is, any
// other value as JSON, an error as {"error": message}.
func HTTPBody(r *Reply) (body []byte, contentType string) {
	v := r.Value
	if r.Error {
		v = map[string]any{"error": r.Message}
	}
	switch v := v.(type) {
	case nil:
		return nil, ""
	case string:
		if v == "" {
			return nil, ""
		}
		if (v[0] == '{' || v[0] == '[') && json.Valid([]byte(v)) {
			return []byte(v), "application/json"
		}
		return []byte(v), "text/plain; charset=utf-8"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // a NaN, say
		return []byte("null"), "application/json"
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), "application/json"
}

// HTTPBodiless reports whether an answer with that status never has a body.
func HTTPBodiless(status int) bool { return status == 204 || status == 304 }

// HTTPReason returns the phrase for a status (RFC 9110, section 15).
func HTTPReason(status int) string {
	if s := httpReasons[status]; s != "" {
		return s
	}
	return "Status " + strconv.Itoa(status)
}

var httpReasons = map[int]string{
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
	205: "Reset Content", 206: "Partial Content", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Found",
	303: "See Other", 304: "Not Modified", 307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
	401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
	406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 409: "Conflict", 410: "Gone",
	411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
	415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed", 421: "Misdirected Request",
	422: "Unprocessable Content", 423: "Locked", 424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required",
	428: "Precondition Required", 429: "Too Many Requests", 431: "Request Header Fields Too Large",
	451: "Unavailable For Legal Reasons", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
	503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported", 507: "Insufficient Storage",
	508: "Loop Detected", 511: "Network Authentication Required",
}
