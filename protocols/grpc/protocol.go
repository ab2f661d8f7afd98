package grpc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"faultbox/protocols"
	"faultbox/protocols/http2"
)

// Protocol is gRPC over HTTP/2.
var Protocol = &protocols.Protocol{
	Name: "grpc",
	Doc:  "gRPC: etcd, Temporal, Dapr, Milvus, OpenTelemetry collectors and services of your own",
	Port: 50051,
	ALPN: []string{"h2"},
	Fields: map[string]protocols.Field{
		"method":  {Of: "op", Fold: true, Normalize: rooted},
		"path":    {Of: "key", Normalize: rooted},
		"headers": {Of: "header:"},
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	Multiplexed: true,
	ServerFirst: true,
	Window:      http2.Window,
	Check:       check,
	New:         func() protocols.Codec { return http2.New(dialect) },
}

// rooted lets a method be written without the slash in front, as grpcurl does.
func rooted(method string) string {
	if method == "" || method[0] == '/' || method[0] == '*' || method[0] == '?' || !strings.Contains(method, "/") {
		return method
	}
	return "/" + method
}

var dialect = &http2.Dialect{
	Messages: true,
	Name:     func(it *protocols.Item) { it.Op = it.Key },
	Err: func(fields []http2.Field) string {
		for i := range fields {
			switch f := &fields[i]; f.Name {
			case "grpc-status":
				if f.Value != "0" {
					return statusName(f.Value)
				}
				return ""
			case ":status":
				if f.Value >= "400" {
					return f.Value
				}
			}
		}
		return ""
	},
	Answer: answer,
}

// answer makes the trailers of a failed call, or all there is of its answer.
func answer(r *protocols.Reply, contentType string, began bool) (fields []http2.Field, body []byte) {
	if !began {
		if !strings.HasPrefix(contentType, "application/grpc") {
			contentType = "application/grpc"
		}
		fields = append(fields, http2.Field{Name: ":status", Value: "200"}, http2.Field{Name: "content-type", Value: contentType})
	}
	fields = append(fields,
		http2.Field{Name: "grpc-status", Value: strconv.Itoa(r.Status)},
		http2.Field{Name: "grpc-message", Value: escape(r.Message)})
	if d := r.Details[details]; d != "" {
		fields = append(fields, http2.Field{Name: "grpc-status-details-bin", Value: d})
	}
	return fields, nil
}

// escape is the percent-encoding of grpc-message.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// details is the one key of Reply.Details.
const details = "details"

// check validates and completes a reply: see Protocol.Check.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("a grpc call can't be answered with response(…), whose message would need its schema: use error(…)")
	case len(r.Headers) > 0 || r.Value != nil:
		return errors.New("a grpc error has no body and no headers but a message, a status and details")
	}
	for name := range r.Details {
		if name != details {
			return fmt.Errorf("grpc errors have no %s: they have details=, the base64 of a google.rpc.Status", name)
		}
	}
	if _, reset := http2.ErrorCode(r.Code); reset {
		if len(r.Details) > 0 {
			return fmt.Errorf("grpc error code %s: the stream is reset, so there are no details", r.Code)
		}
		return http2.CheckReset(r)
	}
	switch {
	case r.Code != "":
		n, ok := status(r.Code)
		if !ok {
			return fmt.Errorf("grpc status %q: must be 0 to %d or one of %s", r.Code, len(statuses)-1, strings.Join(statuses[1:], ", "))
		}
		if r.Status != 0 && r.Status != n {
			return fmt.Errorf("grpc status is both %d and %s", r.Status, statuses[n])
		}
		if n == 0 {
			return errors.New("grpc status OK: it is no error")
		}
		r.Status = n
	case r.Status < 0 || r.Status >= len(statuses):
		return fmt.Errorf("grpc status %d: must be 0 to %d (%s … %s)", r.Status, len(statuses)-1, statuses[0], statuses[len(statuses)-1])
	case r.Status == 0:
		r.Status = infer(r.Message)
	}
	r.Code = statuses[r.Status]
	if r.Message == "" {
		r.Message = strings.ToLower(strings.ReplaceAll(r.Code, "_", " "))
	}
	return checkDetails(r)
}

// checkDetails validates details=, and brings it into the form of the trailer:
// base64 without padding.
func checkDetails(r *protocols.Reply) error {
	text, given := r.Details[details]
	if !given {
		return nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		return fmt.Errorf("grpc details: want the base64 of a google.rpc.Status: %w", err)
	}
	code, err := statusCode(raw)
	if err != nil {
		return fmt.Errorf("grpc details: want the base64 of a google.rpc.Status: %w", err)
	}
	if code != r.Status {
		return fmt.Errorf("grpc details: they say %d, but the status is %d (%s); clients take that for a broken server", code, r.Status, r.Code)
	}
	r.Details[details] = base64.RawStdEncoding.EncodeToString(raw)
	return nil
}

// statusCode reads the code of a google.rpc.Status.
func statusCode(b []byte) (code int, err error) {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
		if num == 1 && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(b)
			code = int(v)
		}
		if n = protowire.ConsumeFieldValue(num, kind, b); n < 0 {
			return 0, protowire.ParseError(n)
		}
		b = b[n:]
	}
	return code, nil
}
