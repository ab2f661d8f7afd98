package steps

import (
	"context"
	"reflect"
	"testing"

	"faultbox/intercept"
	"faultbox/intercept/drivers"
	"faultbox/protocols"
	"faultbox/protocols/mongodb"
	"faultbox/runtime"
)

func TestMongoDB(t *testing.T) {
	e := endpoint("mongodb", drivers.MongoDB(t))
	s := session(t, e)
	steps := []struct {
		method string
		args   runtime.Args
		data   any
	}{
		{"insert", runtime.Args{"collection": "c", "document": map[string]any{"_id": int64(1), "name": "one", "tags": []any{"a", nil, 1.5, true}}}, int64(1)},
		{"insert", runtime.Args{"collection": "c", "document": map[string]any{"_id": map[string]any{"$oid": "65a000000000000000000001"}, "at": map[string]any{"$date": "2026-11-22T10:00:00Z"}}}, "65a000000000000000000001"},
		{"insert_many", runtime.Args{"collection": "c", "documents": []any{map[string]any{"_id": int64(2), "n": int64(1) << 40}, map[string]any{"_id": int64(3)}}}, []any{int64(2), int64(3)}},
		{"find", runtime.Args{"collection": "c", "filter": map[string]any{"_id": int64(1)}}, []any{map[string]any{"_id": int64(1), "name": "one", "tags": []any{"a", nil, 1.5, true}}}},
		{"find", runtime.Args{"collection": "c", "filter": map[string]any{"at": map[string]any{"$exists": true}}}, []any{map[string]any{"_id": "65a000000000000000000001", "at": "2026-11-22T10:00:00Z"}}},
		{"find", runtime.Args{"collection": "c", "filter": map[string]any{"_id": map[string]any{"$gte": int64(2)}}, "sort": map[string]any{"_id": int64(-1)}, "limit": int64(1), "projection": map[string]any{"_id": int64(1)}}, []any{map[string]any{"_id": int64(3)}}},
		{"find", runtime.Args{"collection": "none"}, []any{}},
		{"update", runtime.Args{"collection": "c", "filter": map[string]any{"_id": int64(1)}, "update": map[string]any{"$set": map[string]any{"name": "uno"}}}, map[string]any{"matched": int64(1), "modified": int64(1), "upserted": nil}},
		{"update", runtime.Args{"collection": "c", "filter": map[string]any{}, "update": map[string]any{"$set": map[string]any{"x": int64(1)}}, "many": true}, map[string]any{"matched": int64(4), "modified": int64(4), "upserted": nil}},
		{"update", runtime.Args{"collection": "c", "filter": map[string]any{"_id": "new"}, "update": map[string]any{"$set": map[string]any{"x": int64(1)}}, "upsert": true}, map[string]any{"matched": int64(0), "modified": int64(0), "upserted": "new"}},
		{"count", runtime.Args{"collection": "c"}, int64(5)},
		{"count", runtime.Args{"collection": "c", "database": "other"}, int64(0)},
		{"delete", runtime.Args{"collection": "c", "filter": map[string]any{"x": int64(1)}, "many": false}, int64(1)},
		{"delete", runtime.Args{"collection": "c"}, int64(4)},
		{"command", runtime.Args{"cmd": "ping"}, map[string]any{"ok": int64(1)}},
		{"command", runtime.Args{"cmd": "count", "value": "c", "args": map[string]any{"query": map[string]any{}}}, map[string]any{"n": int64(0), "ok": int64(1)}},
	}
	for _, step := range steps {
		resp := do(t, s, e, step.method, step.args)
		if !resp.OK || !reflect.DeepEqual(resp.Data, step.data) {
			t.Errorf("%s %v: got %#v\nwant data %#v", step.method, step.args, resp, step.data)
		}
	}
	many := make([]any, 2500)
	for i := range many {
		many[i] = map[string]any{"i": int64(i)}
	}
	for batch := range 5 { // more than a batch of answers
		if resp := do(t, s, e, "insert_many", runtime.Args{"collection": "many", "documents": many[batch*500 : batch*500+500]}); !resp.OK {
			t.Fatal(resp)
		}
	}
	if resp := do(t, s, e, "find", runtime.Args{"collection": "many"}); !resp.OK || len(resp.Data.([]any)) != len(many) {
		t.Errorf("find of %d documents: %.300v", len(many), resp)
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

func TestMongoDBErrors(t *testing.T) {
	e := endpoint("mongodb", drivers.MongoDB(t))
	s := session(t, e)
	one := runtime.Args{"collection": "c", "document": map[string]any{"_id": int64(1)}}
	do(t, s, e, "insert", one)
	for _, f := range []struct {
		method string
		args   runtime.Args
		code   string
	}{
		{"insert", one, "11000"},
		{"command", runtime.Args{"cmd": "noSuchCommand"}, "59"},
		{"insert", runtime.Args{"collection": "c", "document": map[string]any{"_id": map[string]any{"$oid": "zz"}}}, "EINVAL"},
		{"insert_many", runtime.Args{"collection": "c", "documents": []any{"x"}}, "EINVAL"},
		{"insert_many", runtime.Args{"collection": "c", "documents": []any{}}, "EINVAL"},
		{"find", runtime.Args{"collection": "c", "sort": map[string]any{"a": int64(1), "b": int64(1)}}, "EINVAL"},
	} {
		if resp := do(t, s, e, f.method, f.args); resp.OK || resp.ErrorCode != f.code || resp.Error == "" {
			t.Errorf("%s %v: got %+v, want code %s", f.method, f.args, resp, f.code)
		}
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

// TestMongoDBFaults: what a step says of a fault, and that the next one works.
func TestMongoDBFaults(t *testing.T) {
	rule := func(name, method string, f intercept.Fault) intercept.Rule {
		return intercept.Rule{Name: name, Match: drivers.Match(t, mongodb.Protocol, "method", method), Fault: f}
	}
	addr, _ := drivers.Front(t, mongodb.Protocol, drivers.MongoDB(t),
		rule("error", "insert", intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "not primary"}}),
		rule("drop", "delete", intercept.Fault{Do: intercept.Close}),
		rule("reset", "update", intercept.Fault{Do: intercept.Reset}))
	e := endpoint("mongodb", addr)
	s := session(t, e)
	for _, f := range []struct {
		method string
		args   runtime.Args
		code   string
	}{
		{"insert", runtime.Args{"collection": "c", "document": map[string]any{}}, "10107"},
		{"count", runtime.Args{"collection": "c"}, ""},
		{"delete", runtime.Args{"collection": "c"}, "EOF"},
		{"count", runtime.Args{"collection": "c"}, ""},
		{"update", runtime.Args{"collection": "c", "filter": map[string]any{}, "update": map[string]any{"x": int64(1)}}, "ECONNRESET"},
		{"count", runtime.Args{"collection": "c"}, ""},
	} {
		if resp := do(t, s, e, f.method, f.args); resp.OK != (f.code == "") || resp.ErrorCode != f.code {
			t.Errorf("%s: got %+v, want code %q", f.method, resp, f.code)
		}
	}
	if err := (mongodbSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
}

// TestMongoDBLogin: the server of the tests knows no users, and says so to who
// logs in.
func TestMongoDBLogin(t *testing.T) {
	e := endpoint("mongodb", drivers.MongoDB(t), "MONGO_INITDB_ROOT_USERNAME=root", "MONGO_INITDB_ROOT_PASSWORD=secret")
	resp := do(t, session(t, e), e, "command", runtime.Args{"cmd": "ping"})
	if resp.OK || resp.ErrorCode != "59" || resp.Error != "no such command: 'saslStart'" {
		t.Errorf("got %+v", resp)
	}
}
