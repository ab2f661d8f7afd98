package drivers

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/lib/pq"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/postgres"
)

// pgBed is a table on a server, seen directly and through an edge with a fault.
type pgBed struct {
	*testing.T
	log    *Log
	addr   string
	direct *pgx.Conn
	c      *pgx.Conn // through the edge
}

func newPgBed(t *testing.T, server string, mode pgx.QueryExecMode, rules ...intercept.Rule) *pgBed {
	b := &pgBed{T: t, direct: pgxConnect(t, server, pgx.QueryExecModeExec)}
	b.addr, b.log = Front(t, postgres.Protocol, server, rules...)
	b.c = pgxConnect(t, b.addr, mode)
	if _, err := b.direct.Exec(t.Context(), "DROP TABLE IF EXISTS f; CREATE TABLE f (id int)"); err != nil {
		t.Fatal(err)
	}
	return b
}

// exec runs a statement through the edge and checks its SQLSTATE: "" is
// success, "conn" a connection that ends without any.
func (b *pgBed) exec(want, sql string, args ...any) {
	b.Helper()
	_, err := b.c.Exec(b.Context(), sql, args...)
	b.expect(want, sql, err)
}

func (b *pgBed) expect(want, what string, err error) {
	b.Helper()
	if got := state(err); got != want {
		b.Fatalf("%s: got %q (%v), want %q", what, got, err, want)
	}
}

func state(err error) string {
	switch pg, lib := (*pgconn.PgError)(nil), (*pq.Error)(nil); {
	case err == nil:
		return ""
	case errors.As(err, &pg):
		return pg.Code
	case errors.As(err, &lib):
		return string(lib.Code)
	}
	return "conn"
}

// stored checks what the database holds: the ids, in order.
func (b *pgBed) stored(want ...int) {
	b.Helper()
	rows, err := b.direct.Query(b.Context(), "SELECT id FROM f ORDER BY id")
	if err != nil {
		b.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || fmt.Sprint(ids) != fmt.Sprint(want) {
		b.Fatalf("the database holds %v (%v), want %v", ids, err, want)
	}
}

// ended checks the event of the first statement that the fault struck.
func (b *pgBed) ended(outcome intercept.Outcome, code string) {
	b.Helper()
	ev := b.log.Wait(b, "that a rule acted on", func(ev *intercept.Event) bool { return len(ev.Rules) > 0 })
	if ev.Outcome != outcome || ev.Err != code {
		b.Fatalf("%q ended as %q with %q, want %q with %q", ev.Text, ev.Outcome, ev.Err, outcome, code)
	}
}

func pgRule(t *testing.T, query string, f intercept.Fault, trigger ...intercept.Trigger) intercept.Rule {
	r := intercept.Rule{Match: Match(t, postgres.Protocol, "query", query), Fault: f}
	if len(trigger) > 0 {
		r.Trigger = trigger[0]
		r.Trigger.Prob = 1
	}
	return r
}

func pgError(message string, when intercept.When) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, When: when, Reply: &protocols.Reply{Error: true, Message: message}}
}

var once = intercept.Trigger{Times: 1}

// TestPostgresFaults strikes in every mode in which a client can send a
// statement, and asks the database directly what came of it.
func TestPostgresFaults(t *testing.T) { EachPostgres(t, postgresFaults) }

func postgresFaults(t *testing.T, server string) {
	for _, mode := range pgxModes {
		t.Run(mode.String(), func(t *testing.T) {
			for name, test := range map[string]func(*testing.T, string, pgx.QueryExecMode){
				"error outside a transaction":       pgErrorOutside,
				"error in a transaction":            pgErrorInside,
				"error after, in a transaction":     pgErrorAfter,
				"COMMIT refused":                    pgCommitRefused,
				"COMMIT kept and reported failed":   pgCommitLate,
				"COMMIT lost":                       pgCommitLost,
				"dropped":                           pgDropped,
				"reset":                             pgReset,
				"fatal":                             pgFatal,
				"fatal after":                       pgFatalAfter,
				"twice":                             pgTwice,
				"twice, in a transaction":           pgTwiceInside,
				"delayed":                           pgDelayed,
				"truncated":                         pgTruncated,
				"batch":                             pgBatch,
				"prepared before the rule is armed": pgPrepared,
				"long statement":                    pgLong,
			} {
				t.Run(name, func(t *testing.T) {
					Struck(t, postgres.Protocol, server, "pgx, "+mode.String(), name)
					test(t, server, mode)
				})
			}
		})
	}
}

