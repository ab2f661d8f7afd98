package drivers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"faultbox/protocols"
	"faultbox/protocols/postgres"
)

// pgProvoked are statements that a server refuses. Each runs on a connection of
// its own; the last one of a text fails.
var pgProvoked = []string{
	"SELEC 1", "SELECT 'open", "SELECT * FROM nowhere", "SELECT * FROM nowhere.t", "SELECT nothing FROM f", "SELECT nothing()", "SELECT 1 + 'x'::text",
	"SELECT 1 / 0", "SELECT 'x'::int", "SELECT 99999999999::int", "SELECT 1e200::numeric(3)", "SELECT '2020-13-01'::date", "SELECT 'no'::mood",
	`SELECT E'\xff'::text`, "INSERT INTO f VALUES (1)", "INSERT INTO f VALUES (NULL)", "INSERT INTO f VALUES (-1)", "INSERT INTO g VALUES (7)",
	"DELETE FROM f", "INSERT INTO short VALUES ('too long')", "INSERT INTO spans VALUES ('[1,3]')", "CREATE TABLE f ()", "CREATE TABLE user_roles ()",
	"SELECT * FROM missing_roles", "SELECT * FROM missing_function", "CREATE SCHEMA public", "CREATE ROLE app", "DROP ROLE nobody_known", "DROP TABLE nowhere", "DROP VIEW nowhere",
	"DROP INDEX nowhere", "DROP TYPE nothing", "DROP SEQUENCE nowhere", "DROP SCHEMA nowhere", "DROP FUNCTION nothing()", "DROP TABLESPACE nowhere", "DROP EXTENSION nowhere",
	"DROP TRIGGER nothing ON f", "ALTER TABLE f DROP COLUMN nothing", "ALTER TABLE f DROP CONSTRAINT nothing", "ALTER TABLE f ADD COLUMN id int", "CREATE DATABASE postgres", "CREATE TYPE mood AS ENUM ()",
	"CREATE FUNCTION raise_f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP TABLE f", "EXECUTE nothing", "PREPARE p AS SELECT 1; PREPARE p AS SELECT 1", "CLOSE nothing", "ROLLBACK TO nothing",
	"BEGIN; ROLLBACK TO nothing", "BEGIN; DECLARE c CURSOR FOR SELECT 1; DECLARE c CURSOR FOR SELECT 1", "BEGIN; SELECT 1 / 0; SELECT 1", "SAVEPOINT s",
	"BEGIN READ ONLY; INSERT INTO f VALUES (9)", "INSERT INTO f VALUES (5), (5) ON CONFLICT (id) DO UPDATE SET id = 6", "INSERT INTO f (id) VALUES (1, 2)", "INSERT INTO f (id, id) VALUES (1)", "SELECT '{x'::int[]", "SELECT 'x'::uuid", "SELECT '{'::json", "SET ROLE app; SELECT * FROM f", "SET ROLE app; DROP TABLE f", "SET ROLE app; CREATE SCHEMA s", "SET ROLE app; CREATE DATABASE d", "SET ROLE app; INSERT INTO guarded VALUES (1)",
	"SET statement_timeout = 10; SELECT pg_sleep(9)", "SET lock_timeout = 10; SELECT * FROM locked FOR UPDATE", "SELECT * FROM locked FOR UPDATE NOWAIT", "BEGIN; LOCK locked NOWAIT",
	"SELECT (SELECT generate_series(1, 2))", "SELECT id FROM f, g", "SELECT id, count(*) FROM f", "SELECT * FROM f WHERE id = $1", "INSERT INTO g VALUES (1) ON CONFLICT (id) DO NOTHING", "ALTER TABLE g ADD FOREIGN KEY (id) REFERENCES g (id)",
	"INSERT INTO f VALUES (1, 2)", "INSERT INTO f VALUES (8), (8)", "SET nothing = 1", "SET work_mem = 'x'", "SELECT repeat('x', 2000000000)", "SET temp_file_limit = '64kB'; SET work_mem = '64kB'; SELECT count(*) FROM (SELECT i FROM generate_series(1, 900000) i ORDER BY -i) s",
	"SELECT deep(1)", "VACUUM f; SELECT 1", "SELECT pg_read_file('nowhere')", "COPY f FROM '/nowhere'", "SELECT to_json('x'::bytea) -> 'a' -> 1 ->> 2, '{'::json", "SELECT ln(-1)", "SELECT sqrt(-1)", "SELECT 'x' COLLATE nowhere",
	"SELECT nextval('worn'), nextval('worn')", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT pg_cancel_backend(pg_backend_pid()) FROM pg_sleep(0.01)",
	"SET idle_in_transaction_session_timeout = 10; BEGIN", "SET idle_session_timeout = 10", "SET transaction_timeout = 10; BEGIN; SELECT pg_sleep(9)", "SELECT set_config('max_connections', '1', false)",
}

