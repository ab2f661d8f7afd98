package drivers

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"faultbox/intercept"
	"faultbox/protocols/postgres"
)

// TestPostgresTransparent compares what clients see through an edge with a rule
// that never matches with what they see directly.
func TestPostgresTransparent(t *testing.T) { EachPostgres(t, postgresTransparent, "wal_level=logical") }

func postgresTransparent(t *testing.T, server string) {
	for name, client := range map[string]struct {
		session  func(*testing.T, string) string
		features []string
	}{
		"lib/pq":   {pqSession, []string{"simple and extended queries", "transactions", "COPY in", "errors"}},
		"psql":     {psqlSession, []string{"several statements in a query", "COPY in and out", "LISTEN/NOTIFY", "notices", "errors, in full", "reconnect"}},
		"psycopg2": {psycopgSession, []string{"simple queries", "transactions", "COPY in and out", "named cursors", "errors"}},
		"pg_dump":  {dumpSession, []string{"COPY out, catalogs"}},
		"JDBC":     {func(t *testing.T, addr string) string { return strings.Join(pgJDBC(t, addr, "work", ""), "\n") }, pgJDBCFeatures},
		"JDBC, simple": {func(t *testing.T, addr string) string {
			return strings.Join(pgJDBC(t, addr, "work", "&preferQueryMode=simple"), "\n")
		}, pgJDBCFeatures},
		"node-postgres": {func(t *testing.T, addr string) string { return strings.Join(nodePg(t, pgPlainURL(addr), "work"), "\n") }, nodePgFeatures},
	} {
		t.Run(name, func(t *testing.T) {
			Compared(t, postgres.Protocol, server, name, client.features...)
			sameThrough(t, server, client.session)
		})
	}
	for _, mode := range pgxModes {
		t.Run("pgx-"+mode.String(), func(t *testing.T) {
			Compared(t, postgres.Protocol, server, "pgx, "+mode.String(), "SCRAM, SSLRequest refused", "statements and parameters", "errors", "transactions, savepoints", "batches",
				"COPY in and out", "pipelines", "LISTEN/NOTIFY while idle", "cancel", "rows of 1 MB, statements of 300 KB")
			sameThrough(t, server, func(t *testing.T, addr string) string { return pgxSession(t, addr, mode) })
		})
	}
	for _, mode := range []string{"simple", "extended", "prepared"} {
		t.Run("pgbench-"+mode, func(t *testing.T) {
			Compared(t, postgres.Protocol, server, "pgbench", "load without an error, "+mode)
			pgbench(t, server, mode)
		})
	}
	if strings.Contains(t.Name(), "PostgreSQL 15") { // pg_basebackup copies servers of its own version
		t.Run("replication", func(t *testing.T) { baseBackup(t, server) })
	}
}

var pgxModes = []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol}

// quiet puts an edge whose rules never match in front of the server, and
// checks at the end that it was used and had nothing to say.
func quiet(t *testing.T, server string) (addr string) {
	addr, log := Front(t, postgres.Protocol, server, intercept.Rule{
		Match: Match(t, postgres.Protocol, "query", "NO SUCH STATEMENT"),
		Fault: intercept.Fault{Do: intercept.Close},
	})
	t.Cleanup(func() {
		if len(log.Some(1)) == 0 {
			t.Error("no event: the client did not go through the edge")
		}
		if notes := log.Notes(); len(notes) > 0 {
			t.Errorf("the relay notes %q", notes)
		}
		for _, ev := range log.Events() {
			if ev.Outcome != intercept.Answered && ev.Outcome != intercept.Untouched {
				t.Errorf("%s %q ended as %q", ev.Op, ev.Text, ev.Outcome)
			}
		}
	})
	return addr
}

func sameThrough(t *testing.T, server string, client func(*testing.T, string) string) {
	direct := client(t, server)
	through := client(t, quiet(t, server))
	if direct != through {
		i := 0
		for i < min(len(direct), len(through)) && direct[i] == through[i] {
			i++
		}
		excerpt := func(s string) string { return s[max(0, min(i, len(s))-200):min(len(s), i+300)] }
		t.Errorf("through the edge the client sees\n… %s …\ndirectly\n… %s …", excerpt(through), excerpt(direct))
	}
	if len(direct) < 50 {
		t.Errorf("the client saw next to nothing: %q", direct)
	}
}

// spyConn keeps how reading ended, which drivers do not always tell.
type spyConn struct {
	net.Conn
	err atomic.Pointer[error]
}

func (c *spyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

func (c *spyConn) last() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

func pgURL(addr string) string {
	return "postgres://postgres:" + PostgresPassword + "@" + addr + "/postgres?sslmode=prefer"
}

// pgPlainURL is for clients that take a server without TLS for an error.
func pgPlainURL(addr string) string { return strings.Replace(pgURL(addr), "prefer", "disable", 1) }

// pgxConnect connects in that mode; a server without TLS is asked for it first.
func pgxConnect(t *testing.T, addr string, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(pgURL(addr))
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = mode
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		return &spyConn{Conn: c}, err
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func pgbench(t *testing.T, server, mode string) {
	bench := lookPath(t, "pgbench", "postgresql-15")
	addr := quiet(t, server)
	if out := tool(t, addr, "", bench, "-i", "-q"); !strings.Contains(out, "pgbench: ok") {
		t.Fatal(out)
	}
	out := tool(t, addr, "", bench, "-n", "-M", mode, "-c", "4", "-t", "150")
	if !strings.Contains(out, "pgbench: ok") || !strings.Contains(out, "number of failed transactions: 0 ") || !strings.Contains(out, "processed: 600/600") {
		t.Error(out)
	}
}

// baseBackup copies the whole server by the replication protocol.
func baseBackup(t *testing.T, server string) {
	bin := newest(t, "postgresql-15", "/usr/lib/postgresql/*/bin/pg_basebackup")
	Compared(t, postgres.Protocol, server, "pg_basebackup", "replication")
	dir := filepath.Join(folder(t, ""), "copy")
	out := tool(t, quiet(t, server), "", bin, "-D", dir, "-X", "stream", "-c", "fast", "--no-sync")
	if !strings.Contains(out, "pg_basebackup: ok") {
		t.Fatal(out)
	}
	if out, err := exec.Command(filepath.Join(filepath.Dir(bin), "pg_verifybackup"), "-n", dir).CombinedOutput(); err != nil {
		t.Fatalf("verify the copy: %v\n%s", err, out)
	}
}
