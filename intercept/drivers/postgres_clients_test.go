package drivers

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/lib/pq"
)

// Each session is one client's work, told as text: what it sees.

// transcript collects what a client sees.
type transcript struct{ strings.Builder }

func (s *transcript) say(what string, v any, err error) {
	fmt.Fprintf(s, "%s: %v, %s\n", what, v, errorText(err))
}

// errorText is an error without addresses.
func errorText(err error) string {
	if pg := (*pgconn.PgError)(nil); errors.As(err, &pg) {
		return fmt.Sprintf("%s %s %s", pg.Severity, pg.Code, pg.Message)
	}
	if err != nil {
		return err.Error()
	}
	return "ok"
}

func pgxSession(t *testing.T, addr string, mode pgx.QueryExecMode) string {
	ctx, c := t.Context(), pgxConnect(t, addr, mode)
	var out transcript
	exec := func(sql string, args ...any) {
		tag, err := c.Exec(ctx, sql, args...)
		out.say(sql[:min(len(sql), 60)], fmt.Sprint(tag, " ", string(c.PgConn().TxStatus())), err)
	}
	query := func(sql string, args ...any) {
		rows, err := c.Query(ctx, sql, args...)
		if err == nil {
			var all []map[string]any
			all, err = pgx.CollectRows(rows, pgx.RowToMap)
			out.say(sql, len(fmt.Sprint(all)), err)
			return
		}
		out.say(sql, nil, err)
	}
	exec("DROP TABLE IF EXISTS a")
	exec("CREATE TABLE a (id int PRIMARY KEY, t text)")
	exec("INSERT INTO a VALUES ($1, $2)", 1, "x")
	exec("INSERT INTO a VALUES ($1, $2)", 1, "again")
	exec("INSERT INTO a VALUES ($1, $2)", 2, strings.Repeat("y", 300_000))
	exec("INSERT INTO a VALUES (3, '" + strings.Repeat("z", 200_000) + "')")
	exec("SELEC")
	exec("SELECT 1; SELECT 2")
	query("SELECT * FROM a WHERE id < $1 ORDER BY id", 9)
	query("SELECT repeat('w', 1000000) FROM generate_series(1, $1)", 3)
	query("SELECT i, repeat('v', i % 700) FROM generate_series(1, $1) i", 5000)
	exec("BEGIN")
	exec("SAVEPOINT s")
	exec("INSERT INTO a VALUES ($1, 'dup')", 1)
	query("SELECT count(*) FROM a WHERE id > $1", 0)
	exec("ROLLBACK TO s")
	exec("INSERT INTO a VALUES ($1, 'ok')", 4)
	exec("COMMIT")
	batch := &pgx.Batch{}
	for i := range 20 {
		batch.Queue("INSERT INTO a VALUES ($1, 'batch')", 100+i%19)
	}
	out.say("batch with a duplicate", nil, c.SendBatch(ctx, batch).Close())
	batch = &pgx.Batch{}
	for i := range 200 {
		batch.Queue("INSERT INTO a VALUES ($1, 'batch')", 200+i)
	}
	out.say("batch", nil, c.SendBatch(ctx, batch).Close())
	rows := [][]any{}
	for i := range 5000 {
		rows = append(rows, []any{1000 + i, strings.Repeat("c", i%300)})
	}
	n, err := c.CopyFrom(ctx, pgx.Identifier{"a"}, []string{"id", "t"}, pgx.CopyFromRows(rows))
	out.say("copy from", n, err)
	n, err = c.CopyFrom(ctx, pgx.Identifier{"a"}, []string{"id", "t"}, pgx.CopyFromRows(rows[:3]))
	out.say("copy duplicates", n, err)
	var copied bytes.Buffer
	tag, err := c.PgConn().CopyTo(ctx, &copied, "COPY a TO STDOUT")
	out.say("copy to", fmt.Sprint(tag, copied.Len()), err)
	pipeline(ctx, c, &out)
	notifications(t, addr, c, mode, &out)
	cancelled(ctx, c, &out)
	query("SELECT count(*), sum(id) FROM a WHERE id <> $1", 0)
	return out.String()
}

