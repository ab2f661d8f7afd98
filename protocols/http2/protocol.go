package http2

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// Protocol is HTTP/2.
var Protocol = &protocols.Protocol{
	Name: "http2",
	Doc:  "HTTP/2, in the clear (h2c) and below TLS",
	Port: 80,
	ALPN: []string{"h2"},
	Fields: map[string]protocols.Field{
		"method":  protocols.OpField,
		"path":    protocols.PathField,
		"headers": {Of: "header:"},
	},
	Faults:      []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Multiplexed: true,
	ServerFirst: true,
	Window:      window,
	Check:       check,
	New:         func() protocols.Codec { return New(plain) },
}

// Window is Protocol.Window of every protocol on HTTP/2.
const Window = window

// Dialect is what a protocol that runs on HTTP/2 makes of a stream.
type Dialect struct {
	// Name completes the item of a request, whose Op is the method and whose
	// Key is the path. nil: it is as it should be.
	Name func(*protocols.Item)
	// Err returns the error code that a header block of an answer tells, the
	// first or the last, "" for none.
	Err func(fields []Field) string
	// Answer returns what a reply looks like to a request of that content-type.
	// began: the client has the head of an answer already.
	Answer func(r *protocols.Reply, contentType string, began bool) (fields []Field, body []byte)
	// Messages: bodies are gRPC's length-prefixed messages.
	Messages bool
}

func (d *Dialect) name(it *protocols.Item) {
	if d.Name != nil {
		d.Name(it)
	}
}

func (d *Dialect) err(fields []Field) string { return d.Err(fields) }

// plain is HTTP/2 itself.
var plain = &Dialect{
	Err: func(fields []Field) string {
		if status := get(fields, ":status"); status >= "400" {
			return status
		}
		return ""
	},
	Answer: func(r *protocols.Reply, _ string, _ bool) ([]Field, []byte) {
		body, kind := protocols.HTTPBody(r)
		fields := []Field{{Name: ":status", Value: strconv.Itoa(r.Status)}}
		for _, h := range r.Headers {
			if strings.EqualFold(h.Name, "Content-Type") {
				kind = ""
			}
			fields = append(fields, Field{Name: strings.ToLower(h.Name), Value: h.Value})
		}
		if kind != "" {
			fields = append(fields, Field{Name: "content-type", Value: kind})
		}
		if protocols.HTTPBodiless(r.Status) {
			return fields, nil
		}
		return append(fields, Field{Name: "content-length", Value: strconv.Itoa(len(body))}), body
	},
}

// check validates and completes a reply: see Protocol.Check.
func check(r *protocols.Reply) error {
	if len(r.Details) > 0 {
		return errors.New("http2 replies have no details: put them into message= or body=")
	}
	for _, h := range r.Headers {
		if slices.Contains([]string{"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}, strings.ToLower(h.Name)) {
			return fmt.Errorf("http2 header %q: HTTP/2 has no such header; to end the connection use drop(…)", h.Name)
		}
	}
	if r.Code == "" {
		return protocols.CheckHTTP(r)
	}
	if n, err := strconv.Atoi(r.Code); err == nil && n >= 100 {
		r.Code = ""
		if r.Status == 0 {
			r.Status = n
		}
		return protocols.CheckHTTP(r)
	}
	return CheckReset(r)
}

// CheckReset validates a reply whose code is one of HTTP/2's own: the stream is
// reset, and there is neither status nor body.
func CheckReset(r *protocols.Reply) error {
	code, ok := ErrorCode(r.Code)
	switch {
	case !ok:
		return fmt.Errorf("http2 error code %q: must be one of %s; or give status=", r.Code, strings.Join(errorCodes[1:], ", "))
	case code == codeNone:
		return errors.New("http2 error code NO_ERROR: it is none")
	case r.Status != 0 || r.Value != nil || len(r.Headers) > 0:
		return fmt.Errorf("http2 error code %s: the stream is reset, so there is no status, body or header", r.Code)
	}
	r.Code = errorName(code)
	if r.Message == "" {
		r.Message = r.Code
	}
	return nil
}
