package nats

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// said is an -ERR of the server: what it is called here, its text, whether the
// connection ends behind it, and what messages mean it, in lower case.
type said struct {
	code, text string
	ends       bool
	means      []string
}

var errs = []said{
	{"PERMISSIONS_VIOLATION", permissions, false, []string{"permission"}},
	{"AUTHORIZATION_VIOLATION", "Authorization Violation", true, []string{"authorization", "unauthorized"}},
	{"AUTHORIZATION_TIMEOUT", "Authentication Timeout", true, []string{"authentication timeout"}},
	{"AUTHENTICATION_EXPIRED", "User Authentication Expired", true, []string{"authentication expired"}},
	{"AUTHENTICATION_REVOKED", "User Authentication Revoked", true, []string{"authentication revoked"}},
	{"STALE_CONNECTION", "Stale Connection", true, []string{"stale connection"}},
	{"SLOW_CONSUMER", "Slow Consumer", true, []string{"slow consumer"}},
	{"MAX_PAYLOAD_VIOLATION", "Maximum Payload Violation", true, []string{"maximum payload", "max payload"}},
	{"MAX_CONTROL_LINE_EXCEEDED", "maximum control line exceeded", true, []string{"maximum control line"}},
	{"MAX_CONNECTIONS_EXCEEDED", "maximum connections exceeded", true, []string{"maximum connections", "too many connections"}},
	{"MAX_SUBSCRIPTIONS_EXCEEDED", "maximum subscriptions exceeded", false, []string{"maximum subscriptions"}},
	{"SERVER_SHUTDOWN", "Server Shutdown", true, []string{"server shutdown", "shutting down"}},
	{"PARSER_ERROR", "Parser Error", true, []string{"parser error"}},
	{"UNKNOWN_PROTOCOL_OPERATION", "Unknown Protocol Operation", true, []string{"unknown protocol"}},
	{"INVALID_SUBJECT", "Invalid Subject", false, []string{"invalid subject"}},
}

// permissions is completed by what was not permitted.
const permissions = "Permissions Violation"

// A told is what a request can be told: a status in headers (three digits) or an
// error of the JetStream API (five digits, with the status that goes with it).
type told struct {
	code   string
	status int
	text   string
	means  []string
}

const noResponders = "503"

var answers = []told{
	{noResponders, 503, "", []string{"no responders"}},
	{"400", 400, "Bad Request", nil},
	{"404", 404, "No Messages", []string{"no messages"}},
	{"408", 408, "Request Timeout", []string{"request timeout"}},
	{"409", 409, "Leadership Change", []string{"leadership change"}},
	{"10047", 500, "insufficient storage resources available", []string{"insufficient storage", "disk full", "no space left"}},
	{"10023", 503, "insufficient resources", []string{"insufficient resources"}},
	{"10028", 500, "insufficient memory", []string{"insufficient memory"}},
	{"10039", 503, "jetstream not enabled for account", []string{"jetstream not enabled for account"}},
	{"10076", 503, "jetstream not enabled", []string{"jetstream not enabled"}},
	{"10008", 503, "JetStream system temporarily unavailable", []string{"temporarily unavailable"}},
	{"10002", 400, "resource limits exceeded for account", []string{"resource limits exceeded"}},
	{"10003", 400, "bad request", nil},
	{"10014", 404, "consumer not found", []string{"consumer not found"}},
	{"10026", 400, "maximum consumers limit reached", []string{"maximum consumers"}},
	{"10037", 404, "no message found", []string{"no message found"}},
	{"10054", 400, "message size exceeds maximum allowed", []string{"message size exceeds"}},
	{"10058", 400, "stream name already in use with a different configuration", []string{"stream name already in use"}},
	{"10059", 404, "stream not found", []string{"stream not found"}},
	{"10060", 400, "expected stream does not match", []string{"expected stream does not match"}},
	{"10071", 400, "wrong last sequence: 1", []string{"wrong last sequence"}},
	{"10077", 503, "maximum messages exceeded", []string{"maximum messages exceeded", "maximum bytes exceeded"}},
	{"10118", 500, "stream is offline", []string{"stream is offline"}},
}

// check validates and completes a reply: see Protocol.Check. Code is always set
// afterwards; Status only if the spec named a code that none but a request can
// be told; Close if the server ends the connection.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("nats has no response(…): let the responder answer")
	case len(r.Details) > 0:
		return errors.New("nats errors have no details: put the text into message=")
	case len(r.Headers) > 0:
		return errors.New("nats errors have no headers of your own: use code= for a status")
	case strings.ContainsAny(r.Message, "\r\n\x00"):
		return fmt.Errorf("message %q: must be one line", r.Message)
	}
	if r.Status != 0 {
		if r.Code != "" {
			return errors.New("give code= or status=, not both")
		}
		r.Code = strconv.Itoa(r.Status)
	}
	if r.Code == "" {
		infer(r)
		return nil
	}
	name := strings.ToUpper(strings.ReplaceAll(r.Code, " ", "_"))
	if name == "NO_RESPONDERS" {
		name = noResponders
	}
	for _, e := range errs {
		if e.code == name {
			r.Code, r.Close = name, e.ends
			if r.Message == "" {
				r.Message = e.text
			}
			return nil
		}
	}
	for _, a := range answers {
		if a.code == name {
			r.Code, r.Status = name, a.status
			if r.Message == "" {
				r.Message = a.text
			}
			return nil
		}
	}
	return unknownCode(r, name)
}

// unknownCode takes numbers that are not in the tables, with a message.
func unknownCode(r *protocols.Reply, name string) error {
	n, err := strconv.Atoi(name)
	switch {
	case err == nil && r.Message == "" && (n >= 400 && n <= 599 || n >= 10000 && n <= 10999):
		return fmt.Errorf("code %s: is not one whose text is known; give message= too", name)
	case err == nil && n >= 400 && n <= 599:
		r.Code, r.Status = name, n
		return nil
	case err == nil && n >= 10000 && n <= 10999:
		r.Code, r.Status = name, 500
		return nil
	}
	var known []string
	for _, e := range errs {
		known = append(known, e.code)
	}
	return fmt.Errorf("code %q: must be a status such as 503 (no responders), a code of the JetStream API such as 10059 (stream not found), or one of %s",
		r.Code, strings.Join(known, ", "))
}

// infer finds the code that a message means. A request hears 503 if it is none
// of those known.
func infer(r *protocols.Reply) {
	text := strings.ToLower(r.Message)
	for _, e := range errs {
		if contains(text, e.means) {
			r.Code, r.Close = e.code, e.ends
			if !strings.HasPrefix(r.Message, e.text) {
				r.Message = e.text // clients go by the text
			}
			return
		}
	}
	for _, a := range answers {
		if contains(text, a.means) {
			r.Code = a.code
			return
		}
	}
	r.Code = noResponders
}

func contains(text string, parts []string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// statusOf returns the status that goes with a code of the JetStream API.
func statusOf(r *protocols.Reply) int {
	if r.Status != 0 {
		return r.Status
	}
	for _, a := range answers {
		if a.code == r.Code {
			return a.status
		}
	}
	return 500
}