func pgErrorOutside(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "insert into f*", pgError("disk full", intercept.Before), once))
	b.exec("53100", "INSERT INTO  f VALUES ($1)", 1)
	b.stored()
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.stored(2)
	b.ended(intercept.Replaced, "53100")
	if s := b.c.PgConn().TxStatus(); s != 'I' {
		t.Errorf("transaction status %c", s)
	}
}

func pgErrorInside(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "UPDATE*", pgError("deadlock detected", intercept.Before), once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.exec("40P01", "UPDATE f SET id = $1", 2)
	b.exec("25P02", "INSERT INTO f VALUES ($1)", 3)
	b.exec("25P02", "UPDATE f SET id = $1", 4)
	b.exec("", "COMMIT") // which the server answers by ROLLBACK
	b.stored()
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES ($1)", 5)
	b.exec("", "COMMIT")
	b.stored(5)
}

func pgErrorAfter(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", pgError("disk full", intercept.After), once))
	b.exec("", "BEGIN")
	b.exec("53100", "INSERT INTO f VALUES ($1)", 1)
	b.exec("25P02", "SELECT $1::int", 1)
	b.exec("", "ROLLBACK")
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.stored(2)
	b.ended(intercept.Replaced, "53100")
}

func pgCommitRefused(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "COMMIT", pgError("could not serialize access due to concurrent update", intercept.Before), once))
	tx, err := b.c.Begin(t.Context())
	b.expect("", "BEGIN", err)
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.expect("40001", "COMMIT", tx.Commit(t.Context()))
	b.stored()
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.stored(2)
}

func pgCommitLate(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "COMMIT", pgError("could not serialize access due to concurrent update", intercept.After), once))
	tx, err := b.c.Begin(t.Context())
	b.expect("", "BEGIN", err)
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.expect("40001", "COMMIT", tx.Commit(t.Context()))
	b.stored(1)
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.stored(1, 2)
}

func pgCommitLost(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "COMMIT", intercept.Fault{Do: intercept.Close, When: intercept.After}, once))
	tx, err := b.c.Begin(t.Context())
	b.expect("", "BEGIN", err)
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.expect("conn", "COMMIT", tx.Commit(t.Context()))
	b.ended(intercept.Dropped, "")
	b.stored(1)
}

func pgDropped(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", intercept.Fault{Do: intercept.Close}, once))
	b.exec("conn", "INSERT INTO f VALUES ($1)", 1)
	b.ended(intercept.Dropped, "")
	b.stored()
	b.c = pgxConnect(t, b.addr, mode)
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.stored(2)
}

func pgReset(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", intercept.Fault{Do: intercept.Reset}, once))
	spy := b.c.PgConn().Conn().(*spyConn)
	b.exec("conn", "INSERT INTO f VALUES ($1)", 1)
	if !errors.Is(spy.last(), syscall.ECONNRESET) {
		t.Errorf("the socket says %v, want a reset", spy.last())
	}
	b.ended(intercept.WasReset, "")
	b.stored()
}

func pgFatal(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", pgError("terminating connection due to administrator command", intercept.Before), once))
	b.exec("57P01", "INSERT INTO f VALUES ($1)", 1)
	b.exec("conn", "INSERT INTO f VALUES ($1)", 1)
	b.ended(intercept.Replaced, "57P01")
	b.stored()
}

