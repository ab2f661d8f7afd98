package drivers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/mysql"
)

// mysqlProvoked are statements that a server refuses. Each text has a
// connection of its own, and its last statement fails; one that a server does
// not refuse, being another product, is passed over.
var mysqlProvoked = []string{
	"SELEC 1", "", "SELECT * FROM nowhere", "SELECT * FROM nowhere.t", "USE nowhere", "SELECT nothing FROM f", "SELECT nothing()", "CALL nothing()", "DROP TABLE nowhere", "DROP VIEW nowhere", "DROP DATABASE nowhere", "CREATE DATABASE shop",
	"DROP FUNCTION nothing", "DROP TRIGGER nothing", "DROP INDEX nothing ON f", "DROP USER nobody", "CREATE USER app", "CREATE TABLE f (id INT)", "ALTER TABLE f ADD COLUMN id INT", "ALTER TABLE f DROP COLUMN nothing", "CREATE INDEX `PRIMARY` ON f (v)",
	"CREATE TABLE t (id INT, id INT)", "CREATE TABLE t (id INT, PRIMARY KEY (id), PRIMARY KEY (v))", "CREATE TABLE t (id INT, FOREIGN KEY (id) REFERENCES nowhere (id))", "CREATE TABLE t (id NOTHING)",
	"INSERT INTO f VALUES (1, 1)", "INSERT INTO f VALUES (NULL, 1)", "INSERT INTO f (v) VALUES (1)", "INSERT INTO f VALUES (1)", "INSERT INTO f VALUES ('x', 1)", "INSERT INTO f VALUES (99999999999, 1)", "INSERT INTO short VALUES ('too long')", "INSERT INTO short (t) VALUES (1, 2)",
	"INSERT INTO days VALUES ('2020-13-01')", "INSERT INTO days VALUES ('x')", "INSERT INTO moods VALUES ('no')", "INSERT INTO g VALUES (7)", "DELETE FROM f", "DROP TABLE f", "INSERT INTO checked VALUES (-1)", "UPDATE f SET id = 2 WHERE id = 1 OR id = 2",
	"SELECT 9223372036854775807 + 1", "SELECT (SELECT id FROM f)", "SELECT id FROM f, g", "SELECT 1 UNION SELECT 1, 2", "SELECT * FROM f AS a, f AS a", "INSERT INTO f SELECT * FROM f AS b",
	"START TRANSACTION READ ONLY; INSERT INTO f VALUES (9, 9)", "BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "ROLLBACK TO nothing", "RELEASE SAVEPOINT nothing", "EXECUTE nothing", "SIGNAL SQLSTATE '45000'",
	"SET innodb_lock_wait_timeout = 1; UPDATE locked SET id = 2", "SELECT * FROM locked FOR UPDATE NOWAIT", "SET lock_wait_timeout = 1; ALTER TABLE locked ADD COLUMN v INT",
	"LOCK TABLE g READ; INSERT INTO g VALUES (1)", "LOCK TABLE g READ; SELECT * FROM f", "KILL CONNECTION_ID()", "KILL QUERY CONNECTION_ID()", "SET nothing = 1", "SET sql_mode = 'nothing'", "SELECT @@nothing", "SET GLOBAL read_only = 2",
	"SELECT 'x' COLLATE nowhere", "SELECT CONVERT('x' USING nowhere)", "SELECT JSON_EXTRACT('{', '$')", "SELECT CAST('x' AS JSON)", "SELECT LOAD_FILE(1, 2)",
	"GRANT SELECT ON nowhere.t TO nobody", "XA END 'nothing'", "XA START 'a'; XA START 'b'", "PREPARE p FROM 'SELEC'", "HANDLER nothing OPEN", "CREATE TABLE t ENGINE = nothing AS SELECT 1", "CREATE TRIGGER raise_f BEFORE INSERT ON f FOR EACH ROW INSERT INTO f VALUES (1, 1); INSERT INTO f VALUES (3, 3)",
	"SET PASSWORD FOR nobody = ''", "SET GLOBAL max_connections = 'x'", "INSERT INTO memory SELECT REPEAT('x', 250) FROM busy a, busy b, busy c", "TRUNCATE TABLE f",
}

const mysqlProvoking = `CREATE TABLE f (id INT PRIMARY KEY, v INT); INSERT INTO f VALUES (1, 1), (2, 2); CREATE TABLE g (id INT, INDEX (id), FOREIGN KEY (id) REFERENCES f (id)); INSERT INTO g VALUES (1);
CREATE TABLE short (t VARCHAR(3)); CREATE TABLE days (d DATE); CREATE TABLE moods (m ENUM('ok')); CREATE TABLE checked (id INT, CHECK (id > 0)); CREATE TABLE locked (id INT PRIMARY KEY); INSERT INTO locked VALUES (1);
CREATE TABLE busy (i INT); INSERT INTO busy VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(10); INSERT INTO busy SELECT a.i FROM busy a, busy b; SET SESSION max_heap_table_size = 16384; CREATE TABLE memory (t CHAR(250)) ENGINE = MEMORY;`

