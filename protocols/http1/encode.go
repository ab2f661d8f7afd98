package http1

import (
	"strconv"
	"strings"

	"faultbox/protocols"
)

// appendAnswer appends r as the answer to e.
func appendAnswer(dst []byte, r *protocols.Reply, e *exchange) []byte {
	body, contentType := protocols.HTTPBody(r)
	dst = append(dst, "HTTP/1."...)
	dst = strconv.AppendInt(dst, int64(min(e.minor, 1)), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r.Status), 10)
	dst = append(append(dst, ' '), protocols.HTTPReason(r.Status)...)
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
	if !protocols.HTTPBodiless(r.Status) {
		dst = appendField(dst, "Content-Length", strconv.Itoa(len(body)))
	}
	switch {
	case r.Close:
		dst = appendField(dst, "Connection", "close")
	case e.minor == 0:
		dst = appendField(dst, "Connection", "keep-alive")
	}
	dst = append(dst, "\r\n"...)
	if e.method == "HEAD" || protocols.HTTPBodiless(r.Status) {
		return dst
	}
	return append(dst, body...)
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}
