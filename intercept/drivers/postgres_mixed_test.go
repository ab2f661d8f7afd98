package drivers

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"faultbox/intercept"
	"faultbox/protocols/postgres"
)

// TestPostgresFaultsElsewhere strikes other clients than pgx, pipelines and COPY.
func TestPostgresFaultsElsewhere(t *testing.T) {
	server := Postgres(t)
	for _, c := range []struct {
		client, fault string
		test          func(*testing.T, string)
	}{
		{"lib/pq", "error in a transaction", pqFaults}, {"psql", "error in a query of several statements", psqlFaults}, {"pgx, pipeline", "error in the second of three groups", pipelineFault},
		{"pgx, simple protocol and cached statements", "twice, against a unique index", uniqueTwice}, {"pgx", "COPY in: error before and after, lost", copyFaults},
	} {
		t.Run(c.client+"/"+c.fault, func(t *testing.T) {
			Struck(t, postgres.Protocol, server, c.client, c.fault)
			c.test(t, server)
		})
	}
	t.Run("errors", func(t *testing.T) { pgErrors(t, server) })
}

// uniqueTwice: what is refused the second time, the client hears as refused. A
// Query is a transaction of its own, two Executes before one Sync share theirs.
func uniqueTwice(t *testing.T, server string) {
	for _, c := range []struct {
		mode  pgx.QueryExecMode
		holds []int
	}{{pgx.QueryExecModeSimpleProtocol, []int{1}}, {pgx.QueryExecModeCacheStatement, nil}} {
		b := newPgBed(t, server, c.mode, pgRule(t, "INSERT*", intercept.Fault{Do: intercept.Twice}, once))
		if _, err := b.direct.Exec(t.Context(), "ALTER TABLE f ADD PRIMARY KEY (id)"); err != nil {
			t.Fatal(err)
		}
		b.exec("23505", "INSERT INTO f VALUES ($1)", 1)
		b.stored(c.holds...)
		b.exec("", "INSERT INTO f VALUES ($1)", 2)
		b.stored(append(c.holds, 2)...)
	}
}

func pqFaults(t *testing.T, server string) {
	b := newPgBed(t, server, pgx.QueryExecModeExec, pgRule(t, "INSERT*", pgError("duplicate key value violates unique constraint", intercept.Before), intercept.Trigger{Nth: 2}))
	db := pqOpen(t, b.addr)
	tx, err := db.Begin()
	b.expect("", "begin", err)
	_, err = tx.Exec("INSERT INTO f VALUES ($1)", 1)
	b.expect("", "first", err)
	_, err = tx.Exec("INSERT INTO f VALUES ($1)", 2)
	b.expect("23505", "second", err)
	_, err = tx.Exec("SELECT 1")
	b.expect("25P02", "third", err)
	b.expect("", "rollback", tx.Rollback())
	_, err = db.Exec("INSERT INTO f VALUES (3)")
	b.expect("", "fourth", err)
	b.stored(3)
}

func psqlFaults(t *testing.T, server string) {
	b := newPgBed(t, server, pgx.QueryExecModeExec, pgRule(t, "insert*", pgError("no space left on device", intercept.Before), once))
	out := tool(t, b.addr, "\\set VERBOSITY sqlstate\nBEGIN; INSERT INTO f VALUES (1); SELECT 1; COMMIT; INSERT INTO f VALUES (2); SELECT * FROM f;\n",
		lookPath(t, "psql", "postgresql-client-15"), "-X", "-At")
	if want := "BEGIN\nERROR:  53100\nERROR:  25P02\nROLLBACK\nINSERT 0 1\n2\n\npsql: ok\n"; out != want {
		t.Errorf("psql shows\n%s\nwant\n%s", out, want)
	}
	b.stored(2)
}

// pipelineFault: the second of three groups of a pipeline fails; the others
// are not concerned.
func pipelineFault(t *testing.T, server string) {
	b := newPgBed(t, server, pgx.QueryExecModeExec, pgRule(t, "INSERT*", pgError("disk full", intercept.Before), intercept.Trigger{Nth: 2}))
	p := b.c.PgConn().StartPipeline(t.Context())
	for _, group := range [][]string{{"1"}, {"2", "3"}, {"4"}} {
		for _, id := range group {
			p.SendQueryParams("INSERT INTO f VALUES ($1)", [][]byte{[]byte(id)}, nil, nil, nil)
		}
		p.SendPipelineSync()
	}
	p.Flush()
	var got []string
	for {
		r, err := p.GetResults()
		if r == nil && err == nil {
			break
		}
		if r, ok := r.(*pgconn.ResultReader); ok {
			_, err = r.Close()
		} else if err == nil {
			got = append(got, "sync")
			continue
		}
		got = append(got, state(err))
	}
	if want := "[ sync 53100 sync  sync]"; fmt.Sprint(got) != want {
		t.Errorf("the pipeline answers %v, want %v", got, want)
	}
	b.expect("", "close", p.Close())
	b.stored(1, 4)
}

func copyFaults(t *testing.T, server string) {
	rows := pgx.CopyFromRows([][]any{{1}, {2}})
	for name, c := range map[string]struct {
		fault intercept.Fault
		want  string
		holds []int
	}{
		"before": {pgError("disk full", intercept.Before), "53100", nil},
		"after":  {pgError("disk full", intercept.After), "53100", []int{1, 2}},
		"lost":   {intercept.Fault{Do: intercept.Close, When: intercept.After}, "conn", []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPgBed(t, server, pgx.QueryExecModeExec, pgRule(t, "copy*", c.fault, once))
			_, err := b.c.PgConn().CopyFrom(context.Background(), strings.NewReader("1\n2\n"), "COPY f FROM STDIN")
			b.expect(c.want, "copy", err)
			b.stored(c.holds...)
			if c.want != "conn" {
				n, err := b.c.CopyFrom(t.Context(), pgx.Identifier{"f"}, []string{"id"}, rows)
				b.expect("", fmt.Sprintf("copy %d rows", n), err)
			}
		})
	}
}