// TestMySQLInferred: the number that belongs to a message is the one that the
// server sends with it.
func TestMySQLInferred(t *testing.T) {
	t.Run("MySQL", func(t *testing.T) {
		mysqlInferred(t, MySQL(t, "--max-connections=10"), "SET max_execution_time = 100")
	})
	t.Run("MariaDB", func(t *testing.T) {
		mysqlInferred(t, MariaDB(t, "--max-connections=10"), "SET max_statement_time = 0.1")
	})
}

func mysqlInferred(t *testing.T, server, timeout string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	lock := goMySQL(t, server, "")
	if _, err := lock.ExecContext(ctx, mysqlProvoking+"BEGIN; SELECT * FROM locked FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, sql := range append(mysqlProvoked, timeout+"; SELECT count(*) FROM busy a, busy b, busy c, busy d, busy e") {
		db := goMySQL(t, server, "")
		_, err := db.ExecContext(ctx, sql)
		if judgeMySQL(t, sql, err) {
			seen++
		}
		db.Close()
	}
	if _, err := lock.ExecContext(ctx, "ROLLBACK; SET GLOBAL read_only = 1; CREATE USER plain IDENTIFIED BY 'x'; GRANT INSERT, SELECT ON shop.f TO plain"); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"INSERT INTO shop.f VALUES (9, 9)", "DROP TABLE shop.f", "USE mysql", "SET GLOBAL read_only = 0"} {
		db := mysqlAs(t, server, "plain")
		_, err := db.ExecContext(ctx, sql)
		judgeMySQL(t, sql, err)
		db.Close()
	}
	for range 12 {
		c, err := mysqlAs(t, server, "plain").Conn(ctx)
		if err != nil {
			judgeMySQL(t, "one connection too many", err)
			break
		}
		defer c.Close()
	}
	judgeMySQL(t, "a stranger", mysqlAs(t, server, "stranger").PingContext(ctx))
	if seen < len(mysqlProvoked)*9/10 {
		t.Errorf("%d errors of the server for %d statements", seen, len(mysqlProvoked))
	}
}

// judgeMySQL compares what a server's own message gives with the server's number;
// false: it is no error of the server.
func judgeMySQL(t *testing.T, what string, err error) bool {
	t.Helper()
	var my *mysqldriver.MySQLError
	if !errors.As(err, &my) {
		return false
	}
	r := protocols.Reply{Error: true, Message: my.Message}
	if err := mysql.Protocol.Check(&r); err != nil || r.Code != strconv.Itoa(int(my.Number)) {
		t.Errorf("%.60s: the server says %d %q, and the message alone gives %s (%v)", what, my.Number, my.Message, r.Code, err)
	}
	return true
}

// mysqlAs opens a pool of one connection for another user, without a database.
func mysqlAs(t *testing.T, server, user string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("%s:x@tcp(%s)/", user, server))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// TestMySQLStates: a number alone brings the SQLSTATE that the server has for it.
func TestMySQLStates(t *testing.T) {
	server := MySQL(t, "--performance-schema=ON")
	rows, err := goMySQL(t, server, "").Query("SELECT ERROR_NUMBER, SQL_STATE FROM performance_schema.events_errors_summary_global_by_error WHERE ERROR_NUMBER BETWEEN 1000 AND 5999 AND (SQL_STATE <> 'HY000' OR ERROR_NUMBER % 20 = 0)")
	if err != nil {
		t.Fatal(err)
	}
	var rules []intercept.Rule
	var want []string
	for rows.Next() {
		var number, state string
		if err := rows.Scan(&number, &state); err != nil {
			t.Fatal(err)
		}
		if number == "1644" { // a SIGNAL's own
			continue
		}
		rules = append(rules, mysqlRule(t, "DO "+number, mysqlError("", number)))
		want = append(want, number+"/"+state)
	}
	if len(want) < 300 {
		t.Fatalf("%d errors", len(want))
	}
	addr, _ := Front(t, mysql.Protocol, server, rules...)
	db := goMySQL(t, addr, "")
	for _, want := range want {
		number, _, _ := strings.Cut(want, "/")
		_, err := db.Exec("DO " + number)
		if mysqlErrno(err) == "conn" { // the error before ended the session
			_, err = db.Exec("DO " + number)
		}
		if mysqlErrno(err) != want {
			t.Errorf("%v is %s, and for the server %s", err, mysqlErrno(err), want)
		}
	}
}
