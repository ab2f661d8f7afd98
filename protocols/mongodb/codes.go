package mongodb

// code is an entry of the server's list of error codes.
type code struct {
	number int32
	name   string
	text   string   // the server's message where a reply has none; "": the name
	words  []string // by which a message, in lower case, is known to mean it
}

// codes are those that can be named. The first whose words are in a message is
// the one it means.
var codes = []code{
	{11000, "DuplicateKey", "E11000 duplicate key error collection", []string{"e11000", "duplicate key"}},
	{112, "WriteConflict", "WriteConflict error: this operation conflicted with another operation. Please retry your operation or multi-document transaction.", []string{"write conflict", "conflicted with another operation"}},
	{13435, "NotPrimaryNoSecondaryOk", "not primary and secondaryOk=false", []string{"secondaryok=false", "slaveok=false"}},
	{13436, "NotPrimaryOrSecondary", "node is not in primary or recovering state", []string{"not in primary or recovering", "node is recovering", "not primary or secondary"}},
	{189, "PrimarySteppedDown", "primary stepped down", []string{"stepped down", "step down", "stepdown"}},
	{10107, "NotWritablePrimary", "not primary", []string{"not primary", "not master", "not writable primary", "notmaster"}},
	{11602, "InterruptedDueToReplStateChange", "operation was interrupted", []string{"repl state change", "replica set state change"}},
	{11600, "InterruptedAtShutdown", "interrupted at shutdown", []string{"interrupted at shutdown"}},
	{91, "ShutdownInProgress", "The server is in quiesce mode and will shut down", []string{"shutdown", "shut down", "shutting down"}},
	{11601, "Interrupted", "operation was interrupted", []string{"interrupted"}},
	{50, "MaxTimeMSExpired", "operation exceeded time limit", []string{"operation exceeded time limit", "maxtimems"}},
	{24, "LockTimeout", "Unable to acquire lock within a max lock request timeout", []string{"lock timeout", "unable to acquire", "lock request timeout"}},
	{89, "NetworkTimeout", "network timeout", []string{"network timeout"}},
	{64, "WriteConcernTimeout", "waiting for replication timed out", []string{"waiting for replication", "write concern", "writeconcern"}},
	{262, "ExceededTimeLimit", "operation exceeded time limit", []string{"time limit", "timed out", "timeout"}},
	{43, "CursorNotFound", "cursor id not found", []string{"cursor not found", "cursor id"}},
	{237, "CursorKilled", "cursor was killed", []string{"cursor killed", "cursor was killed"}},
	{251, "NoSuchTransaction", "Transaction has been aborted.", []string{"no such transaction", "has been aborted", "does not match any in-progress"}},
	{225, "TransactionTooOld", "Cannot start a transaction that is older than the newest one of the session", []string{"transaction too old"}},
	{246, "SnapshotUnavailable", "Unable to read from a snapshot due to pending collection catalog changes; please retry the operation.", []string{"unable to read from a snapshot", "snapshot unavailable"}},
	{26, "NamespaceNotFound", "ns not found", []string{"ns not found", "namespace not found", "collection not found", "ns doesn't exist"}},
	{48, "NamespaceExists", "Collection already exists.", []string{"already exists"}},
	{27, "IndexNotFound", "index not found", []string{"index not found"}},
	{18, "AuthenticationFailed", "Authentication failed.", []string{"authentication failed"}},
	{13, "Unauthorized", "not authorized to execute command", []string{"not authorized", "unauthorized", "requires authentication"}},
	{14031, "OutOfDiskSpace", "available disk space is less than required minimum", []string{"disk full", "out of disk", "disk space", "no space left"}},
	{146, "ExceededMemoryLimit", "memory limit exceeded", []string{"memory limit", "out of memory"}},
	{10334, "BSONObjectTooLarge", "BSONObj size is invalid (over 16793600 bytes)", []string{"object too large", "document too large", "bsonobj size"}},
	{121, "DocumentValidationFailure", "Document failed validation", []string{"failed validation", "validation failure"}},
	{100, "UnsatisfiableWriteConcern", "Not enough data-bearing nodes", []string{"not enough data-bearing"}},
	{6, "HostUnreachable", "host unreachable", []string{"host unreachable", "unreachable"}},
	{7, "HostNotFound", "host not found", []string{"host not found"}},
	{133, "FailedToSatisfyReadPreference", "Could not find host matching read preference", []string{"read preference"}},
	{134, "ReadConcernMajorityNotAvailableYet", "Read concern majority reads are currently not possible.", []string{"majority reads"}},
	{136, "CappedPositionLost", "CollectionScan died due to position in capped collection being deleted.", []string{"capped collection being deleted"}},
	{286, "ChangeStreamHistoryLost", "Resume of change stream was not possible, as the resume point may no longer be in the oplog.", []string{"change stream", "resume point"}},
	{462, "IngressRequestRateLimitExceeded", "Request rate limit exceeded", []string{"rate limit", "overloaded"}},
	{59, "CommandNotFound", "no such command", []string{"no such command", "command not found"}},
	{9001, "SocketException", "socket exception", []string{"socket exception", "socket error"}},
	{2, "BadValue", "bad value", []string{"bad value"}},
	{9, "FailedToParse", "failed to parse", []string{"failed to parse"}},
	{14, "TypeMismatch", "type mismatch", []string{"type mismatch"}},
	{20, "IllegalOperation", "illegal operation", []string{"illegal operation", "read only", "read-only"}},
	{66, "ImmutableField", "the (immutable) field '_id' was found to have been altered", []string{"immutable"}},
	{8, "UnknownError", "unknown error", []string{"unknown error"}},
	{1, "InternalError", "injected fault", nil},
}

func set(numbers ...int32) map[int32]bool {
	m := make(map[int32]bool, len(numbers))
	for _, n := range numbers {
		m[n] = true
	}
	return m
}

var (
	// perDocument are told of a document of a write (writeErrors), not of the command.
	perDocument = set(11000, 121, 66)
	// concerns are told of a write that was done (writeConcernError).
	concerns = set(64, 100)
	// repeatable get the label RetryableWriteError.
	repeatable = set(6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)
	// transient get the label TransientTransactionError in a transaction,
	// wherever it stands; repeatable ones do before its commit.
	transient = set(112, 24, 246, 251, 267, 239)
	// undecided are those after which a driver commits again.
	undecided = set(6, 7, 50, 64, 89, 91, 100, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436)
)
