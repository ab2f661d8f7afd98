package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// condition is an error that a server can send.
type condition struct {
	errno             int
	name, state, text string
}

// known are the errors that applications meet (MySQL Error Message Reference;
// MariaDB Knowledge Base, "MariaDB Error Codes"). text is what the server says
// where that needs no details; other errors are said by their names.
var known = []condition{
	{1005, "ER_CANT_CREATE_TABLE", "HY000", ""},
	{1007, "ER_DB_CREATE_EXISTS", "HY000", ""},
	{1008, "ER_DB_DROP_EXISTS", "HY000", ""},
	{1020, "ER_CHECKREAD", "HY000", "Record has changed since last read in table"},
	{1021, "ER_DISK_FULL", "HY000", "Disk full; waiting for someone to free some space... (errno: 28 \"No space left on device\")"},
	{1022, "ER_DUP_KEY", "23000", "Can't write; duplicate key in table"},
	{1023, "ER_ERROR_ON_CLOSE", "HY000", ""},
	{1024, "ER_ERROR_ON_READ", "HY000", "Error reading file (errno: 5 \"Input/output error\")"},
	{1026, "ER_ERROR_ON_WRITE", "HY000", "Error writing file (errno: 28 \"No space left on device\")"},
	{1030, "ER_GET_ERRNO", "HY000", "Got error 168 from storage engine"},
	{1032, "ER_KEY_NOT_FOUND", "HY000", "Can't find record"},
	{1034, "ER_NOT_KEYFILE", "HY000", "Incorrect key file for table; try to repair it"},
	{1036, "ER_OPEN_AS_READONLY", "HY000", "Table is read only"},
	{1037, "ER_OUTOFMEMORY", "HY001", "Out of memory; restart server and try again"},
	{1038, "ER_OUT_OF_SORTMEMORY", "HY001", "Out of sort memory, consider increasing server sort buffer size"},
	{1040, "ER_CON_COUNT_ERROR", "08004", "Too many connections"},
	{1041, "ER_OUT_OF_RESOURCES", "HY000", "Out of memory."},
	{1042, "ER_BAD_HOST_ERROR", "08S01", "Can't get hostname for your address"},
	{1043, "ER_HANDSHAKE_ERROR", "08S01", "Bad handshake"},
	{1044, "ER_DBACCESS_DENIED_ERROR", "42000", "Access denied for user to database"},
	{1045, "ER_ACCESS_DENIED_ERROR", "28000", "Access denied for user"},
	{1046, "ER_NO_DB_ERROR", "3D000", "No database selected"},
	{1047, "ER_UNKNOWN_COM_ERROR", "08S01", "Unknown command"},
	{1048, "ER_BAD_NULL_ERROR", "23000", "Column cannot be null"},
	{1049, "ER_BAD_DB_ERROR", "42000", "Unknown database"},
	{1050, "ER_TABLE_EXISTS_ERROR", "42S01", "Table already exists"},
	{1051, "ER_BAD_TABLE_ERROR", "42S02", "Unknown table"},
	{1053, "ER_SERVER_SHUTDOWN", "08S01", "Server shutdown in progress"},
	{1054, "ER_BAD_FIELD_ERROR", "42S22", "Unknown column"},
	{1062, "ER_DUP_ENTRY", "23000", "Duplicate entry for key"},
	{1064, "ER_PARSE_ERROR", "42000", "You have an error in your SQL syntax"},
	{1065, "ER_EMPTY_QUERY", "42000", "Query was empty"},
	{1077, "ER_NORMAL_SHUTDOWN", "HY000", ""},
	{1079, "ER_SHUTDOWN_COMPLETE", "HY000", "Shutdown complete"},
	{1105, "ER_UNKNOWN_ERROR", "HY000", "Unknown error"},
	{1114, "ER_RECORD_FILE_FULL", "HY000", "The table is full"},
	{1129, "ER_HOST_IS_BLOCKED", "HY000", "Host is blocked because of many connection errors"},
	{1130, "ER_HOST_NOT_PRIVILEGED", "HY000", "Host is not allowed to connect to this server"},
	{1136, "ER_WRONG_VALUE_COUNT_ON_ROW", "21S01", ""},
	{1142, "ER_TABLEACCESS_DENIED_ERROR", "42000", "Command denied to user for table"},
	{1143, "ER_COLUMNACCESS_DENIED_ERROR", "42000", ""},
	{1146, "ER_NO_SUCH_TABLE", "42S02", "Table doesn't exist"},
	{1152, "ER_ABORTING_CONNECTION", "08S01", "Aborted connection"},
	{1153, "ER_NET_PACKET_TOO_LARGE", "08S01", "Got a packet bigger than 'max_allowed_packet' bytes"},
	{1158, "ER_NET_READ_ERROR", "08S01", "Got an error reading communication packets"},
	{1159, "ER_NET_READ_INTERRUPTED", "08S01", "Got timeout reading communication packets"},
	{1160, "ER_NET_ERROR_ON_WRITE", "08S01", "Got an error writing communication packets"},
	{1161, "ER_NET_WRITE_INTERRUPTED", "08S01", "Got timeout writing communication packets"},
	{1180, "ER_ERROR_DURING_COMMIT", "HY000", "Got error 149 during COMMIT"},
	{1181, "ER_ERROR_DURING_ROLLBACK", "HY000", "Got error during ROLLBACK"},
	{1184, "ER_NEW_ABORTING_CONNECTION", "08S01", "Aborted connection"},
	{1194, "ER_CRASHED_ON_USAGE", "HY000", "Table is marked as crashed and should be repaired"},
	{1197, "ER_TRANS_CACHE_FULL", "HY000", "Multi-statement transaction required more than 'max_binlog_cache_size' bytes of storage; increase this mysqld variable and try again"},
	{1203, "ER_TOO_MANY_USER_CONNECTIONS", "42000", "User already has more than 'max_user_connections' active connections"},
	{1205, "ER_LOCK_WAIT_TIMEOUT", "HY000", "Lock wait timeout exceeded; try restarting transaction"},
	{1206, "ER_LOCK_TABLE_FULL", "HY000", "The total number of locks exceeds the lock table size"},
	{1207, "ER_READ_ONLY_TRANSACTION", "25000", ""},
	{1213, "ER_LOCK_DEADLOCK", "40001", "Deadlock found when trying to get lock; try restarting transaction"},
	{1216, "ER_NO_REFERENCED_ROW", "23000", "Cannot add or update a child row: a foreign key constraint fails"},
	{1217, "ER_ROW_IS_REFERENCED", "23000", "Cannot delete or update a parent row: a foreign key constraint fails"},
	{1223, "ER_CANT_UPDATE_WITH_READLOCK", "HY000", "Can't execute the query because you have a conflicting read lock"},
	{1226, "ER_USER_LIMIT_REACHED", "42000", "User has exceeded a resource limit"},
	{1227, "ER_SPECIFIC_ACCESS_DENIED_ERROR", "42000", "Access denied; you need further privileges for this operation"},
	{1235, "ER_NOT_SUPPORTED_YET", "42000", ""},
	{1242, "ER_SUBQUERY_NO_1_ROW", "21000", "Subquery returns more than 1 row"},
	{1243, "ER_UNKNOWN_STMT_HANDLER", "HY000", "Unknown prepared statement handler given to mysqld_stmt_execute"},
	{1264, "ER_WARN_DATA_OUT_OF_RANGE", "22003", "Out of range value for column"},
	{1290, "ER_OPTION_PREVENTS_STATEMENT", "HY000", "The MySQL server is running with the --read-only option so it cannot execute this statement"},
	{1292, "ER_TRUNCATED_WRONG_VALUE", "22007", ""},
	{1305, "ER_SP_DOES_NOT_EXIST", "42000", ""},
	{1317, "ER_QUERY_INTERRUPTED", "70100", "Query execution was interrupted"},
	{1364, "ER_NO_DEFAULT_FOR_FIELD", "HY000", "Field doesn't have a default value"},
	{1365, "ER_DIVISION_BY_ZERO", "22012", "Division by 0"},
	{1366, "ER_TRUNCATED_WRONG_VALUE_FOR_FIELD", "HY000", "Incorrect value for column"},
	{1402, "ER_XA_RBROLLBACK", "XA100", "XA_RBROLLBACK: Transaction branch was rolled back"},
	{1406, "ER_DATA_TOO_LONG", "22001", "Data too long for column"},
	{1412, "ER_TABLE_DEF_CHANGED", "HY000", "Table definition has changed, please retry transaction"},
	{1419, "ER_BINLOG_CREATE_ROUTINE_NEED_SUPER", "HY000", ""},
	{1451, "ER_ROW_IS_REFERENCED_2", "23000", "Cannot delete or update a parent row: a foreign key constraint fails"},
	{1452, "ER_NO_REFERENCED_ROW_2", "23000", "Cannot add or update a child row: a foreign key constraint fails"},
	{1461, "ER_MAX_PREPARED_STMT_COUNT_REACHED", "42000", "Can't create more than max_prepared_stmt_count statements (current value: 16382)"},
	{1568, "ER_CANT_CHANGE_TX_CHARACTERISTICS", "25001", ""},
	{1613, "ER_XA_RBTIMEOUT", "XA106", "XA_RBTIMEOUT: Transaction branch was rolled back: took too long"},
	{1614, "ER_XA_RBDEADLOCK", "XA102", "XA_RBDEADLOCK: Transaction branch was rolled back: deadlock was detected"},
	{1615, "ER_NEED_REPREPARE", "HY000", "Prepared statement needs to be re-prepared"},
	{1637, "ER_TOO_MANY_CONCURRENT_TRXS", "HY000", "Too many active concurrent transactions"},
	{1644, "ER_SIGNAL_EXCEPTION", "45000", "Unhandled user-defined exception condition"},
	{1690, "ER_DATA_OUT_OF_RANGE", "22003", "Value is out of range"},
	{1712, "ER_INDEX_CORRUPT", "HY000", "Index is corrupted"},
	{1792, "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", "25006", "Cannot execute statement in a READ ONLY transaction."},
	{1836, "ER_READ_ONLY_MODE", "HY000", "Running in read-only mode"},
	{1927, "ER_CONNECTION_KILLED", "70100", "Connection was killed"},
	{1969, "ER_STATEMENT_TIMEOUT", "70100", "Query execution was interrupted (max_statement_time exceeded)"},
	{2006, "CR_SERVER_GONE_ERROR", "HY000", "MySQL server has gone away"},
	{2013, "CR_SERVER_LOST", "HY000", "Lost connection to MySQL server during query"},
	{3024, "ER_QUERY_TIMEOUT", "HY000", "Query execution was interrupted, maximum statement execution time exceeded"},
	{3058, "ER_USER_LOCK_DEADLOCK", "HY000", "Deadlock found when trying to get user-level lock; try rolling back transaction/releasing locks and restarting lock acquisition."},
	{3098, "ER_BEFORE_DML_VALIDATION_ERROR", "HY000", "The table does not comply with the requirements by an external plugin."},
	{3100, "ER_RUN_HOOK_ERROR", "HY000", "Error on observer while running replication hook 'before_commit'."},
	{3101, "ER_TRANSACTION_ROLLBACK_DURING_COMMIT", "40000", "Plugin instructed the server to rollback the current transaction."},
	{3169, "ER_SESSION_WAS_KILLED", "HY000", "Session was killed."},
	{3170, "ER_CAPACITY_EXCEEDED", "HY000", "Memory capacity exceeded."},
	{3572, "ER_LOCK_NOWAIT", "HY000", "Statement aborted because lock(s) could not be acquired immediately and NOWAIT is set."},
	{3675, "ER_DISK_FULL_NOWAIT", "HY000", "Create table/tablespace failed, as disk is full."},
	{3819, "ER_CHECK_CONSTRAINT_VIOLATED", "HY000", "Check constraint is violated."},
	{4025, "ER_CONSTRAINT_FAILED", "23000", "CONSTRAINT failed"},
	{4031, "ER_CLIENT_INTERACTION_TIMEOUT", "HY000", "The client was disconnected by the server because of inactivity. See wait_timeout and interactive_timeout for configuring this behavior."},
}

