package drivers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"
)

// goMySQL opens a pool of one connection.
func goMySQL(t testing.TB, addr, options string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/%s?multiStatements=true&maxAllowedPacket=0%s",
		MySQLUser, MySQLPassword, addr, MySQLDatabase, options))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// mysqlErrno is the code of an error as an application sees it: "" for
// success, "conn" for a connection that ended.
func mysqlErrno(err error) string {
	var my *mysqldriver.MySQLError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &my):
		return fmt.Sprintf("%d/%s", my.Number, my.SQLState[:])
	}
	return "conn"
}

// goMySQLSession is one client's work, told as lines.
type goMySQLSession struct {
	db  *sql.DB
	saw []string
}

func (s *goMySQLSession) say(what string, v any, err error) {
	s.saw = append(s.saw, fmt.Sprintf("%.60s: %v %s", what, v, mysqlErrno(err)))
}

func (s *goMySQLSession) exec(query string, args ...any) {
	r, err := s.db.Exec(query, args...)
	if err != nil {
		s.say(query, nil, err)
		return
	}
	n, _ := r.RowsAffected()
	id, _ := r.LastInsertId()
	s.say(query, [2]int64{n, id}, nil)
}

func (s *goMySQLSession) query(query string, args ...any) {
	rows, err := s.db.Query(query, args...)
	if err != nil {
		s.say(query, nil, err)
		return
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		columns, _ := rows.Columns()
		values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		count, length, first := 0, 0, ""
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				s.say("scan", nil, err)
			}
			for _, v := range values {
				length += len(v)
			}
			if count++; count == 1 && length < 100 {
				first = fmt.Sprintf("%q", values)
			}
		}
		s.say(query, fmt.Sprint(columns, count, length, first), rows.Err())
	}
}

func goMySQLWork(t *testing.T, addr, options string) []string {
	s := &goMySQLSession{db: goMySQL(t, addr, options)}
	s.exec("DROP TABLE IF EXISTS a")
	s.exec("CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, t LONGBLOB, n INT)")
	s.exec("INSERT INTO a (t, n) VALUES (?, ?)", "x", 1)
	s.exec("INSERT INTO a (id, t) VALUES (?, ?)", 1, "again")
	s.exec("INSERT INTO a (t, n) VALUES (?, ?), (?, ?)", "", nil, nil, 7)
	s.exec("INSERT INTO a (t) VALUES (?)", strings.Repeat("y", 300_000))
	s.exec("INSERT INTO a (t) VALUES (?)", strings.Repeat("z", 17_000_000))
	s.exec("INSERT INTO a (t) VALUES ('" + strings.Repeat("w", 1<<24) + "')")
	s.exec("SELEC")
	s.exec("SELECT nothing FROM a")
	s.exec("SELECT 1; SELECT 2; UPDATE a SET n = 3 WHERE id = 1")
	s.query("SELECT t, id FROM a WHERE id < ? ORDER BY id", 4)
	s.query("SELECT t FROM a ORDER BY id")
	s.query("SELECT id, length(t) FROM a WHERE id > ? ORDER BY id", 0)
	s.query("SELECT NULL, '', 1; SELECT ''; SET @x = 1; SELECT 1 FROM a WHERE 1 = 0; SELECT REPEAT('v', 70000)")
	s.query("SELECT 1; SELEC")
	s.query("SELECT ? + 1, ?, ?, ?", 41, "text", 1.5, []byte(nil))
	s.query("SELECT a.id, b.n, 'filler filler filler' FROM a, a b, a c, a d, a e ORDER BY 1, 2")
	s.exec("DROP PROCEDURE IF EXISTS p")
	s.exec("CREATE PROCEDURE p(x INT) BEGIN SELECT x; SELECT x + 1, 'two'; END")
	s.query("CALL p(5)")
	s.exec("DO SLEEP(0)")
	s.transactions()
	s.files(addr)
	s.say("ping", nil, s.db.Ping())
	return s.saw
}

