package drivers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"faultbox/intercept"
	"faultbox/protocols/postgres"
)

var (
	pgJDBCFeatures = []string{"statements and parameters, named on the server", "batches", "several statements, several results", "portals fetched in parts", "transactions, savepoints",
		"COPY in and out", "cancel (query timeout)", "errors"}
	nodePgFeatures = []string{"simple and extended queries, named statements", "several statements in a query", "queued queries", "transactions", "LISTEN/NOTIFY", "notices", "pool", "errors"}
)

// pgJDBC runs a task of the client for the JVM.
func pgJDBC(t testing.TB, addr, task, options string) []string {
	t.Helper()
	const jar = "/usr/share/java/postgresql.jar"
	if _, err := os.Stat(jar); err != nil {
		t.Skip("needs PostgreSQL's JDBC driver: apt-get install -y --no-install-recommends libpostgresql-jdbc-java")
	}
	url := fmt.Sprintf("jdbc:postgresql://%s/postgres?user=postgres&password=%s%s", addr, PostgresPassword, options)
	return command(t, lookPath(t, "java", "default-jdk-headless"), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-cp", jar, "testdata/postgres/Client.java", task, url)
}

// nodePg runs a task of node-postgres.
func nodePg(t testing.TB, url, task string) []string {
	t.Helper()
	script, err := os.ReadFile("testdata/postgres/client.js")
	if err != nil {
		t.Fatal(err)
	}
	return node(t, npm(t, "postgres", "pg"), string(script), task, url)
}

func psycopg(t testing.TB, url, task string) []string {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import psycopg2").Run(); err != nil {
		t.Skipf("needs psycopg2: apt-get install -y --no-install-recommends python3-psycopg2 (%v)", err)
	}
	return command(t, python, "testdata/postgres/client.py", task, url)
}

// pgFunctions raise by themselves the errors that faults make up, so that what
// a client reports of either can be compared.
var pgFunctions = []struct{ name, state, message string }{
	{"raise_deadlock", "40P01", "deadlock detected"},
	{"raise_serialization", "40001", "could not serialize access due to concurrent update"},
	{"raise_full", "53100", "could not extend file: No space left on device"},
	{"raise_duplicate", "23505", `duplicate key value violates unique constraint "f_pkey"`},
	{"raise_foreign", "23503", `insert or update on table "f" violates foreign key constraint "f_fkey"`},
	{"raise_readonly", "25006", "cannot execute INSERT in a read-only transaction"},
	{"raise_timeout", "57014", "canceling statement due to statement timeout"},
	{"raise_lock", "55P03", "canceling statement due to lock timeout"},
	{"raise_memory", "53200", "out of memory"},
	{"raise_denied", "42501", "permission denied for table f"},
	{"raise_odd", "XX000", "something odd"},
}

// pgErrors: what clients report of a made-up error is what they report of the
// server's own.
func pgErrors(t *testing.T, server string) {
	direct := pgxConnect(t, server, pgx.QueryExecModeExec)
	var names []string
	var before, late []intercept.Rule
	for _, f := range pgFunctions {
		_, err := direct.Exec(context.Background(), fmt.Sprintf("CREATE FUNCTION %s() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = '%s'; END $$", f.name, f.state, f.message))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, f.name)
		before = append(before, pgRule(t, "SELECT "+f.name+"()*", pgError(f.message, intercept.Before)))
		late = append(late, pgRule(t, "SELECT "+f.name+"()*", pgError(f.message, intercept.After)))
	}
	task := strings.Join(names, ",")
	for _, c := range []struct {
		name string
		run  func(addr string) []string
	}{
		{"JDBC", func(addr string) []string { return pgJDBC(t, addr, task, "") }},
		{"JDBC, simple", func(addr string) []string { return pgJDBC(t, addr, task, "&preferQueryMode=simple") }},
		{"node-postgres", func(addr string) []string { return nodePg(t, pgPlainURL(addr), task) }},
		{"psycopg2", func(addr string) []string { return psycopg(t, pgURL(addr), task) }},
		{"psql", func(addr string) []string {
			script := "\\set VERBOSITY verbose\nSELECT " + strings.Join(names, "();\nSELECT ") + "();\n"
			var out []string
			for line := range strings.SplitSeq(tool(t, addr, script, lookPath(t, "psql", "postgresql-client-15"), "-X"), "\n") {
				if strings.HasPrefix(line, "ERROR") {
					out = append(out, line)
				}
			}
			return out
		}},
	} {
		t.Run("errors/"+c.name, func(t *testing.T) {
			for _, f := range pgFunctions {
				Struck(t, postgres.Protocol, server, c.name, f.state+", before and after")
			}
			real := c.run(server)
			if len(real) < len(names) || !strings.Contains(strings.Join(real, "\n"), "40P01") {
				t.Fatalf("the client reports %q", real)
			}
			for _, rules := range [][]intercept.Rule{before, late} {
				addr, log := Front(t, postgres.Protocol, server, rules...)
				equalLines(t, real, c.run(addr))
				for i, rule := range log.Tally() {
					if rule.Fired() == 0 {
						t.Errorf("%s: the fault struck nothing", names[i])
					}
				}
			}
		})
	}
}
