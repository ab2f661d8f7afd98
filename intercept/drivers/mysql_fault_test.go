package drivers

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/mysql"
)

func mysqlRule(t testing.TB, query string, f intercept.Fault, trigger ...intercept.Trigger) intercept.Rule {
	r := intercept.Rule{Match: Match(t, mysql.Protocol, "query", query), Fault: f}
	if len(trigger) > 0 {
		r.Trigger = trigger[0]
		r.Trigger.Prob = 1
	}
	return r
}

func mysqlError(message, code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message, Code: code}}
}

// mysqlBed is a table on a server, seen directly and through an edge with a fault.
type mysqlBed struct {
	*testing.T
	log     *Log
	addr    string
	options string
	direct  *sql.DB
	c       *sql.DB // through the edge
}

func newMySQLBed(t *testing.T, server, options string, rules ...intercept.Rule) *mysqlBed {
	b := &mysqlBed{T: t, options: options, direct: goMySQL(t, server, "")}
	b.addr, b.log = Front(t, mysql.Protocol, server, rules...)
	b.c = goMySQL(t, b.addr, options)
	if _, err := b.direct.Exec("DROP TABLE IF EXISTS f; CREATE TABLE f (id INT, t LONGTEXT)"); err != nil {
		t.Fatal(err)
	}
	return b
}

// exec runs a statement through the edge and checks its error, as mysqlErrno
// tells it.
func (b *mysqlBed) exec(want, query string, args ...any) {
	b.Helper()
	_, err := b.c.Exec(query, args...)
	b.expect(want, query, err)
}

func (b *mysqlBed) expect(want, what string, err error) {
	b.Helper()
	if got := mysqlErrno(err); got != want {
		b.Fatalf("%.60s: got %q (%v), want %q", what, got, err, want)
	}
}

// stored checks what the database holds: the ids, in order.
func (b *mysqlBed) stored(want string) {
	b.Helper()
	var got string
	if err := b.direct.QueryRow("SELECT COALESCE(GROUP_CONCAT(id ORDER BY id), '') FROM f").Scan(&got); err != nil || got != want {
		b.Fatalf("the database holds %q (%v), want %q", got, err, want)
	}
}

// ended checks the event of the first statement that a fault struck.
func (b *mysqlBed) ended(outcome intercept.Outcome, code string) {
	b.Helper()
	ev := b.log.Wait(b, "that a rule acted on", func(ev *intercept.Event) bool { return len(ev.Rules) > 0 })
	if ev.Outcome != outcome || ev.Err != code {
		b.Fatalf("%q ended as %q with %q, want %q with %q", ev.Text, ev.Outcome, ev.Err, outcome, code)
	}
}

// TestMySQLFaults strikes in every way in which a client can send a statement,
// and asks the database directly what came of it.
func TestMySQLFaults(t *testing.T) {
	eachMySQL(t, func(t *testing.T, server string) {
		for _, options := range []string{"", "&interpolateParams=true", "&compress=true", "&compress=true&interpolateParams=true"} {
			for name, test := range map[string]func(*testing.T, string, string){
				"error outside a transaction": mysqlErrorOutside, "error in a transaction": mysqlErrorInside,
				"deadlock": mysqlDeadlock, "deadlock after": mysqlDeadlockAfter,
				"COMMIT refused": mysqlCommitRefused, "COMMIT kept and reported failed": mysqlCommitLate, "COMMIT lost": mysqlCommitLost,
				"dropped": mysqlDropped, "gone": mysqlGone, "shutdown": mysqlShutdown, "twice": mysqlTwice, "delayed": mysqlDelayed,
				"truncated": mysqlTruncated, "several results": mysqlSeveral, "prepared before the rule is armed": mysqlPrepared,
				"long statements": mysqlLong, "LOAD DATA LOCAL": mysqlLoad,
			} {
				t.Run(strings.Trim(options, "&")+"/"+name, func(t *testing.T) {
					Struck(t, mysql.Protocol, server, strings.TrimSpace("go "+strings.Trim(options, "&")), name)
					test(t, server, options)
				})
			}
		}
	})
}

func mysqlErrorOutside(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "insert into f*", mysqlError("disk full", ""), once))
	b.exec("1021/HY000", "INSERT INTO  f VALUES (?, 'x')", 1)
	b.stored("")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 2)
	b.stored("2")
	b.ended(intercept.Replaced, "1021")
}