func pipeline(ctx context.Context, c *pgx.Conn, out *transcript) {
	p := c.PgConn().StartPipeline(ctx)
	p.SendPrepare("named", "SELECT $1::int + 1", nil)
	p.SendQueryPrepared("named", [][]byte{[]byte("41")}, nil, nil)
	p.SendFlushRequest()
	p.SendQueryParams("SELECT 1/0", nil, nil, nil, nil)
	p.SendQueryParams("SELECT 'skipped'", nil, nil, nil, nil)
	p.SendPipelineSync()
	p.SendQueryParams("SELECT 'after'", nil, nil, nil, nil)
	p.SendPipelineSync()
	p.Flush()
	for {
		r, err := p.GetResults()
		if r == nil && err == nil {
			break
		}
		switch r := r.(type) {
		case *pgconn.ResultReader:
			res := r.Read()
			out.say("pipeline result", fmt.Sprintf("%s %v", res.Rows, res.CommandTag), res.Err)
		default:
			out.say("pipeline", fmt.Sprintf("%T", r), err)
		}
		if err != nil && !errors.As(err, new(*pgconn.PgError)) {
			break
		}
	}
	out.say("pipeline closed", nil, p.Close())
}

func notifications(t *testing.T, addr string, c *pgx.Conn, mode pgx.QueryExecMode, out *transcript) {
	other := pgxConnect(t, addr, mode)
	_, err := c.Exec(t.Context(), "LISTEN news")
	out.say("listen", nil, err)
	done := make(chan error, 1)
	go func() {
		_, err := other.Exec(t.Context(), "SELECT pg_notify('news', $1)", "hello")
		done <- err
	}()
	n, err := c.WaitForNotification(t.Context())
	if err == nil {
		out.say("notified", n.Channel+" "+n.Payload, <-done)
		return
	}
	out.say("notified", nil, err)
}

func cancelled(ctx context.Context, c *pgx.Conn, out *transcript) {
	started := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		close(started)
		_, err := c.PgConn().Exec(ctx, "SELECT pg_sleep(60)").ReadAll()
		ended <- err
	}()
	<-started
	for { // the request has no effect until the query has begun
		err := c.PgConn().CancelRequest(ctx)
		if err != nil {
			out.say("cancel", nil, err)
		}
		select {
		case err = <-ended:
			out.say("cancelled", nil, err)
			return
		default:
		}
	}
}

func pqOpen(t *testing.T, addr string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", pgPlainURL(addr))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func pqSession(t *testing.T, addr string) string {
	db := pqOpen(t, addr)
	var out transcript
	exec := func(sql string, args ...any) {
		_, err := db.Exec(sql, args...)
		out.say(sql, nil, err)
	}
	exec("DROP TABLE IF EXISTS b")
	exec("CREATE TABLE b (id int PRIMARY KEY, t text)")
	exec("INSERT INTO b VALUES ($1, $2)", 1, "x")
	exec("INSERT INTO b VALUES ($1, $2)", 1, "x")
	exec("SELECT 1; SELECT 2; SELEC")
	stmt, err := db.Prepare("SELECT t FROM b WHERE id = $1")
	out.say("prepare", nil, err)
	var text string
	out.say("prepared", text, stmt.QueryRow(1).Scan(&text))
	out.say("close", text, stmt.Close())
	tx, err := db.Begin()
	out.say("begin", nil, err)
	copyIn, err := tx.Prepare("COPY b (id, t) FROM STDIN")
	out.say("copy", nil, err)
	for i := range 1000 {
		if _, err := copyIn.Exec(10+i, strings.Repeat("q", i)); err != nil {
			out.say("copy row", i, err)
		}
	}
	_, err = copyIn.Exec()
	out.say("copied", nil, err)
	out.say("closed", nil, copyIn.Close())
	out.say("commit", nil, tx.Commit())
	var n, sum int
	err = db.QueryRow("SELECT count(*), sum(length(t)) FROM b").Scan(&n, &sum)
	out.say("sum", fmt.Sprint(n, sum), err)
	return out.String()
}

