package steps

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"faultbox/intercept/drivers"
	"faultbox/runtime"
)

func pgEndpoint(t *testing.T, env ...string) *dialled {
	t.Helper()
	addr := drivers.Postgres(t)
	for _, kv := range []string{"PGHOST=nowhere.test", "PGUSER=nobody", "PGPASSWORD=wrong", "PGDATABASE=none", "PGSSLMODE=verify-full", "PGOPTIONS=--nonsense=1", "PGCONNECT_TIMEOUT=1"} {
		key, value, _ := strings.Cut(kv, "=")
		t.Setenv(key, value) // of whoever runs faultbox: must not matter
	}
	return endpoint("postgres", addr, append([]string{"POSTGRES_PASSWORD=" + drivers.PostgresPassword}, env...)...)
}

func TestPostgres(t *testing.T) {
	e := pgEndpoint(t)
	s := session(t, e)
	steps := []struct {
		method, sql string
		args        []any
		data        any
	}{
		{"query", "SELECT 1 AS one, 'x' AS text, NULL AS nothing, true AS yes", nil,
			[]any{map[string]any{"one": int64(1), "text": "x", "nothing": nil, "yes": true}}},
		{"query", "SELECT 1.50::numeric AS a, 7::numeric AS b, 1e400::numeric AS huge, 'NaN'::float8 AS nan, 2.5::float4 AS f, (2^62)::int8 AS i", nil,
			[]any{map[string]any{"a": 1.5, "b": int64(7), "huge": "1" + strings.Repeat("0", 400), "nan": "NaN", "f": 2.5, "i": int64(1) << 62}}},
		{"query", "SELECT '2026-11-22 10:00:00.5+02'::timestamptz AS tz, '2026-11-22 10:00'::timestamp AS ts, '2026-11-22'::date AS d, 'infinity'::timestamptz AS inf, '10:30'::time AS t", nil,
			[]any{map[string]any{"tz": "2026-11-22T08:00:00.5Z", "ts": "2026-11-22T10:00:00", "d": "2026-11-22", "inf": "infinity", "t": "10:30:00"}}},
		{"query", `SELECT '{"a": [1, 2.5, null]}'::jsonb AS j, '7'::json AS n, 'c0ffee00-0000-4000-8000-000000000000'::uuid AS u, '\xdead'::bytea AS b, '1 day'::interval AS i`, nil,
			[]any{map[string]any{"j": map[string]any{"a": []any{int64(1), 2.5, nil}}, "n": int64(7), "u": "c0ffee00-0000-4000-8000-000000000000", "b": `\xdead`, "i": "1 day"}}},
		{"query", `SELECT ARRAY[1,NULL,3] AS i, ARRAY['a b','"q"','\','NULL',''] AS s, ARRAY[[1,2],[3,4]] AS m, '{}'::int[] AS e, '[2:3]={7,8}'::int[] AS o, ARRAY[true] AS b, ARRAY['{"a":"}"}'::jsonb] AS j`, nil,
			[]any{map[string]any{"i": []any{int64(1), nil, int64(3)}, "s": []any{"a b", `"q"`, `\`, "NULL", ""}, "m": []any{[]any{int64(1), int64(2)}, []any{int64(3), int64(4)}},
				"e": []any{}, "o": []any{int64(7), int64(8)}, "b": []any{true}, "j": []any{map[string]any{"a": "}"}}}}},
		{"exec", "CREATE TABLE t (id serial PRIMARY KEY, name text UNIQUE, tags text[], doc jsonb, n numeric)", nil, int64(0)},
		{"exec", "INSERT INTO t (name, tags, doc, n) VALUES ($1, $2, $3, $4), ($5, NULL, NULL, $6)",
			[]any{"alice's", []any{"x", `a"\b`, nil}, map[string]any{"k": []any{int64(1)}}, 1.25, "bob", nil}, int64(2)},
		{"query", "SELECT * FROM t WHERE id = ANY($1) AND name = $2", []any{[]any{int64(1), int64(9)}, "alice's"},
			[]any{map[string]any{"id": int64(1), "name": "alice's", "tags": []any{"x", `a"\b`, nil}, "doc": map[string]any{"k": []any{int64(1)}}, "n": 1.25}}},
		{"query", "SELECT id FROM t WHERE $1", []any{false}, []any{}},
		{"query", "SELECT $1::int + 1 AS n", []any{int64(41)}, []any{map[string]any{"n": int64(42)}}},
		{"query", "INSERT INTO t (name) VALUES ('eve') RETURNING id", nil, []any{map[string]any{"id": int64(3)}}},
		{"query", "SELECT count(*) AS n FROM t; UPDATE t SET n = 1", nil, []any{map[string]any{"n": int64(3)}}},
		{"exec", "UPDATE t SET n = 2; DELETE FROM t WHERE id = 1", nil, int64(4)},
		{"query", "", nil, []any{}},
		{"exec", "BEGIN", nil, int64(0)},
		{"exec", "DELETE FROM t", nil, int64(2)},
		{"exec", "ROLLBACK", nil, int64(0)},
		{"query", "SELECT count(*) AS n FROM t", nil, []any{map[string]any{"n": int64(2)}}},
		{"query", "SELECT current_user AS u, current_database() AS d, current_setting('application_name') AS a", nil,
			[]any{map[string]any{"u": "postgres", "d": "postgres", "a": "faultbox"}}},
	}
	for _, step := range steps {
		resp := do(t, s, e, step.method, runtime.Args{"sql": step.sql, "args": step.args})
		if !resp.OK || !reflect.DeepEqual(resp.Data, step.data) {
			t.Errorf("%s %s: got %+v\nwant data %#v", step.method, step.sql, resp, step.data)
		}
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

func TestPostgresErrors(t *testing.T) {
	e := pgEndpoint(t)
	s := session(t, e)
	do(t, s, e, "exec", runtime.Args{"sql": "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)"})
	tests := []struct {
		args        runtime.Args
		code, error string
	}{
		{runtime.Args{"sql": "SELEKT"}, "42601", `syntax error at or near "SELEKT"`},
		{runtime.Args{"sql": "SELECT * FROM none"}, "42P01", `relation "none" does not exist`},
		{runtime.Args{"sql": "INSERT INTO t VALUES (1)"}, "23505", ""},
		{runtime.Args{"sql": "INSERT INTO t VALUES ($1)", "args": []any{int64(1)}}, "23505", ""},
		{runtime.Args{"sql": "SELECT 1/$1::int", "args": []any{int64(0)}}, "22012", "division by zero"},
		{runtime.Args{"sql": "SELECT $1", "args": []any{int64(1), int64(2)}}, "08P01", ""},
		{runtime.Args{"sql": "COPY t FROM STDIN"}, "EINVAL", ""},
		{runtime.Args{"sql": "SELECT 1", "password": "wrong"}, "28P01", ""},
		{runtime.Args{"sql": "SELECT 1", "database": "none"}, "3D000", `database "none" does not exist`},
		{runtime.Args{"sql": "SELECT 1; SELECT 1/0"}, "22012", ""},
	}
	for _, tt := range tests {
		resp := do(t, s, e, "query", tt.args)
		if resp.OK || resp.ErrorCode != tt.code || resp.Error == "" || tt.error != "" && resp.Error != tt.error {
			t.Errorf("%v: %+v, want %s %q", tt.args, resp, tt.code, tt.error)
		}
		if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT 1"}); !resp.OK {
			t.Errorf("after %v: %+v", tt.args, resp)
		}
	}
	if n := e.dials.Load(); n != 3 {
		t.Errorf("%d connections, want 3: one that lasts and two that were refused", n)
	}
}

func TestPostgresLogins(t *testing.T) {
	e := pgEndpoint(t)
	s := session(t, e)
	for _, sql := range []string{"CREATE USER app PASSWORD 'it''s'", "CREATE DATABASE shop OWNER app"} {
		if resp := do(t, s, e, "exec", runtime.Args{"sql": sql}); !resp.OK {
			t.Fatalf("%s: %+v", sql, resp)
		}
	}
	who := "SELECT current_user || '@' || current_database() AS who"
	check := func(s runtime.Session, args runtime.Args, want string) {
		t.Helper()
		args["sql"] = who
		resp := do(t, s, e, "query", args)
		if !resp.OK || !reflect.DeepEqual(resp.Data, []any{map[string]any{"who": want}}) {
			t.Errorf("%v: %+v, want %s", args, resp, want)
		}
	}
	check(s, runtime.Args{"user": "app", "password": "it's", "database": "shop"}, "app@shop")
	check(s, runtime.Args{"user": "app", "password": "it's"}, "app@postgres")
	check(s, runtime.Args{}, "postgres@postgres")

	e.Service.Env = []string{"POSTGRES_USER=app", "POSTGRES_PASSWORD=it's", "POSTGRES_DB=shop"}
	check(session(t, e), runtime.Args{}, "app@shop")
	e.Service.Env = []string{"POSTGRES_USER=app", "POSTGRES_PASSWORD=it's"}
	if resp := do(t, session(t, e), e, "query", runtime.Args{"sql": who}); resp.ErrorCode != "3D000" || resp.Error != `database "app" does not exist` {
		t.Errorf("POSTGRES_DB defaults to POSTGRES_USER: %+v", resp)
	}
}

// TestPostgresEnded: connections that end between and during steps.
func TestPostgresEnded(t *testing.T) {
	e := pgEndpoint(t)
	s, admin := session(t, e), session(t, e)
	kill := func() {
		t.Helper()
		resp := do(t, admin, e, "exec", runtime.Args{"sql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"})
		if !resp.OK {
			t.Error(resp)
		}
	}
	do(t, s, e, "exec", runtime.Args{"sql": "SELECT 1"})
	kill()
	time.Sleep(20 * time.Millisecond)
	if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT 1"}); !resp.OK {
		t.Errorf("killed between steps: %+v", resp)
	}
	time.AfterFunc(100*time.Millisecond, kill)
	if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT pg_sleep(60)"}); resp.OK || resp.ErrorCode != "57P01" {
		t.Errorf("killed during a step: %+v", resp)
	}
	if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT 1"}); !resp.OK {
		t.Errorf("the step after: %+v", resp)
	}

	dials := e.dials.Load()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if resp := doCtx(t, ctx, s, e, "query", runtime.Args{"sql": "SELECT pg_sleep(60)"}); resp.OK || resp.ErrorCode != "canceled" {
		t.Errorf("canceled: %+v", resp)
	}
	time.Sleep(50 * time.Millisecond)
	if n := e.dials.Load(); n != dials {
		t.Errorf("%d more connections were made to cancel a step", n-dials)
	}
	if err := (postgresSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
	e.Service.Env = []string{"POSTGRES_PASSWORD=wrong"}
	if err := (postgresSteps{}).Ping(context.Background(), e.Endpoint); err == nil || !strings.Contains(err.Error(), "28P01") {
		t.Errorf("ping with a wrong password: %v", err)
	}
}

// TestPostgresNotices: what an idle server sends is no reason to leave it.
func TestPostgresNotices(t *testing.T) {
	e := pgEndpoint(t)
	s, other := session(t, e), session(t, e)
	do(t, s, e, "exec", runtime.Args{"sql": "LISTEN ch; CREATE TEMP TABLE mine ()"})
	for range 3 {
		do(t, other, e, "exec", runtime.Args{"sql": "NOTIFY ch, 'hello'"})
	}
	time.Sleep(20 * time.Millisecond)
	if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT * FROM mine"}); !resp.OK {
		t.Errorf("the connection was left: %+v", resp)
	}
	big := do(t, s, e, "query", runtime.Args{"sql": "SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 20000) i"})
	if rows, _ := big.Data.([]any); len(rows) != 20000 {
		t.Errorf("20000 rows: %.100s", fmt.Sprint(big))
	}
	if resp := do(t, s, e, "exec", runtime.Args{"sql": "COPY (SELECT 1) TO STDOUT"}); !resp.OK {
		t.Errorf("COPY TO STDOUT: %+v", resp)
	}
}

func TestPostgresArrayParser(t *testing.T) {
	for _, bad := range []string{"", "{", "{1", "{1,", `{"x`, `{"x\`, "{1}2", "1"} {
		if got := postgresElements(0, bad); got != bad {
			t.Errorf("postgresElements(%q) = %v, want the text as it is", bad, got)
		}
	}
}