func pgFatalAfter(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "COMMIT", pgError("terminating connection due to administrator command", intercept.After), once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.exec("57P01", "COMMIT")
	b.exec("conn", "SELECT $1::int", 1)
	b.ended(intercept.Replaced, "57P01")
	b.stored(1)
}

func pgTwice(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", intercept.Fault{Do: intercept.Twice}, once))
	var id int
	err := b.c.QueryRow(t.Context(), "INSERT INTO f VALUES ($1) RETURNING id", 7).Scan(&id)
	b.expect("", "INSERT", err)
	if id != 7 {
		t.Errorf("id %d", id)
	}
	b.stored(7, 7)
	b.ended(intercept.Doubled, "")
	b.exec("", "INSERT INTO f VALUES ($1)", 8)
	b.stored(7, 7, 8)
}

func pgTwiceInside(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", intercept.Fault{Do: intercept.Twice}, once))
	b.exec("", "BEGIN")
	b.exec("", "INSERT INTO f VALUES ($1)", 1)
	b.exec("", "INSERT INTO f VALUES ($1)", 2)
	b.exec("", "COMMIT")
	b.stored(1, 1, 2)
}

func pgDelayed(t *testing.T, server string, mode pgx.QueryExecMode) {
	const delay = 150 * time.Millisecond
	for _, when := range []intercept.When{intercept.Before, intercept.After} {
		b := newPgBed(t, server, mode, pgRule(t, "INSERT*", intercept.Fault{Delay: delay, When: when}, once))
		began := time.Now()
		b.exec("", "INSERT INTO f VALUES ($1)", 1)
		if took := time.Since(began); took < delay {
			t.Errorf("answered after %v", took)
		}
		b.ended(intercept.Answered, "")
		b.stored(1)
	}
}

func pgTruncated(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "SELECT repeat*", intercept.Fault{Do: intercept.Cut, When: intercept.After, Bytes: 100_000}, once))
	rows, err := b.c.Query(t.Context(), "SELECT repeat('x', 30000) FROM generate_series(1, $1)", 10)
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

func pgBatch(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", pgError("disk full", intercept.Before), intercept.Trigger{Nth: 2}))
	batch := &pgx.Batch{}
	if mode == pgx.QueryExecModeSimpleProtocol { // there a batch is a single Query
		batch.Queue("SELECT 1")
		b.exec("", "INSERT INTO f VALUES (0)")
		b.exec("", "DELETE FROM f")
	}
	for i := range 3 {
		batch.Queue("INSERT INTO f VALUES ($1)", i)
	}
	want := "53100"
	if mode == pgx.QueryExecModeSimpleProtocol {
		want = "" // it begins with SELECT
	}
	b.expect(want, "batch", b.c.SendBatch(t.Context(), batch).Close())
	if want == "" {
		b.stored(0, 1, 2)
		return
	}
	b.stored()
	b.exec("", "INSERT INTO f VALUES ($1)", 9)
	b.stored(9)
}

func pgPrepared(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode)
	const sql = "INSERT INTO f VALUES ($1)"
	if _, err := b.c.Prepare(t.Context(), "early", sql); err != nil {
		t.Fatal(err)
	}
	b.exec("", sql, 1)
	disarm := b.log.Arm(t, postgres.Protocol, pgRule(t, "INSERT INTO f*", pgError("disk full", intercept.Before)))
	b.exec("53100", sql, 2)
	b.expect("53100", "early", b.c.PgConn().ExecPrepared(t.Context(), "early", [][]byte{[]byte("3")}, nil, nil).Read().Err)
	disarm()
	b.exec("", sql, 4)
	b.stored(1, 4)
}

func pgLong(t *testing.T, server string, mode pgx.QueryExecMode) {
	b := newPgBed(t, server, mode, pgRule(t, "INSERT*", pgError("disk full", intercept.Before), once))
	long := "INSERT INTO f VALUES ($1) /* " + strings.Repeat("long ", 50_000) + "*/"
	b.exec("53100", long, 1)
	b.stored()
	b.exec("", long, 2)
	b.stored(2)
}
