package steps

import (
	"context"
	"reflect"
	"testing"

	"faultbox/intercept/drivers"
	"faultbox/runtime"
)

func TestMemcached(t *testing.T) {
	e := endpoint("memcached", drivers.Memcached(t))
	s := session(t, e)
	for _, step := range []struct {
		method string
		args   runtime.Args
		data   any
	}{
		{"get", runtime.Args{"key": "k"}, nil},
		{"set", runtime.Args{"key": "k", "value": "v"}, nil},
		{"get", runtime.Args{"key": "k"}, "v"},
		{"set", runtime.Args{"key": "n", "value": int64(40)}, nil},
		{"incr", runtime.Args{"key": "n"}, int64(41)},
		{"incr", runtime.Args{"key": "n", "value": int64(-11)}, int64(30)},
		{"incr", runtime.Args{"key": "none"}, nil},
		{"delete", runtime.Args{"key": "k"}, true},
		{"delete", runtime.Args{"key": "k"}, false},
	} {
		resp := do(t, s, e, step.method, step.args)
		if !resp.OK || !reflect.DeepEqual(resp.Data, step.data) {
			t.Errorf("%s %v: %+v, want %v", step.method, step.args, resp, step.data)
		}
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	do(t, s, e, "set", runtime.Args{"key": "word", "value": "x"})
	for _, tt := range []struct {
		method string
		args   runtime.Args
		code   string
	}{
		{"incr", runtime.Args{"key": "word"}, "CLIENT_ERROR"},
		{"get", runtime.Args{"key": "a b"}, "EINVAL"},
		{"set", runtime.Args{"key": "k", "value": []any{}}, "EINVAL"},
		{"set", runtime.Args{"key": "k", "value": string(make([]byte, 2<<20))}, "SERVER_ERROR"},
	} {
		resp := do(t, s, e, tt.method, tt.args)
		if resp.OK || resp.ErrorCode != tt.code || resp.Error == "" {
			t.Errorf("%s: %+v, want %s", tt.method, resp, tt.code)
		}
		if resp := do(t, s, e, "get", runtime.Args{"key": "word"}); !resp.OK || resp.Data != "x" {
			t.Errorf("after %s: %+v", tt.method, resp)
		}
	}
	if err := (memcachedSteps{}).Ping(context.Background(), e.Endpoint); err != nil {
		t.Error(err)
	}
	e.Addr = "127.0.0.1:1"
	if resp := do(t, session(t, e), e, "get", runtime.Args{"key": "k"}); resp.ErrorCode != "ECONNREFUSED" {
		t.Errorf("no server: %+v", resp)
	}
}
