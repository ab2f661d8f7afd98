package http1

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// appendAnswer appends r as the answer to e.
func appendAnswer(dst []byte, r *protocols.Reply, e *exchange) []byte {
	body, contentType := content(r)
	dst = append(dst, "HTTP/1."...)
	dst = strconv.AppendInt(dst, int64(min(e.minor, 1)), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(append(dst, ' '), reason(r.Status)...)
	dst = append(dst, "\r\n"...)
	for _, h := range r.Headers {
		switch {
		case strings.EqualFold(h.Name, "Content-Type"):
			contentType = ""
		case strings.EqualFold(h.Name, "Connection"):
			continue // see Reply.Close
		}
		dst = appendField(dst, h.Name, h.Value)
	}
	if contentType != "" {
		dst = appendField(dst, "Content-Type", contentType)
	}
	if !bodiless(r.Status) {
		dst = appendField(dst, "Content-Length", strconv.Itoa(len(body)))
	}
	switch {
	case r.Close:
		dst = appendField(dst, "Connection", "close")
	case e.minor == 0:
		dst = appendField(dst, "Connection", "keep-alive")
	}
	dst = append(dst, "\r\n"...)
	if e.method == "HEAD" || bodiless(r.Status) {
		return dst
	}
	return append(dst, body...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}

// content returns the body of a reply and its type: a string as it is, any
// other value as JSON, an error as {"error": message}.
func content(r *protocols.Reply) (body []byte, contentType string) {
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

// bodiless reports whether an answer with that status never has a body.
func bodiless(status int) bool { return status == 204 || status == 304 }

// reason returns the phrase for a status (RFC 9110, section 15).
func reason(status int) string {
	if s := reasons[status]; s != "" {
		return s
	}
	return "Status " + strconv.Itoa(status)
}

var reasons = map[int]string{
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
