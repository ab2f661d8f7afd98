package http1

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// Protocol is HTTP/1.0 and HTTP/1.1, in the clear or below TLS.
var Protocol = &protocols.Protocol{
	Name: "http",
	Doc:  "HTTP/1.1 and HTTP/1.0",
	Port: 80,
	ALPN: []string{"http/1.1", "http/1.0"},
	Fields: map[string]protocols.Field{
		"method":  protocols.OpField,
		"path":    {Of: "key", Pick: pick},
		"headers": {Of: "header:"},
	},
	Faults: []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Check:  check,
	New:    func() protocols.Codec { return &codec{} },
}

// pick lets a path pattern that has a "?" look at the query too.
func pick(pattern string) string {
	if strings.Contains(pattern, "?") {
		return "target"
	}
	return "key"
}

// check validates and completes a reply: see Protocol.Check.
func check(r *protocols.Reply) error {
	if r.Code != "" && r.Status == 0 {
		n, err := strconv.Atoi(r.Code)
		if err != nil {
			return fmt.Errorf("http error code %q: HTTP has no code but a status, such as status=503", r.Code)
		}
		r.Status = n
	}
	r.Code = ""
	if len(r.Details) > 0 {
		return errors.New("http replies have no details: put them into message= or body=")
	}
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
		r.Message = reason(r.Status)
	case !r.Error && r.Value != nil && r.Value != "" && bodiless(r.Status):
		return fmt.Errorf("http status %d has no body", r.Status)
	}
	if r.Status >= 400 {
		r.Code = strconv.Itoa(r.Status)
	}
	for _, h := range r.Headers {
		r.Close = r.Close || strings.EqualFold(h.Name, "Connection") && strings.Contains(strings.ToLower(h.Value), "close")
	}
	return checkHeaders(r.Headers)
}

func checkHeaders(headers []protocols.Attr) error {
	for _, h := range headers {
		switch {
		case h.Name == "" || strings.ContainsFunc(h.Name, func(c rune) bool { return !tokenChar(c) }):
			return fmt.Errorf("http header %q: not a header's name", h.Name)
		case strings.ContainsAny(h.Value, "\r\n\x00"):
			return fmt.Errorf("http header %q: its value must be one line", h.Name)
		case strings.EqualFold(h.Name, "Content-Length") || strings.EqualFold(h.Name, "Transfer-Encoding"):
			return fmt.Errorf("http header %q: follows from the body, leave it out", h.Name)
		}
	}
	return nil
}

// tokenChar reports whether c may be in a method or a header's name (RFC 9110,
// section 5.6.2).
func tokenChar(c rune) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c)
}
