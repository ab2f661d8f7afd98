package grpc

import (
	"strconv"
	"strings"
)

// statuses are the names of gRPC's status codes, by number.
var statuses = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE",
	"DATA_LOSS", "UNAUTHENTICATED",
}

// status finds a status by number or by name, as the specification writes it
// (DEADLINE_EXCEEDED) or as Go does (DeadlineExceeded).
func status(name string) (code int, ok bool) {
	if n, err := strconv.Atoi(name); err == nil {
		return n, n >= 0 && n < len(statuses)
	}
	name = squash(name)
	if name == "CANCELED" {
		name = "CANCELLED"
	}
	for i, s := range statuses {
		if squash(s) == name {
			return i, true
		}
	}
	return 0, false
}

func squash(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "_", "")) }

// statusName is the name of a grpc-status, which is a number as text.
func statusName(s string) string {
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(statuses) {
		return statuses[n]
	}
	return s
}

// wellKnown are words of messages, and the status that servers send with them.
// The first that is found counts.
var wellKnown = []struct {
	words  string // separated by |
	status int
}{
	{"unauthenticated|invalid token|token expired|expired token|missing token|bad credentials", 16},
	{"permission denied|access denied|forbidden|not authorized|unauthorized", 7},
	{"deadline|timeout|timed out", 4},
	{"unavailable|connection refused|connection reset|service down|shutting down|not ready|overloaded|no healthy upstream", 14},
	{"already exists|duplicate", 6},
	{"not found|no such", 5},
	{"too many requests|rate limit|quota|exhausted|disk full|no space|out of memory|larger than max", 8},
	{"unimplemented|not implemented|unknown method|unknown service", 12},
	{"precondition|not empty|read-only|read only", 9},
	{"conflict|aborted|deadlock|serializ", 10},
	{"out of range|past the end", 11},
	{"invalid|malformed|bad request", 3},
	{"data loss|corrupt", 15},
	{"internal", 13},
	{"cancel", 1},
}

// infer returns the status for a message: UNAVAILABLE if there is none, and
// UNKNOWN, which servers send for an error without a status, if it says nothing.
func infer(message string) int {
	if message == "" {
		return 14
	}
	message = strings.ToLower(message)
	for _, known := range wellKnown {
		for word := range strings.SplitSeq(known.words, "|") {
			if strings.Contains(message, word) {
				return known.status
			}
		}
	}
	return 2
}