// mysqlErrorInside: most errors leave a transaction as it was.
func mysqlErrorInside(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "UPDATE*", mysqlError("", "ER_LOCK_WAIT_TIMEOUT"), once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
	b.exec("1205/HY000", "UPDATE f SET id = ?", 2)
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 3)
	b.stored("")
	b.exec("", "COMMIT")
	b.stored("1,3")
}

// mysqlDeadlock: the server's transaction is rolled back too.
func mysqlDeadlock(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "UPDATE*", mysqlError("Deadlock found when trying to get lock; try restarting transaction", ""), once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
	b.exec("1213/40001", "UPDATE f SET id = ?", 2)
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 3) // commits by itself
	b.stored("3")
	b.exec("", "COMMIT")
	b.stored("3")
	b.ended(intercept.Replaced, "1213")
}

func mysqlDeadlockAfter(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "*'hit'*", after(mysqlError("deadlock", ""))))
	for _, statement := range []string{"INSERT INTO f VALUES (?, 'hit')", "SELECT id, 'hit' FROM f WHERE id > ? FOR UPDATE"} {
		b.exec("", "BEGIN")
		b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
		b.exec("1213/40001", statement, 0)
		b.exec("", "BEGIN") // would commit
		b.stored("")
		b.exec("", "ROLLBACK")
	}
	b.exec("1213/40001", "INSERT INTO f VALUES (?, 'hit')", 4)
	b.stored("4")
	b.exec("", "DO ?", 1)
}

func mysqlCommitRefused(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "COMMIT", mysqlError("running with the --read-only option so it cannot execute this statement", ""), once))
	tx, err := b.c.Begin()
	b.expect("", "BEGIN", err)
	_, err = tx.Exec("INSERT INTO f VALUES (?, 'x')", 1)
	b.expect("", "INSERT", err)
	b.expect("1290/HY000", "COMMIT", tx.Commit())
	b.exec("", "BEGIN") // would commit
	b.stored("")
}

func mysqlCommitLate(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "COMMIT", after(mysqlError("deadlock", "")), once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
	b.exec("1213/40001", "COMMIT")
	b.stored("1")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 2)
	b.stored("1,2")
}

func mysqlCommitLost(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "COMMIT", intercept.Fault{Do: intercept.Close, When: intercept.After}, once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
	b.exec("conn", "COMMIT")
	b.ended(intercept.Dropped, "")
	b.stored("1")
}

func mysqlDropped(t *testing.T, server, options string) {
	for _, do := range []intercept.Do{intercept.Close, intercept.Reset} {
		b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", intercept.Fault{Do: do}, once))
		b.exec("conn", "INSERT INTO f VALUES (?, 'x')", 1)
		b.stored("")
		b.exec("", "INSERT INTO f VALUES (?, 'x')", 2) // on a new connection
		b.stored("2")
		b.ended(map[intercept.Do]intercept.Outcome{intercept.Close: intercept.Dropped, intercept.Reset: intercept.WasReset}[do], "")
	}
}

// mysqlGone: an error that only clients report is a connection that ends.
func mysqlGone(t *testing.T, server, options string) {
	for _, f := range []intercept.Fault{mysqlError("MySQL server has gone away", ""), after(mysqlError("", "CR_SERVER_LOST"))} {
		b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", f, once))
		b.exec("conn", "INSERT INTO f VALUES (?, 'x')", 1)
		if f.When == intercept.Before {
			b.stored("")
			b.ended(intercept.Replaced, "2006")
		} else {
			b.stored("1")
			b.ended(intercept.Replaced, "2013")
		}
	}
}

func mysqlShutdown(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", mysqlError("Server shutdown in progress", ""), once))
	c, err := b.c.Conn(t.Context())
	b.expect("", "connect", err)
	defer c.Close()
	_, err = c.ExecContext(t.Context(), "INSERT INTO f VALUES (?, 'x')", 1)
	b.expect("1053/08S01", "INSERT", err)
	_, err = c.ExecContext(t.Context(), "INSERT INTO f VALUES (?, 'x')", 1)
	b.expect("conn", "INSERT", err)
	b.stored("")
}

