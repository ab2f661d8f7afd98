package kafka

import (
	"fmt"
	"strconv"
	"strings"
)

// errorNames are the protocol's error codes by number, from 0.
var errorNames = [...]string{
	"NONE", "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "UNKNOWN_TOPIC_OR_PARTITION", "INVALID_FETCH_SIZE", "LEADER_NOT_AVAILABLE",
	"NOT_LEADER_OR_FOLLOWER", "REQUEST_TIMED_OUT", "BROKER_NOT_AVAILABLE", "REPLICA_NOT_AVAILABLE", "MESSAGE_TOO_LARGE", "STALE_CONTROLLER_EPOCH",
	"OFFSET_METADATA_TOO_LARGE", "NETWORK_EXCEPTION", "COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR",
	"INVALID_TOPIC_EXCEPTION", "RECORD_LIST_TOO_LARGE", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND", "INVALID_REQUIRED_ACKS",
	"ILLEGAL_GENERATION", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_GROUP_ID", "UNKNOWN_MEMBER_ID", "INVALID_SESSION_TIMEOUT", "REBALANCE_IN_PROGRESS",
	"INVALID_COMMIT_OFFSET_SIZE", "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_TIMESTAMP",
	"UNSUPPORTED_SASL_MECHANISM", "ILLEGAL_SASL_STATE", "UNSUPPORTED_VERSION", "TOPIC_ALREADY_EXISTS", "INVALID_PARTITIONS",
	"INVALID_REPLICATION_FACTOR", "INVALID_REPLICA_ASSIGNMENT", "INVALID_CONFIG", "NOT_CONTROLLER", "INVALID_REQUEST", "UNSUPPORTED_FOR_MESSAGE_FORMAT",
	"POLICY_VIOLATION", "OUT_OF_ORDER_SEQUENCE_NUMBER", "DUPLICATE_SEQUENCE_NUMBER", "INVALID_PRODUCER_EPOCH", "INVALID_TXN_STATE",
	"INVALID_PRODUCER_ID_MAPPING", "INVALID_TRANSACTION_TIMEOUT", "CONCURRENT_TRANSACTIONS", "TRANSACTION_COORDINATOR_FENCED",
	"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "SECURITY_DISABLED", "OPERATION_NOT_ATTEMPTED", "KAFKA_STORAGE_ERROR", "LOG_DIR_NOT_FOUND",
	"SASL_AUTHENTICATION_FAILED", "UNKNOWN_PRODUCER_ID", "REASSIGNMENT_IN_PROGRESS", "DELEGATION_TOKEN_AUTH_DISABLED", "DELEGATION_TOKEN_NOT_FOUND",
	"DELEGATION_TOKEN_OWNER_MISMATCH", "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_EXPIRED",
	"INVALID_PRINCIPAL_TYPE", "NON_EMPTY_GROUP", "GROUP_ID_NOT_FOUND", "FETCH_SESSION_ID_NOT_FOUND", "INVALID_FETCH_SESSION_EPOCH",
	"LISTENER_NOT_FOUND", "TOPIC_DELETION_DISABLED", "FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "UNSUPPORTED_COMPRESSION_TYPE",
	"STALE_BROKER_EPOCH", "OFFSET_NOT_AVAILABLE", "MEMBER_ID_REQUIRED", "PREFERRED_LEADER_NOT_AVAILABLE", "GROUP_MAX_SIZE_REACHED",
	"FENCED_INSTANCE_ID", "ELIGIBLE_LEADERS_NOT_AVAILABLE", "ELECTION_NOT_NEEDED", "NO_REASSIGNMENT_IN_PROGRESS", "GROUP_SUBSCRIBED_TO_TOPIC",
	"INVALID_RECORD", "UNSTABLE_OFFSET_COMMIT", "THROTTLING_QUOTA_EXCEEDED", "PRODUCER_FENCED", "RESOURCE_NOT_FOUND", "DUPLICATE_RESOURCE",
	"UNACCEPTABLE_CREDENTIAL", "INCONSISTENT_VOTER_SET", "INVALID_UPDATE_VERSION", "FEATURE_UPDATE_FAILED", "PRINCIPAL_DESERIALIZATION_FAILURE",
	"SNAPSHOT_NOT_FOUND", "POSITION_OUT_OF_RANGE", "UNKNOWN_TOPIC_ID", "DUPLICATE_BROKER_REGISTRATION", "BROKER_ID_NOT_REGISTERED",
	"INCONSISTENT_TOPIC_ID", "INCONSISTENT_CLUSTER_ID", "TRANSACTIONAL_ID_NOT_FOUND", "FETCH_SESSION_TOPIC_ID_ERROR", "INELIGIBLE_REPLICA",
	"NEW_LEADER_ELECTED", "OFFSET_MOVED_TO_TIERED_STORAGE", "FENCED_MEMBER_EPOCH", "UNRELEASED_INSTANCE_ID", "UNSUPPORTED_ASSIGNOR",
	"STALE_MEMBER_EPOCH", "MISMATCHED_ENDPOINT_TYPE", "UNSUPPORTED_ENDPOINT_TYPE", "UNKNOWN_CONTROLLER_ID", "UNKNOWN_SUBSCRIPTION_ID",
	"TELEMETRY_TOO_LARGE", "INVALID_REGISTRATION", "TRANSACTION_ABORTABLE", "INVALID_RECORD_STATE", "SHARE_SESSION_NOT_FOUND",
	"INVALID_SHARE_SESSION_EPOCH", "FENCED_STATE_EPOCH", "INVALID_VOTER_KEY", "DUPLICATE_VOTER", "VOTER_NOT_FOUND", "INVALID_REGULAR_EXPRESSION",
	"REBOOTSTRAP_REQUIRED", "STREAMS_INVALID_TOPOLOGY", "STREAMS_INVALID_TOPOLOGY_EPOCH", "STREAMS_TOPOLOGY_FENCED", "SHARE_SESSION_LIMIT_REACHED",
	"GROUP_DELETION_FAILED", "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", "CONTROLLER_ID_NOT_REGISTERED",
}

