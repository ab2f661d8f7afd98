package memcached

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"faultbox/protocols"
)

// Protocol is memcached's protocol, text and binary.
var Protocol = &protocols.Protocol{
	Name: "memcached",
	Doc:  "text, meta and binary protocols: Memcached, ElastiCache, Memorystore, mcrouter, twemproxy, Couchbase buckets of that type",
	Port: 11211,
	Fields: map[string]protocols.Field{
		"command": commandField,
		"method":  commandField,
		"key":     protocols.KeyField,
	},
	Faults: []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Check:  check,
	New:    func() protocols.Codec { return new(codec) },
}

// commandField lets "get" match gets too, and "gat" gats: which of them a client
// sends is its own affair.
var commandField = protocols.Field{Of: "op", Fold: true, Wild: func(pattern, op string) bool {
	return (op == "gets" || op == "gats") && strings.EqualFold(pattern, op[:3])
}}

// failure is an error as both protocols tell it.
type failure struct {
	status uint16 // of the binary protocol
	name   string // of that status, as its header file has it
	word   string // what begins the line of the text protocol
	part   string // of messages, in lower case
	text   string // what the server says
}

// failures: the first whose part is in a message counts; the last is for all others.
var failures = []failure{
	{0x82, "ENOMEM", serverError, "out of memory", "out of memory storing object"},
	{0x03, "E2BIG", serverError, "too large", "object too large for cache"},
	{0x85, "EBUSY", serverError, "busy", "Server is busy"},
	{0x86, "ETMPFAIL", serverError, "temporar", "Temporary failure"},
	{0x20, "AUTH_ERROR", clientError, "auth", "unauthenticated"},
	{0x06, "DELTA_BADVAL", clientError, "non-numeric", "cannot increment or decrement non-numeric value"},
	{0x04, "EINVAL", clientError, "bad command line", "bad command line format"},
	{0x04, "EINVAL", clientError, "bad data chunk", "bad data chunk"},
	{0x04, "EINVAL", clientError, "invalid", "invalid arguments"},
	{0x81, "UNKNOWN_COMMAND", plainError, "unknown command", ""},
	{0x83, "NOT_SUPPORTED", serverError, "not supported", "not supported"},
	{0x85, "MAXCONNS", plainError, "too many open connections", "Too many open connections"}, // and the connection ends
	{0x84, "EINTERNAL", serverError, "", "internal error"},
}

// The words that begin an error line.
const (
	serverError = "SERVER_ERROR"
	clientError = "CLIENT_ERROR"
	plainError  = "ERROR"
)

// check validates and completes a reply: the Code of an error is the word that
// begins its line, its Status that of the binary protocol.
func check(r *protocols.Reply) error {
	switch {
	case len(r.Headers) > 0 || len(r.Details) > 0:
		return errors.New("memcached answers have neither headers nor details")
	case !r.Error && (r.Code != "" || r.Message != ""):
		return errors.New("a memcached response takes value= alone: use error(…) for message= and code=")
	case !r.Error && r.Status != 0:
		return errors.New("a memcached response has no status: value=None is a miss")
	case !r.Error:
		return checkValue(r.Value)
	case strings.ContainsAny(r.Message, "\r\n"):
		return fmt.Errorf("memcached error message %q: must be one line", r.Message)
	case r.Status < 0 || r.Status > 0xffff:
		return fmt.Errorf("status %d: a status of the binary protocol has 16 bits", r.Status)
	}
	word, rest, _ := strings.Cut(r.Message, " ")
	if word == serverError || word == clientError || word == plainError {
		if r.Code == "" {
			r.Code = word
		}
		r.Message = rest
	}
	f, err := find(r.Code, r.Message)
	if err != nil {
		return err
	}
	r.Code = f.word
	if r.Status == 0 {
		r.Status = int(f.status)
	}
	switch {
	case r.Message == "":
		r.Message = f.text
	case f.name == "UNKNOWN_COMMAND" && strings.EqualFold(r.Message, f.part):
		r.Message = "" // a bare ERROR
	}
	r.Close = f.name == "MAXCONNS"
	return nil
}

// find returns the failure for a code as a spec writes it (a word, the name of
// a status or its number), or the one that belongs to the message.
func find(code, message string) (failure, error) {
	lower := strings.ToLower(message)
	for _, f := range failures {
		word := strings.EqualFold(code, f.word) && (strings.Contains(lower, f.part) || message == "" && f.part == "")
		number, err := strconv.ParseUint(code, 0, 16)
		switch {
		case word, code == "" && strings.Contains(lower, f.part),
			code != "" && strings.EqualFold(strings.TrimPrefix(strings.ToUpper(code), "PROTOCOL_BINARY_RESPONSE_"), f.name),
			err == nil && uint16(number) == f.status:
			return f, nil
		}
	}
	switch strings.ToUpper(code) {
	case serverError:
		return failures[len(failures)-1], nil
	case clientError:
		return failure{0x04, "EINVAL", clientError, "", "bad command line format"}, nil
	case plainError:
		return failure{0x81, "UNKNOWN_COMMAND", plainError, "", ""}, nil
	}
	return failure{}, fmt.Errorf("unknown code %q: SERVER_ERROR, CLIENT_ERROR, ERROR, or a status of the binary protocol such as \"ENOMEM\" or \"0x82\"", code)
}

func checkValue(v any) error {
	switch v := v.(type) {
	case nil, string, bool, int, int64, float64:
	case map[string]any:
		for key, e := range v {
			if _, nested := e.(map[string]any); nested {
				return fmt.Errorf("memcached response: the value of key %q is a dict: use a string or a number", key)
			}
			if err := checkValue(e); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("memcached response: cannot write a %T: use None, a string, a number, or a dict by key", v)
	}
	return nil
}
