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
	Doc:  "HTTP/1.1 and HTTP/1.0: web services, and Elasticsearch, OpenSearch, CouchDB, InfluxDB, ClickHouse, Consul, Vault, S3, MinIO",
	Port: 80,
	ALPN: []string{"http/1.1", "http/1.0"},
	Fields: map[string]protocols.Field{
		"method":  protocols.OpField,
		"path":    protocols.PathField,
		"headers": {Of: "header:"},
	},
	Faults: []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Check:  check,
	New:    func() protocols.Codec { return &codec{} },
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
	for _, h := range r.Headers {
		r.Close = r.Close || strings.EqualFold(h.Name, "Connection") && strings.Contains(strings.ToLower(h.Value), "close")
	}
	return protocols.CheckHTTP(r)
}