// unknownError has no place in errorNames: it is -1.
const unknownError = "UNKNOWN_SERVER_ERROR"

// formerly maps names that older versions used.
var formerly = map[string]string{
	"NOT_LEADER_FOR_PARTITION":            "NOT_LEADER_OR_FOLLOWER",
	"GROUP_COORDINATOR_NOT_AVAILABLE":     "COORDINATOR_NOT_AVAILABLE",
	"NOT_COORDINATOR_FOR_GROUP":           "NOT_COORDINATOR",
	"GROUP_LOAD_IN_PROGRESS":              "COORDINATOR_LOAD_IN_PROGRESS",
	"MESSAGE_SIZE_TOO_LARGE":              "MESSAGE_TOO_LARGE",
	"RECORD_TOO_LARGE":                    "MESSAGE_TOO_LARGE",
	"UNKNOWN":                             unknownError,
	"UNKNOWN_TOPIC":                       "UNKNOWN_TOPIC_OR_PARTITION",
	"INVALID_TOPIC":                       "INVALID_TOPIC_EXCEPTION",
	"TIMEOUT":                             "REQUEST_TIMED_OUT",
	"REQUEST_TIMEOUT":                     "REQUEST_TIMED_OUT",
	"TOPIC_EXISTS":                        "TOPIC_ALREADY_EXISTS",
	"INVALID_PRODUCER_EPOCH_EXCEPTION":    "INVALID_PRODUCER_EPOCH",
	"OUT_OF_ORDER_SEQUENCE":               "OUT_OF_ORDER_SEQUENCE_NUMBER",
	"FENCED_PRODUCER":                     "PRODUCER_FENCED",
	"OFFSET_METADATA_TOO_LARGE_EXCEPTION": "OFFSET_METADATA_TOO_LARGE",
}