func mysqlTwice(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "*'twice'*", intercept.Fault{Do: intercept.Twice}))
	b.exec("", "INSERT INTO f VALUES (?, 'twice')", 7)
	b.stored("7,7")
	b.ended(intercept.Doubled, "")
	var n, length int
	b.expect("", "SELECT", b.c.QueryRow("SELECT count(*), length(REPEAT('twice', ?)) FROM f WHERE t = 'twice'", 20000).Scan(&n, &length))
	if n != 2 || length != 100_000 {
		t.Errorf("%d rows, %d bytes", n, length)
	}
	b.exec("", "DELETE FROM f WHERE id = ?", 7)
	b.exec("", "CREATE UNIQUE INDEX i ON f (id)")
	b.exec("1062/23000", "INSERT INTO f VALUES (?, 'twice')", 8)
	b.stored("8")
}

func mysqlDelayed(t *testing.T, server, options string) {
	const delay = 150 * time.Millisecond
	for _, when := range []intercept.When{intercept.Before, intercept.After} {
		b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", intercept.Fault{Delay: delay, When: when}, once))
		began := time.Now()
		b.exec("", "INSERT INTO f VALUES (?, 'x')", 1)
		if took := time.Since(began); took < delay {
			t.Errorf("answered after %v", took)
		}
		b.ended(intercept.Answered, "")
		b.stored("1")
	}
}

func mysqlTruncated(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "SELECT REPEAT*", intercept.Fault{Do: intercept.Cut, When: intercept.After, Bytes: 100_000}, once))
	rows, err := b.c.Query("SELECT REPEAT('x', 30000) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT ?) n", 4)
	n := 0
	for err == nil && rows.Next() {
		n++
	}
	if err == nil {
		err = rows.Err()
	}
	b.expect("conn", "SELECT", err)
	if n != 3 {
		t.Errorf("%d rows of 30000 bytes in 100000", n)
	}
	b.ended(intercept.WasCut, "")
}

// mysqlSeveral: one command with several results fails as one.
func mysqlSeveral(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", after(mysqlError("disk full", "")), once))
	b.exec("1021/HY000", "INSERT INTO f VALUES (1, 'x'); SELECT * FROM f; INSERT INTO f VALUES (2, 'x')")
	b.exec("", "INSERT INTO f VALUES (?, 'x')", 3)
	b.stored("1,2,3")
}

func mysqlPrepared(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options)
	stmt, err := b.c.Prepare("INSERT INTO f VALUES (?, ?)")
	b.expect("", "prepare", err)
	_, err = stmt.Exec(1, "x")
	b.expect("", "execute", err)
	disarm := b.log.Arm(t, mysql.Protocol, mysqlRule(t, "INSERT INTO f*", mysqlError("disk full", "")))
	_, err = stmt.Exec(2, "x")
	b.expect("1021/HY000", "execute", err)
	// Parameters this long go ahead of the execution, which would keep them.
	_, err = stmt.Exec(3, strings.Repeat("long", 7_000_000))
	b.expect("1021/HY000", "execute", err)
	disarm()
	_, err = stmt.Exec(4, "x")
	b.expect("", "execute", err)
	b.stored("1,4")
	var length int
	if err := b.direct.QueryRow("SELECT sum(length(t)) FROM f").Scan(&length); err != nil || length != 2 {
		t.Errorf("%d bytes are stored, want 2 (%v)", length, err)
	}
}

func mysqlLong(t *testing.T, server, options string) {
	for _, size := range []int{300_000, 1<<24 + 5} {
		for _, code := range []string{"1021/HY000", "1213/40001"} {
			b := newMySQLBed(t, server, options, mysqlRule(t, "INSERT*", mysqlError("", code[:4]), once))
			statement := fmt.Sprintf("INSERT INTO f VALUES (?, '%s')", strings.Repeat("x", size))
			b.exec(code, statement, 1)
			b.stored("")
			b.exec("", statement, 2)
			b.stored("2")
		}
	}
}

func mysqlLoad(t *testing.T, server, options string) {
	b := newMySQLBed(t, server, options,
		mysqlRule(t, "LOAD DATA*", mysqlError("disk full", ""), once),
		mysqlRule(t, "LOAD DATA*", after(mysqlError("disk full", "")), intercept.Trigger{Nth: 2}))
	s := &goMySQLSession{db: b.c}
	s.files("")
	if got := strings.Join(s.saw, "\n"); !strings.Contains(got, "Reader::file' INTO TABLE l: <nil> 1021/HY000") {
		t.Errorf("the client saw\n%s", got)
	}
}
