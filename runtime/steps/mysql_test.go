package steps

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"faultbox/intercept/drivers"
	"faultbox/runtime"
)

var mysqlEnv = []string{"MYSQL_USER=" + drivers.MySQLUser, "MYSQL_PASSWORD=" + drivers.MySQLPassword, "MYSQL_DATABASE=" + drivers.MySQLDatabase}

func eachMySQL(t *testing.T, do func(t *testing.T, addr string)) {
	t.Run("MySQL", func(t *testing.T) { do(t, drivers.MySQL(t)) })
	t.Run("MariaDB", func(t *testing.T) { do(t, drivers.MariaDB(t)) })
}

func TestMySQL(t *testing.T) {
	eachMySQL(t, func(t *testing.T, addr string) {
		e := endpoint("mysql", addr, mysqlEnv...)
		s := session(t, e)
		for _, step := range []struct {
			method, sql string
			args        []any
			data        any
		}{
			{"query", "SELECT 1 AS one, 'x' AS text, NULL AS nothing, 1.50 AS d, 7 AS whole, 2.5e0 AS f, 18446744073709551615 AS big, '' AS no", nil,
				[]any{map[string]any{"one": int64(1), "text": "x", "nothing": nil, "d": 1.5, "whole": int64(7), "f": 2.5, "big": 1.8446744073709552e+19, "no": ""}}},
			{"query", "SELECT TIMESTAMP('2026-11-22 10:00:00.5') AS ts, DATE('2026-11-22') AS d, TIME('10:30') AS t, b'101' AS bits, x'00ff' AS bytes", nil,
				[]any{map[string]any{"ts": "2026-11-22T10:00:00.5", "d": "2026-11-22", "t": "10:30:00", "bits": "\x05", "bytes": "\x00\xff"}}},
			{"exec", "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, doc JSON, n DECIMAL(9,2), b BIT(9), y YEAR, ok BOOL)", nil, int64(0)},
			{"exec", "INSERT INTO t (name, doc, n, b, y, ok) VALUES (?, ?, ?, 257, 2026, ?), (?, NULL, ?, 0, NULL, NULL)",
				[]any{"alice's \\ ?", map[string]any{"k": []any{int64(1), nil}}, 1.25, true, "bob", nil}, int64(2)},
			{"query", "SELECT name, n, b, y, ok FROM t WHERE name = ? AND n > ?", []any{"alice's \\ ?", int64(1)},
				[]any{map[string]any{"name": "alice's \\ ?", "n": 1.25, "b": int64(257), "y": int64(2026), "ok": int64(1)}}},
			{"query", "SELECT id FROM t WHERE id > ?", []any{int64(99)}, []any{}},
			{"query", "INSERT INTO t (name) VALUES ('eve')", nil, []any{}},
			{"query", "SELECT count(*) AS n FROM t; UPDATE t SET n = 1", nil, []any{map[string]any{"n": int64(3)}}},
			{"query", "SELECT 1 AS a; SELECT 2 AS a; SELECT 3 AS a WHERE 1 = 0", nil, []any{}},
			{"exec", "UPDATE t SET n = 2; DELETE FROM t WHERE id = 1", nil, int64(4)},
			{"exec", "BEGIN", nil, int64(0)},
			{"exec", "DELETE FROM t", nil, int64(2)},
			{"exec", "ROLLBACK", nil, int64(0)},
			{"query", "SELECT count(*) AS n FROM t", nil, []any{map[string]any{"n": int64(2)}}},
			{"query", "SELECT database() AS d", nil, []any{map[string]any{"d": drivers.MySQLDatabase}}},
		} {
			resp := do(t, s, e, step.method, runtime.Args{"sql": step.sql, "args": step.args})
			if !resp.OK || !reflect.DeepEqual(resp.Data, step.data) {
				t.Errorf("%s %s: got %+v\nwant data %#v", step.method, step.sql, resp, step.data)
			}
		}
		if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT doc FROM t"}); !resp.OK {
			t.Errorf("%+v", resp)
		}
		if n := e.dials.Load(); n != 1 {
			t.Errorf("%d connections for all steps, want 1", n)
		}
		mysqlErrors(t, addr)
		mysqlEnded(t, addr)
	})
}

func mysqlErrors(t *testing.T, addr string) {
	e := endpoint("mysql", addr, mysqlEnv...)
	s := session(t, e)
	do(t, s, e, "exec", runtime.Args{"sql": "CREATE TABLE u (id INT PRIMARY KEY); INSERT INTO u VALUES (1)"})
	for _, tt := range []struct {
		args runtime.Args
		code string
	}{
		{runtime.Args{"sql": "SELEKT"}, "1064"},
		{runtime.Args{"sql": "SELECT * FROM none"}, "1146"},
		{runtime.Args{"sql": "INSERT INTO u VALUES (?)", "args": []any{int64(1)}}, "1062"},
		{runtime.Args{"sql": "SELECT ?", "args": []any{int64(1), int64(2)}}, "EINVAL"},
		{runtime.Args{"sql": "SELECT 1; SELECT * FROM none"}, "1146"},
		{runtime.Args{"sql": "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE u"}, "EPROTO"},
		{runtime.Args{"sql": "SELECT 1", "password": "wrong"}, "1045"},
		{runtime.Args{"sql": "SELECT 1", "database": "none"}, "1049"},
		{runtime.Args{"sql": "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine'"}, "1644"},
	} {
		resp := do(t, s, e, "query", tt.args)
		if resp.OK || resp.ErrorCode != tt.code || resp.Error == "" {
			t.Errorf("%v: %+v, want %s", tt.args, resp, tt.code)
		}
		if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT 1"}); !resp.OK {
			t.Errorf("after %v: %+v", tt.args, resp)
		}
	}
}

// mysqlEnded: connections that end between and during steps.
func mysqlEnded(t *testing.T, addr string) {
	e := endpoint("mysql", addr, mysqlEnv...)
	s, admin := session(t, e), session(t, e)
	id := func() any {
		resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT connection_id() AS id"})
		rows, _ := resp.Data.([]any)
		if len(rows) != 1 {
			t.Fatalf("%+v", resp)
		}
		return rows[0].(map[string]any)["id"]
	}
	kill := func(id any) {
		if resp := do(t, admin, e, "exec", runtime.Args{"sql": "KILL ?", "args": []any{id}}); !resp.OK {
			t.Error(resp)
		}
	}
	kill(id())
	time.Sleep(20 * time.Millisecond)
	first := id()
	killed := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() {
		kill(first)
		close(killed)
	})
	// A sleep that is killed ends without an error; the connection ends then.
	if resp := do(t, s, e, "query", runtime.Args{"sql": "SELECT SLEEP(60); SELECT 1"}); resp.OK || resp.ErrorCode == "" {
		t.Errorf("killed during a step: %+v", resp)
	}
	<-killed
	id()
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(100*time.Millisecond, cancel)
	if resp := doCtx(t, ctx, s, e, "query", runtime.Args{"sql": "SELECT SLEEP(60)"}); resp.OK || resp.ErrorCode != "canceled" {
		t.Errorf("canceled: %+v", resp)
	}
	if err := (mysqlSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
	e.Service.Env = []string{"MARIADB_USER=app", "MARIADB_PASSWORD=wrong"}
	if err := (mysqlSteps{}).Ping(context.Background(), e.Endpoint); err == nil || !strings.Contains(err.Error(), "1045") {
		t.Errorf("ping with a wrong password: %v", err)
	}
}