func (s *goMySQLSession) transactions() {
	for _, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx, err := s.db.BeginTx(context.Background(), &sql.TxOptions{Isolation: sql.LevelSerializable})
		if err != nil {
			s.say("begin", nil, err)
			return
		}
		for _, id := range []int{100, 1, 101} {
			_, err = tx.Exec("INSERT INTO a (id, n) VALUES (?, 99)", id)
			s.say("in a transaction", id, err)
		}
		s.say("end", nil, end(tx))
	}
	s.query("SELECT count(*) FROM a WHERE n = ?", 99)
	stmt, err := s.db.Prepare("SELECT id FROM a WHERE n = ?")
	if err != nil {
		s.say("prepare", nil, err)
		return
	}
	for i := range 5 {
		var id int
		err := stmt.QueryRow(i).Scan(&id)
		s.say("prepared", fmt.Sprint(id, err), nil)
	}
	s.say("close", nil, stmt.Close())
}

// files loads files that the client sends, of which one it does not have.
func (s *goMySQLSession) files(addr string) {
	mysqldriver.RegisterReaderHandler("file", func() io.Reader { return strings.NewReader(strings.Repeat("5\tfive\n", 30_000)) })
	defer mysqldriver.DeregisterReaderHandler("file")
	s.exec("CREATE TABLE IF NOT EXISTS l (i INT, t TEXT); TRUNCATE l")
	s.exec("LOAD DATA LOCAL INFILE 'Reader::file' INTO TABLE l")
	s.exec("LOAD DATA LOCAL INFILE 'Reader::none' INTO TABLE l")
	s.query("SELECT count(*), sum(i) FROM l")
}

// mysql2 runs a task of the client for Node.
func mysql2(t testing.TB, addr, task string) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	script, err := os.ReadFile("testdata/mysql/client.js")
	if err != nil {
		t.Fatal(err)
	}
	return node(t, npm(t, "mysql", "mysql2"), string(script), task, host, port, MySQLUser, MySQLPassword, MySQLDatabase)
}

// pymysql runs a task of the client for Python.
func pymysql(t testing.TB, addr, task string) []string {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import pymysql").Run(); err != nil {
		t.Skipf("needs pymysql: apt-get install -y --no-install-recommends python3-pymysql (%v)", err)
	}
	host, port, _ := net.SplitHostPort(addr)
	return command(t, python, "testdata/mysql/client.py", task, host, port, MySQLUser, MySQLPassword, MySQLDatabase)
}