// number returns the error number for a code as a spec writes it (a number,
// an ER_ name or a SQLSTATE), or the one that belongs to the message if code
// is empty.
func number(code, message string) (int, error) {
	if code == "" {
		return inferred(strings.ToLower(message)), nil
	}
	upper := strings.ToUpper(strings.ReplaceAll(code, " ", "_"))
	for _, k := range known {
		if k.name == upper || strings.TrimPrefix(k.name, "ER_") == upper {
			return k.errno, nil
		}
	}
	n, err := strconv.Atoi(code)
	switch {
	case err == nil && len(code) == 5 || err != nil && len(code) == 5 && isState(upper):
		return ofState(upper)
	case err == nil && n >= 1000 && n < 10000:
		return n, nil
	case err == nil:
		return 0, fmt.Errorf("code %s is no error number: servers send 1000 to 9999", code)
	}
	return 0, fmt.Errorf("unknown code %q: an error number such as 1213, its name such as \"ER_LOCK_DEADLOCK\", or a SQLSTATE%s", code, suggestion(upper))
}

func isState(s string) bool {
	return len(s) == 5 && (s == "HY000" || strings.ContainsAny(s, "0123456789"))
}

// preferred are the errors that a SQLSTATE most often stands for.
var preferred = map[string]int{"HY000": 1105, "40001": 1213, "23000": 1062, "42000": 1064, "08S01": 1053, "HY001": 1037, "22003": 1264, "70100": 1317}