const pgProvoking = `CREATE ROLE app; CREATE TYPE mood AS ENUM ('ok');
CREATE TABLE f (id int PRIMARY KEY CHECK (id > 0)); INSERT INTO f VALUES (1); CREATE TABLE g (id int REFERENCES f); INSERT INTO g VALUES (1);
CREATE TABLE short (t varchar(3)); CREATE TABLE spans (s int4range, EXCLUDE USING gist (s WITH &&)); INSERT INTO spans VALUES ('[1,3]'); CREATE TABLE user_roles ();
CREATE TABLE guarded (id int); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; GRANT ALL ON guarded TO app; CREATE TABLE locked AS SELECT 1; CREATE SEQUENCE worn MAXVALUE 2; SELECT nextval('worn');
CREATE FUNCTION raise_f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE FUNCTION deep(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN deep($1 + 1); END';`

// TestPostgresInferred: the code that belongs to a message is the one that the
// server sends with it, and so is the severity.
func TestPostgresInferred(t *testing.T) {
	EachPostgres(t, pgInferred, "max_connections=12", "superuser_reserved_connections=3", "deadlock_timeout=20ms")
}

func pgInferred(t *testing.T, server string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	direct := pgxConnect(t, server, pgx.QueryExecModeSimpleProtocol)
	if _, err := direct.Exec(ctx, pgProvoking); err != nil {
		t.Fatal(err)
	}
	lock := pgxConnect(t, server, pgx.QueryExecModeSimpleProtocol)
	if _, err := lock.Exec(ctx, "BEGIN; SELECT * FROM locked FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	seen := 0
	judge := func(what string, err error) {
		t.Helper()
		pg := (*pgconn.PgError)(nil)
		if !errors.As(err, &pg) {
			t.Logf("%.60s: %v", what, err)
			return
		}
		seen++
		r := protocols.Reply{Error: true, Message: pg.Message}
		if err := postgres.Protocol.Check(&r); err != nil || r.Code != pg.Code || r.Details["severity"] != pg.SeverityUnlocalized {
			t.Errorf("%.60s: the server says %s %s %q, and the message alone gives %s %s (%v)", what, pg.SeverityUnlocalized, pg.Code, pg.Message, r.Details["severity"], r.Code, err)
		}
	}
	for _, sql := range pgProvoked {
		c := pgxConnect(t, server, pgx.QueryExecModeSimpleProtocol)
		_, err := c.PgConn().Exec(ctx, sql).ReadAll()
		if err == nil { // an idle connection is told when it asks again
			time.Sleep(50 * time.Millisecond)
			_, err = c.PgConn().Exec(ctx, "SELECT 1").ReadAll()
		}
		judge(sql, err)
		c.Close(ctx)
	}
	for what, change := range map[string][2]string{"password": {"secret@", "wrong@"}, "database": {"/postgres?", "/nowhere?"}, "role": {"//postgres:", "//stranger:"}} {
		_, err := pgx.Connect(ctx, strings.Replace(pgURL(server), change[0], change[1], 1))
		judge("log in with another "+what, err)
	}
	for _, pair := range pgConflicts {
		judge(pair.name, pgConflict(ctx, t, server, pair.begin, pair.first, pair.second))
	}
	for range 20 {
		c, err := pgx.Connect(ctx, pgURL(server))
		if err != nil {
			judge("one connection too many", err)
			break
		}
		defer c.Close(context.Background())
	}
	if seen < len(pgProvoked) {
		t.Errorf("%d errors of the server for %d statements", seen, len(pgProvoked))
	}
}

// pgConflicts are transactions of two sessions, of which one is refused.
var pgConflicts = []struct {
	name, begin   string
	first, second [2]string
}{
	{"deadlock", "BEGIN", [2]string{"UPDATE a SET v = 1 WHERE id = 1", "UPDATE a SET v = 1 WHERE id = 2"}, [2]string{"UPDATE a SET v = 2 WHERE id = 2", "UPDATE a SET v = 2 WHERE id = 1"}},
	{"concurrent update", "BEGIN ISOLATION LEVEL REPEATABLE READ", [2]string{"SELECT * FROM a", "UPDATE a SET v = 1"}, [2]string{"SELECT * FROM a", "UPDATE a SET v = 2"}},
	{"dependencies", "BEGIN ISOLATION LEVEL SERIALIZABLE", [2]string{"SELECT sum(v) FROM a", "INSERT INTO a VALUES (11, 1)"}, [2]string{"SELECT sum(v) FROM a", "INSERT INTO a VALUES (12, 1)"}},
}

// pgConflict runs two transactions side by side, statement by statement, and
// returns the error of the one that is refused.
func pgConflict(ctx context.Context, t *testing.T, server, begin string, statements ...[2]string) error {
	var sessions [2]*pgx.Conn
	for i := range sessions {
		sessions[i] = pgxConnect(t, server, pgx.QueryExecModeSimpleProtocol)
		defer sessions[i].Close(context.Background())
	}
	if _, err := sessions[0].Exec(ctx, "DROP TABLE IF EXISTS a; CREATE TABLE a (id int PRIMARY KEY, v int); INSERT INTO a VALUES (1, 0), (2, 0)"); err != nil {
		t.Fatal(err)
	}
	for i, s := range sessions {
		if _, err := s.Exec(ctx, begin+"; "+statements[i][0]); err != nil {
			return err
		}
	}
	var errs [2]error
	var done sync.WaitGroup
	for i, s := range sessions {
		done.Go(func() { _, errs[i] = s.Exec(ctx, statements[i][1]+"; COMMIT") })
	}
	done.Wait()
	return errors.Join(errs[:]...)
}
