package drivers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols/mysql"
)

// mysqlFunctions raise by themselves the errors that faults make up, so that
// what a client reports of either can be compared.
var mysqlFunctions = []struct {
	name, state, message string
	errno                int
}{
	{"raise_deadlock", "40001", "Deadlock found when trying to get lock; try restarting transaction", 1213},
	{"raise_timeout", "HY000", "Lock wait timeout exceeded; try restarting transaction", 1205},
	{"raise_full", "HY000", "Disk full (/tmp/#sql); waiting for someone to free some space...", 1021},
	{"raise_duplicate", "23000", "Duplicate entry '1' for key 'f.PRIMARY'", 1062},
	{"raise_readonly", "HY000", "The MySQL server is running with the --read-only option so it cannot execute this statement", 1290},
	{"raise_readonlytable", "HY000", "Table 'f' is read only", 1036},
	{"raise_interrupted", "70100", "Query execution was interrupted", 1317},
	{"raise_orphan", "23000", "Cannot add or update a child row: a foreign key constraint fails", 1452},
	{"raise_odd", "HY000", "something odd", 1105},
}

// TestMySQLErrors: what clients report of a made-up error is what they report
// of the server's own.
func TestMySQLErrors(t *testing.T) {
	eachMySQL(t, func(t *testing.T, server string) {
		db := goMySQL(t, server, "")
		var names []string
		var before, late []intercept.Rule
		for _, f := range mysqlFunctions {
			names = append(names, f.name)
			_, err := db.Exec(fmt.Sprintf("CREATE FUNCTION %s() RETURNS INT DETERMINISTIC NO SQL BEGIN SIGNAL SQLSTATE '%s' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = \"%s\"; RETURN 1; END",
				f.name, f.state, f.errno, f.message))
			if err != nil {
				t.Fatal(err)
			}
			query := "SELECT " + f.name + "()"
			before = append(before, mysqlRule(t, query, mysqlError(f.message, "")))
			late = append(late, mysqlRule(t, query, after(mysqlError(f.message, ""))))
		}
		task := strings.Join(names, ",")
		for _, c := range []struct {
			name string
			run  func(addr string) []string
		}{
			{"mysql2", func(addr string) []string { return mysql2(t, addr, task) }},
			{"pymysql", func(addr string) []string { return pymysql(t, addr, task) }},
			{"jdbc", func(addr string) []string { return mysqlJDBC(t, addr, task, "") }},
			{"jdbc prepared", func(addr string) []string { return mysqlJDBC(t, addr, task, "&useServerPrepStmts=true") }},
			{"cli", func(addr string) []string {
				out := mysqlCLI(t, addr, "SELECT "+strings.ReplaceAll(task, ",", "();\nSELECT ")+"();", "mariadb", "--force", MySQLDatabase)
				return slices.DeleteFunc(out, func(line string) bool { return !strings.HasPrefix(line, "ERROR") })
			}},
		} {
			t.Run(c.name, func(t *testing.T) {
				for _, f := range mysqlFunctions {
					Struck(t, mysql.Protocol, server, c.name, fmt.Sprintf("%d/%s, before and after", f.errno, f.state))
				}
				direct := c.run(server)
				for _, rules := range [][]intercept.Rule{before, late} {
					addr, log := Front(t, mysql.Protocol, server, rules...)
					equalLines(t, direct, c.run(addr))
					for i, rule := range log.Tally() {
						if rule.Fired() == 0 {
							t.Errorf("%s: the fault struck nothing", names[i])
						}
					}
				}
			})
		}
	})
}

// TestMySQLEnds: what clients report of a connection that ends.
func TestMySQLEnds(t *testing.T) {
	server := MariaDB(t)
	addr, _ := Front(t, mysql.Protocol, server,
		mysqlRule(t, "SELECT gone()", mysqlError("MySQL server has gone away", "")),
		mysqlRule(t, "SELECT dropped()", intercept.Fault{Do: intercept.Close}),
		mysqlRule(t, "SELECT stopped()", mysqlError("Server shutdown in progress", "")))
	for name, c := range map[string]struct {
		saw  []string
		want [3]string
	}{
		"mysql2":  {mysql2(t, addr, "gone,dropped,stopped"), [3]string{"PROTOCOL_CONNECTION_LOST", "PROTOCOL_CONNECTION_LOST", `"ER_SERVER_SHUTDOWN",1053,"08S01"`}},
		"pymysql": {pymysql(t, addr, "gone,dropped,stopped"), [3]string{"OperationalError (2013,", "OperationalError (2013,", "OperationalError (1053,"}},
		"jdbc":    {mysqlJDBC(t, addr, "gone,dropped,stopped", ""), [3]string{"SQLNonTransientConnectionException", "SQLNonTransientConnectionException", "SQLNonTransientConnectionException 1053 08S01"}},
	} {
		Struck(t, mysql.Protocol, server, name, "gone away", "dropped", "server shutdown")
		each := len(c.saw) / 3
		for i, want := range c.want {
			if !strings.Contains(c.saw[i*each], want) || each < 2 {
				t.Errorf("%s: call %d came to %q, want %s", name, i, c.saw[i*each:(i+1)*each], want)
			}
		}
	}
}