// ofState returns the best known error with that SQLSTATE.
func ofState(state string) (int, error) {
	if n, ok := preferred[state]; ok {
		return n, nil
	}
	for _, k := range known {
		if k.state == state {
			return k.errno, nil
		}
	}
	if numbers := states[state]; len(numbers) > 0 {
		return numbers[0], nil
	}
	return 0, fmt.Errorf("no error with SQLSTATE %q is known: give its error number", state)
}

// find returns the condition with that number, or one that says little.
func find(n int) condition {
	if i := slices.IndexFunc(known, func(k condition) bool { return k.errno == n }); i >= 0 {
		return known[i]
	}
	for state, numbers := range states {
		if slices.Contains(numbers, n) {
			return condition{n, fmt.Sprintf("ER_ERROR_%d", n), state, ""}
		}
	}
	return condition{n, fmt.Sprintf("ER_ERROR_%d", n), "HY000", ""}
}

// stateOf returns the SQLSTATE that the server sends with an error.
func stateOf(n int) string { return find(n).state }

// textOf returns what the server says, or the error's name in words.
func textOf(n int) string {
	k := find(n)
	if k.text != "" {
		return k.text
	}
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(k.name, "ER_"), "_", " "))
}

// suggestion returns `; did you mean "X"?` for a name that is nearly one: that
// shares most of its three-letter parts.
func suggestion(code string) string {
	best, most := "", 0.5
	for _, k := range known {
		shared := 0
		for i := range max(0, len(code)-2) {
			if strings.Contains(k.name, code[i:i+3]) {
				shared++
			}
		}
		if score := float64(shared) / float64(max(len(code), len(k.name))-2); score > most {
			best, most = k.name, score
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