// mysqlJDBC runs a task of MariaDB's client for the JVM.
func mysqlJDBC(t testing.TB, addr, task, options string) []string {
	t.Helper()
	const jar = "/usr/share/java/mariadb-java-client.jar"
	if _, err := os.Stat(jar); err != nil {
		t.Skip("needs MariaDB Connector/J: apt-get install -y --no-install-recommends libmariadb-java")
	}
	url := fmt.Sprintf("jdbc:mariadb://%s/%s?user=%s&password=%s&allowMultiQueries=true&allowPublicKeyRetrieval=true%s", addr, MySQLDatabase, MySQLUser, MySQLPassword, options)
	return command(t, lookPath(t, "java", "default-jdk-headless"), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", jar, "testdata/mysql/Client.java", task, url)
}

// mysqlConnectorJ runs a task of MySQL's client for the JVM.
func mysqlConnectorJ(t testing.TB, addr, task, options string) []string {
	t.Helper()
	cached(t, "jvm/complete", ".ci/deps.d/jvm.sh")
	jars := filepath.Join(cached(t, "jvm/lib", ".ci/deps.d/jvm.sh"), "*")
	url := fmt.Sprintf("jdbc:mysql://%s/%s?user=%s&password=%s&allowMultiQueries=true&allowPublicKeyRetrieval=true&useSSL=false%s", addr, MySQLDatabase, MySQLUser, MySQLPassword, options)
	return command(t, lookPath(t, "java", "default-jdk-headless"), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", jars, "testdata/mysql/Client.java", task, url)
}

// mysqlCLI runs a MariaDB command-line tool and returns what it printed, and
// how it ended.
func mysqlCLI(t testing.TB, addr, stdin, tool string, args ...string) []string {
	t.Helper()
	return mysqlTool(t, addr, stdin, lookPath(t, tool, "mariadb-client"), append([]string{"--no-defaults", "--skip-ssl"}, args...)...)
}

func mysqlTool(t testing.TB, addr, stdin, path string, args ...string) []string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	at := 0
	if len(args) > 0 && args[0] == "--no-defaults" {
		at = 1
	}
	args = slices.Insert(slices.Clone(args), at, "-h"+host, "-P"+port, "-u"+MySQLUser, "-p"+MySQLPassword)
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return append(strings.Split(strings.TrimSpace(string(out)), "\n"), fmt.Sprintf("%s: %v", filepath.Base(path), err))
}

// mysqlStatements are for the command-line clients; FILE is 3000 rows.
const mysqlStatements = `
DROP TABLE IF EXISTS c;
CREATE TABLE c (id INT PRIMARY KEY AUTO_INCREMENT, t LONGTEXT);
DESCRIBE c;
INSERT INTO c (t) VALUES (''), (NULL), (REPEAT('x', 100000));
INSERT INTO c VALUES (1, 'dup');
SELECT id, length(t) FROM c;
SELECT t FROM c WHERE id < 3;
DROP PROCEDURE IF EXISTS q;
delimiter //
CREATE PROCEDURE q() BEGIN SELECT 1; SELECT 2 FROM c WHERE 1 = 0; SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine'; END//
delimiter ;
CALL q();
SELECT 1/0, CAST('x' AS SIGNED);
DROP TABLE IF EXISTS cl; CREATE TABLE cl (i INT, t TEXT);
LOAD DATA LOCAL INFILE 'FILE' INTO TABLE cl;
LOAD DATA LOCAL INFILE '/no/such/file' INTO TABLE cl;
SELECT count(*) FROM cl;
PREPARE s FROM 'SELECT ? + 1'; SET @a = 41; EXECUTE s USING @a;
use nowhere
use shop
BEGIN; DELETE FROM c; ROLLBACK; SELECT count(*) FROM c;
SELECT * FROM c a, c b, c d ORDER BY a.id LIMIT 5;
SELECT REPEAT('long ', 1000000);
SHOW STATUS LIKE 'Compression%';
SELEC;
DROP TABLE c; DROP TABLE cl; DROP PROCEDURE q;
`

// mysqlRows makes a file for them to load.
func mysqlRows(t testing.TB) (file string) {
	file = filepath.Join(folder(t, ""), "rows")
	if err := os.WriteFile(file, []byte(strings.Repeat("7\tseven\n", 3000)), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func mysqlCLIWork(t *testing.T, addr string, args ...string) []string {
	file := mysqlRows(t)
	args = append([]string{"--force", "--table", "--local-infile", "--show-warnings", "--default-character-set=utf8mb4", MySQLDatabase}, args...)
	out := mysqlCLI(t, addr, strings.ReplaceAll(mysqlStatements, "FILE", file), "mariadb", args...)
	return strings.Split(strings.ReplaceAll(strings.Join(out, "\n"), file, "FILE"), "\n")
}

// mysqlOwnCLI is the client of MySQL itself, which sends query attributes,
// takes results without their description, and knows zstd.
func mysqlOwnCLI(t *testing.T, addr string, args ...string) []string {
	file := mysqlRows(t)
	args = append([]string{"--force", "--table", "--local-infile", "--show-warnings", "--ssl-mode=DISABLED", "--get-server-public-key", MySQLDatabase}, args...)
	statements := "query_attributes a text b 7\nSELECT 'with attributes';\nquery_attributes c d\n" + mysqlStatements + "resetconnection\nSELECT database();\n"
	out := mysqlTool(t, addr, strings.ReplaceAll(statements, "FILE", file), cached(t, "mysql/mysql", ".ci/deps.d/mysql.sh"), args...)
	return strings.Split(strings.ReplaceAll(strings.Join(out, "\n"), file, "FILE"), "\n")
}

func mysqlDumpWork(t *testing.T, addr string) []string {
	mysqlCLI(t, addr, "DROP TABLE IF EXISTS d; CREATE TABLE d (i INT PRIMARY KEY, b BLOB); "+
		"INSERT INTO d SELECT a.i * 10 + b.i, REPEAT(CHAR(a.i + b.i), 3000) FROM (SELECT 0 i UNION SELECT 1 UNION SELECT 2) a, (SELECT 3 i UNION SELECT 4) b;", "mariadb", MySQLDatabase)
	return mysqlCLI(t, addr, "", "mariadb-dump", "--skip-dump-date", "--hex-blob", "--no-tablespaces", "--single-transaction", "--skip-comments", MySQLDatabase, "d")
}