// tool runs a client program and returns what it prints and how it ended.
func tool(t *testing.T, addr, stdin, name string, args ...string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), "PGHOST="+host, "PGPORT="+port, "PGUSER=postgres", "PGPASSWORD="+PostgresPassword, "PGDATABASE=postgres", "PGCONNECT_TIMEOUT=20")
	cmd.Stdin = strings.NewReader(stdin)
	b, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s\n%s: %s\n", b, filepath.Base(name), errorText(err))
}

func psqlSession(t *testing.T, addr string) string {
	rows := filepath.Join(t.TempDir(), "rows")
	if err := os.WriteFile(rows, []byte(strings.Repeat("7\tseven\n", 3000)), 0o644); err != nil {
		t.Fatal(err)
	}
	pid := regexp.MustCompile(`PID \d+`)
	return pid.ReplaceAllString(strings.ReplaceAll(tool(t, addr, `
\set VERBOSITY verbose
CREATE TABLE p (id int, t text);
SELECT 1 AS a \; SELECT 2 AS b \; SELECT 1/0 \; SELECT 3;
\copy p FROM `+rows+`
\copy p TO STDOUT
COPY p FROM STDIN;
1	one
x	not a number
\.
BEGIN; INSERT INTO p VALUES (8, 'eight'); SELEC; SELECT 1; ROLLBACK;
DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'there'; END $$;
SELECT count(*) FROM p; -- and a comment
\d p
LISTEN x; SELECT pg_notify('x', 'payload') \g /dev/null
SELECT 'a''b' /* c */, E'\\x', $q$ d $q$ \gx
DROP TABLE p;
\c
SELECT 1 AS reconnected;
`, lookPath(t, "psql", "postgresql-client-15"), "-X", "-a"), rows, "ROWS"), "PID")
}

func psycopgSession(t *testing.T, addr string) string {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import psycopg2").Run(); err != nil {
		t.Skipf("needs psycopg2: apt-get install -y --no-install-recommends python3-psycopg2 (%v)", err)
	}
	return tool(t, addr, `
import io, psycopg2
c = psycopg2.connect("")
k = c.cursor()
k.execute("DROP TABLE IF EXISTS y; CREATE TABLE y (id int primary key, t text)")
k.executemany("INSERT INTO y VALUES (%s, %s)", [(i, "t" * i) for i in range(50)])
c.commit()
try:
    k.execute("INSERT INTO y VALUES (1, 'dup')")
except psycopg2.Error as e:
    print(e.pgcode, type(e).__name__)
try:
    k.execute("SELECT 1")
except psycopg2.Error as e:
    print(e.pgcode, type(e).__name__)
c.rollback()
k.copy_from(io.StringIO("".join("%d\tx\n" % i for i in range(100, 2000))), "y")
s = io.StringIO(); k.copy_to(s, "y"); print(len(s.getvalue()))
n = c.cursor("named"); n.itersize = 10; n.execute("SELECT id FROM y ORDER BY id")
print(sum(r[0] for r in n)); n.close()
c.commit()
k.execute("SELECT count(*) FROM y"); print(k.fetchall())
`, python, "-")
}

func dumpSession(t *testing.T, addr string) string {
	psql := lookPath(t, "psql", "postgresql-client-15")
	out := tool(t, addr, "CREATE SCHEMA d; CREATE TABLE d.t AS SELECT i, md5(i::text) FROM generate_series(1, 2000) i;", psql, "-X", "-q")
	out += tool(t, addr, "", lookPath(t, "pg_dump", "postgresql-client-15"), "-n", "d")
	out += tool(t, addr, "DROP SCHEMA d CASCADE", psql, "-X", "-q")
	return regexp.MustCompile(`restrict \w+`).ReplaceAllString(out, "restrict KEY")
}