// wellKnown maps parts of messages, in lower case, to the code that a broker
// sends with them; the first that is found counts.
var wellKnown = []struct{ part, name string }{
	{"fewer in-sync replicas than required, but", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"}, {"after append", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"},
	{"not enough replicas", "NOT_ENOUGH_REPLICAS"}, {"in-sync replicas", "NOT_ENOUGH_REPLICAS"},
	{"leader not available", "LEADER_NOT_AVAILABLE"}, {"no leader", "LEADER_NOT_AVAILABLE"}, {"leader election", "LEADER_NOT_AVAILABLE"},
	{"not leader", "NOT_LEADER_OR_FOLLOWER"}, {"not the leader", "NOT_LEADER_OR_FOLLOWER"}, {"not the current leader", "NOT_LEADER_OR_FOLLOWER"},
	{"unknown topic id", "UNKNOWN_TOPIC_ID"}, {"does not host this topic id", "UNKNOWN_TOPIC_ID"},
	{"unknown topic", "UNKNOWN_TOPIC_OR_PARTITION"}, {"does not host this topic", "UNKNOWN_TOPIC_OR_PARTITION"}, {"topic not found", "UNKNOWN_TOPIC_OR_PARTITION"},
	{"already exists", "TOPIC_ALREADY_EXISTS"}, {"invalid topic", "INVALID_TOPIC_EXCEPTION"},
	{"rebalanc", "REBALANCE_IN_PROGRESS"}, {"illegal generation", "ILLEGAL_GENERATION"}, {"generation", "ILLEGAL_GENERATION"},
	{"unknown member", "UNKNOWN_MEMBER_ID"}, {"not aware of this member", "UNKNOWN_MEMBER_ID"}, {"member epoch", "FENCED_MEMBER_EPOCH"},
	{"coordinator not available", "COORDINATOR_NOT_AVAILABLE"}, {"coordinator is not available", "COORDINATOR_NOT_AVAILABLE"},
	{"not coordinator", "NOT_COORDINATOR"}, {"not the correct coordinator", "NOT_COORDINATOR"}, {"coordinator is loading", "COORDINATOR_LOAD_IN_PROGRESS"},
	{"not the correct controller", "NOT_CONTROLLER"}, {"not controller", "NOT_CONTROLLER"},
	{"too large", "MESSAGE_TOO_LARGE"}, {"larger than the max", "MESSAGE_TOO_LARGE"},
	{"timed out", "REQUEST_TIMED_OUT"}, {"timeout", "REQUEST_TIMED_OUT"}, {"time out", "REQUEST_TIMED_OUT"},
	{"offset out of range", "OFFSET_OUT_OF_RANGE"}, {"out of range", "OFFSET_OUT_OF_RANGE"},
	{"out of order sequence", "OUT_OF_ORDER_SEQUENCE_NUMBER"}, {"out of order", "OUT_OF_ORDER_SEQUENCE_NUMBER"}, {"duplicate sequence", "DUPLICATE_SEQUENCE_NUMBER"},
	{"unknown producer", "UNKNOWN_PRODUCER_ID"}, {"producer epoch", "INVALID_PRODUCER_EPOCH"}, {"fenced", "PRODUCER_FENCED"},
	{"concurrent transaction", "CONCURRENT_TRANSACTIONS"}, {"transaction state", "INVALID_TXN_STATE"},
	{"corrupt", "CORRUPT_MESSAGE"}, {"crc", "CORRUPT_MESSAGE"},
	{"disk", "KAFKA_STORAGE_ERROR"}, {"no space", "KAFKA_STORAGE_ERROR"}, {"storage", "KAFKA_STORAGE_ERROR"},
	{"topic authorization", "TOPIC_AUTHORIZATION_FAILED"}, {"group authorization", "GROUP_AUTHORIZATION_FAILED"},
	{"cluster authorization", "CLUSTER_AUTHORIZATION_FAILED"}, {"not authorized", "TOPIC_AUTHORIZATION_FAILED"}, {"authorization", "TOPIC_AUTHORIZATION_FAILED"},
	{"authentication", "SASL_AUTHENTICATION_FAILED"}, {"quota", "THROTTLING_QUOTA_EXCEEDED"}, {"throttl", "THROTTLING_QUOTA_EXCEEDED"},
	{"unsupported version", "UNSUPPORTED_VERSION"}, {"policy", "POLICY_VIOLATION"}, {"invalid record", "INVALID_RECORD"},
	{"broker not available", "BROKER_NOT_AVAILABLE"}, {"broker is not available", "BROKER_NOT_AVAILABLE"}, {"broker unavailable", "BROKER_NOT_AVAILABLE"},
	{"replica not available", "REPLICA_NOT_AVAILABLE"}, {"invalid timestamp", "INVALID_TIMESTAMP"}, {"session", "FETCH_SESSION_ID_NOT_FOUND"},
	{"network", "NETWORK_EXCEPTION"}, {"disconnected", "NETWORK_EXCEPTION"},
}

// number returns the number of an error's name; ok is false for none.
func number(name string) (code int16, ok bool) {
	if name == unknownError {
		return -1, true
	}
	for i, n := range errorNames {
		if n == name {
			return int16(i), true
		}
	}
	return 0, false
}

// nameOf returns the name of an error code, "" for success, its digits if it
// is unknown.
func nameOf(code int16) string {
	switch {
	case code == 0:
		return ""
	case code == -1:
		return unknownError
	case code > 0 && int(code) < len(errorNames):
		return errorNames[code]
	}
	return strconv.Itoa(int(code))
}

// errorCode returns the name of the error that a spec means: by number, by
// name, or by message if code is empty.
func errorCode(code, message string) (string, error) {
	if code == "" {
		message = strings.ToLower(message)
		for _, w := range wellKnown {
			if strings.Contains(message, w.part) {
				return w.name, nil
			}
		}
		code = strings.ToUpper(strings.ReplaceAll(message, " ", "_"))
		if _, ok := number(code); ok && code != "NONE" {
			return code, nil
		}
		return unknownError, nil
	}
	if n, err := strconv.ParseInt(code, 10, 16); err == nil {
		switch {
		case n == 0:
			return "", fmt.Errorf("code 0 is no error but success")
		case n < -1 || int(n) >= len(errorNames):
			return "", fmt.Errorf("unknown code %d: Kafka's are -1 and 1 to %d", n, len(errorNames)-1)
		}
		return nameOf(int16(n)), nil
	}
	name := strings.ToUpper(strings.NewReplacer("-", "_", " ", "_").Replace(code))
	if now, ok := formerly[name]; ok {
		return now, nil
	}
	if name == "NONE" {
		return "", fmt.Errorf("code NONE is no error but success")
	}
	if _, ok := number(name); !ok {
		return "", fmt.Errorf("unknown code %q: a number such as 6 or a name such as \"NOT_LEADER_OR_FOLLOWER\"%s", code, suggestion(name))
	}
	return name, nil
}

// suggestion returns `; did you mean "X"?` for a name that shares most of its
// three-letter parts with a code's.
func suggestion(name string) string {
	best, most := "", 0.5
	for _, known := range errorNames {
		shared := 0
		for i := range max(0, len(name)-2) {
			if strings.Contains(known, name[i:i+3]) {
				shared++
			}
		}
		if score := float64(shared) / float64(max(len(name), len(known))-2); score > most {
			best, most = known, score
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
