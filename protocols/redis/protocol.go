package redis

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"faultbox/protocols"
)

// Protocol is Redis and whatever else speaks RESP.
var Protocol = &protocols.Protocol{
	Name: "redis",
	Doc:  "RESP2 and RESP3: Redis, Valkey, KeyDB, Dragonfly, Garnet, Kvrocks, ElastiCache, MemoryDB, Upstash",
	Port: 6379,
	Fields: map[string]protocols.Field{
		"command": {Of: "op", Fold: true, Wild: container},
		"key":     protocols.KeyField,
	},
	Faults: []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Check:  check,
	New:    func() protocols.Codec { return &codec{proto: 2} },
}

// container lets command="CONFIG" match every CONFIG subcommand, whose Op is
// "CONFIG GET" and so on.
func container(pattern, op string) bool {
	return len(op) > len(pattern) && op[len(pattern)] == ' ' && strings.EqualFold(pattern, op[:len(pattern)])
}

// texts completes a reply that names a code and no message with what the
// server itself says.
var texts = map[string]string{
	"BUSY":        "Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
	"BUSYGROUP":   "Consumer Group name already exists",
	"CLUSTERDOWN": "The cluster is down",
	"CROSSSLOT":   "Keys in request don't hash to the same slot",
	"ERR":         "injected fault",
	"EXECABORT":   "Transaction discarded because of previous errors.",
	"LOADING":     "Redis is loading the dataset in memory",
	"MASTERDOWN":  "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
	"MISCONF":     "Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.",
	"NOAUTH":      "Authentication required.",
	"NOGROUP":     "No such key or consumer group",
	"NOPERM":      "this user has no permissions to run this command",
	"NOREPLICAS":  "Not enough good replicas to write.",
	"NOSCRIPT":    "No matching script. Please use EVAL.",
	"OOM":         "command not allowed when used memory > 'maxmemory'.",
	"READONLY":    "You can't write against a read only replica.",
	"TRYAGAIN":    "Multiple keys request during rehashing of slot",
	"WRONGPASS":   "invalid username-password pair or user is disabled.",
	"WRONGTYPE":   "Operation against a key holding the wrong kind of value",
	"NOPROTO":     "unsupported protocol version",
	"BUSYKEY":     "Target key name already exists.",
	"UNBLOCKED":   "client unblocked via CLIENT UNBLOCK",
}

// wellKnown maps parts of messages, in lower case, to the error word that the
// server sends with them.
var wellKnown = []struct{ part, code string }{
	{"used memory > 'maxmemory'", "OOM"}, {"read only replica", "READONLY"}, {"read only slave", "READONLY"}, {"loading the dataset", "LOADING"},
	{"wrong kind of value", "WRONGTYPE"}, {"cluster is down", "CLUSTERDOWN"}, {"hash slot not served", "CLUSTERDOWN"},
	{"hash to the same slot", "CROSSSLOT"}, {"during rehashing of slot", "TRYAGAIN"}, {"no matching script", "NOSCRIPT"},
	{"busy running a script", "BUSY"}, {"unable to persist to disk", "MISCONF"}, {"link with master is down", "MASTERDOWN"},
	{"not enough good replicas", "NOREPLICAS"}, {"authentication required", "NOAUTH"}, {"invalid username-password", "WRONGPASS"},
	{"has no permissions", "NOPERM"}, {"consumer group name already exists", "BUSYGROUP"}, {"no such key or consumer group", "NOGROUP"},
	{"transaction discarded because of previous", "EXECABORT"}, {"target key name already exists", "BUSYKEY"},
	{"unsupported protocol version", "NOPROTO"}, {"client unblocked via", "UNBLOCKED"},
}

// inferred returns the error word that belongs to a message without one.
func inferred(message string) string {
	message = strings.ToLower(message)
	for _, w := range wellKnown {
		if strings.Contains(message, w.part) {
			return w.code
		}
	}
	return "ERR"
}

// check validates and completes a reply: see Protocol.Check.
func check(r *protocols.Reply) error {
	switch {
	case r.Status != 0:
		return errors.New("redis errors have no status: use code= (an upper-case word such as \"READONLY\")")
	case len(r.Headers) > 0:
		return errors.New("redis answers have no headers")
	case len(r.Details) > 0:
		return errors.New("redis errors have no details: put the text into message=")
	}
	if !r.Error {
		if r.Code != "" || r.Message != "" {
			return errors.New("a redis response takes value= alone: use error(…) for message= and code=")
		}
		return checkValue(r.Value)
	}
	if i := strings.IndexAny(r.Message, "\r\n"); i >= 0 {
		return fmt.Errorf("redis error message %q: must be one line", r.Message)
	}
	if r.Code != "" && !isCode(r.Code) {
		return fmt.Errorf("redis error code %q: must be one upper-case word, such as \"READONLY\" or \"OOM\"", r.Code)
	}
	word, _, _ := strings.Cut(r.Message, " ")
	switch {
	case r.Message == "" && r.Code == "":
		r.Code, r.Message = "ERR", texts["ERR"]
	case r.Message == "":
		r.Message = cmp.Or(texts[r.Code], texts["ERR"])
	case r.Code == "" && isCode(word):
		r.Code = word
	case r.Code == "":
		r.Code = inferred(r.Message)
	}
	return nil
}

func checkValue(v any) error {
	switch v := v.(type) {
	case nil, string, bool, int, int64, float64:
	case []any:
		for _, e := range v {
			if err := checkValue(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, e := range v {
			if err := checkValue(e); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("redis response: cannot write a %T: use None, a string, number, bool, list or dict", v)
	}
	return nil
}

// isCode reports whether s is an error word as Redis writes them: letters,
// digits and _, upper case, at least three.
func isCode(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return len(s) >= 3
}
