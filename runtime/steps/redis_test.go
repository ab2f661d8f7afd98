package steps

import (
	"context"
	"io"
	"net"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"faultbox/intercept/drivers"
	"faultbox/runtime"
)

func TestRedis(t *testing.T) {
	e := endpoint("redis", drivers.Redis(t))
	s := session(t, e)
	steps := []struct {
		method string
		args   runtime.Args
		data   any
		body   string
	}{
		{"ping", nil, "PONG", "PONG"},
		{"get", runtime.Args{"key": "none"}, nil, ""},
		{"set", runtime.Args{"key": "k", "value": "v\x00\r\nü"}, "OK", "OK"},
		{"get", runtime.Args{"key": "k"}, "v\x00\r\nü", "v\x00\r\nü"},
		{"set", runtime.Args{"key": "n", "value": int64(41)}, "OK", "OK"},
		{"incr", runtime.Args{"key": "n"}, int64(42), "42"},
		{"keys", runtime.Args{"pattern": "n*"}, []any{"n"}, `["n"]`},
		{"rpush", runtime.Args{"key": "l", "value": []any{"b", int64(1), true, 1.5}}, int64(4), "4"},
		{"lpush", runtime.Args{"key": "l", "value": "a"}, int64(5), "5"},
		{"lrange", runtime.Args{"key": "l"}, []any{"a", "b", "1", "true", "1.5"}, `["a","b","1","true","1.5"]`},
		{"lrange", runtime.Args{"key": "l", "start": int64(-2), "stop": int64(-2)}, []any{"true"}, `["true"]`},
		{"del", runtime.Args{"key": "l"}, int64(1), "1"},
		{"command", runtime.Args{"cmd": "hset h", "args": []any{"f", "1", "g", "2"}}, int64(2), "2"},
		{"command", runtime.Args{"cmd": "HGETALL h"}, map[string]any{"f": "1", "g": "2"}, `{"f":"1","g":"2"}`},
		{"command", runtime.Args{"cmd": "MULTI"}, "OK", "OK"},
		{"command", runtime.Args{"cmd": "GET", "args": []any{"n"}}, "QUEUED", "QUEUED"},
		{"command", runtime.Args{"cmd": "HGET n f"}, "QUEUED", "QUEUED"},
		{"command", runtime.Args{"cmd": "EXEC"}, []any{"42", "WRONGTYPE Operation against a key holding the wrong kind of value"}, ""},
		{"command", runtime.Args{"cmd": "zadd z 1.5 m"}, int64(1), "1"},
		{"command", runtime.Args{"cmd": "zscore z m"}, 1.5, "1.5"},
		{"command", runtime.Args{"cmd": "sismember none x"}, int64(0), "0"},
		{"command", runtime.Args{"cmd": "debug protocol bignum"}, "1234567999999999999999999999999999999", "1234567999999999999999999999999999999"},
		{"command", runtime.Args{"cmd": "debug protocol true"}, true, "true"},
		{"command", runtime.Args{"cmd": "debug protocol double"}, 3.141, "3.141"},
	}
	for _, step := range steps {
		resp := do(t, s, e, step.method, step.args)
		if !resp.OK || !reflect.DeepEqual(resp.Data, step.data) || step.body != "" && resp.Body != step.body {
			t.Errorf("%s %v: got %#v, want data %#v, body %q", step.method, step.args, resp, step.data, step.body)
		}
	}
	failures := []struct {
		method      string
		args        runtime.Args
		code, error string
	}{
		{"incr", runtime.Args{"key": "k"}, "ERR", "ERR value is not an integer or out of range"},
		{"command", runtime.Args{"cmd": "LPUSH k x"}, "WRONGTYPE", "WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"command", runtime.Args{"cmd": "NO-SUCH"}, "ERR", ""},
		{"command", runtime.Args{"cmd": " "}, "EINVAL", ""},
		{"command", runtime.Args{"cmd": "subscribe ch"}, "EINVAL", ""},
		{"command", runtime.Args{"cmd": "client reply off"}, "EINVAL", ""},
		{"command", runtime.Args{"cmd": "SET", "args": []any{"k", nil}}, "EINVAL", ""},
	}
	for _, f := range failures {
		resp := do(t, s, e, f.method, f.args)
		if resp.OK || resp.ErrorCode != f.code || f.error != "" && resp.Error != f.error {
			t.Errorf("%s %v: got %+v, want code %s", f.method, f.args, resp, f.code)
		}
	}
	if n := e.dials.Load(); n != 1 {
		t.Errorf("%d connections for all steps, want 1", n)
	}
}

func TestRedisBlocking(t *testing.T) {
	e := endpoint("redis", drivers.Redis(t))
	s := session(t, e)
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if resp := doCtx(t, ctx, s, e, "command", runtime.Args{"cmd": "BLPOP nothing 0"}); resp.OK || resp.ErrorCode != "canceled" {
		t.Errorf("a blocked command, canceled: %+v", resp)
	}
	if resp := do(t, s, e, "ping", nil); !resp.OK {
		t.Errorf("the step after: %+v", resp)
	}
}

func TestRedisPassword(t *testing.T) {
	addr := drivers.Redis(t, "--requirepass", "pa ss")
	tests := []struct {
		env  []string
		code string
	}{{[]string{"REDIS_PASSWORD=pa ss"}, ""}, {nil, "NOAUTH"}, {[]string{"REDIS_PASSWORD=wrong"}, "WRONGPASS"}}
	for _, tt := range tests {
		e := endpoint("redis", addr, tt.env...)
		resp := do(t, session(t, e), e, "set", runtime.Args{"key": "k", "value": "v"})
		if resp.OK != (tt.code == "") || resp.ErrorCode != tt.code {
			t.Errorf("%v: %+v, want code %q", tt.env, resp, tt.code)
		}
		if err := (redisSteps{}).Ping(context.Background(), e.Endpoint); (err == nil) != (tt.code == "") {
			t.Errorf("%v: ping says %v", tt.env, err)
		}
	}
}

// TestRedisLogins: a step may be somebody else than the environment says, on a
// connection of his own.
func TestRedisLogins(t *testing.T) {
	e := endpoint("redis", drivers.Redis(t, "--requirepass", "pa ss"), "REDIS_PASSWORD=wrong")
	s := session(t, e)
	as := func(user, password, cmd string) runtime.Response {
		args := runtime.Args{"cmd": cmd, "password": password}
		if user != "" {
			args["user"] = user
		}
		return do(t, s, e, "command", args)
	}
	for _, step := range []struct{ user, password, cmd, code, body string }{
		{"", "pa ss", "ACL SETUSER reader on >r ~k* +get +acl|whoami", "", "OK"},
		{"", "pa ss", "MULTI", "", "OK"},
		{"reader", "r", "ACL WHOAMI", "", "reader"},
		{"reader", "r", "SET k v", "NOPERM", ""},
		{"reader", "x", "GET k", "WRONGPASS", ""},
		{"", "pa ss", "SET k v", "", "QUEUED"},
		{"", "pa ss", "EXEC", "", ""},
		{"reader", "r", "GET k", "", "v"},
	} {
		if resp := as(step.user, step.password, step.cmd); resp.ErrorCode != step.code || resp.OK != (step.code == "") || step.body != "" && resp.Body != step.body {
			t.Errorf("%s as %q: %+v", step.cmd, step.user, resp)
		}
	}
	if resp := do(t, s, e, "get", runtime.Args{"key": "k"}); resp.ErrorCode != "WRONGPASS" {
		t.Errorf("as the environment says: %+v", resp)
	}
}

// TestRedisRestart: a connection that ended between two steps is replaced.
func TestRedisRestart(t *testing.T) {
	addr := drivers.Redis(t)
	e := endpoint("redis", addr)
	s := session(t, e)
	if resp := do(t, s, e, "ping", nil); !resp.OK {
		t.Fatal(resp)
	}
	_, port, _ := net.SplitHostPort(addr)
	if out, err := exec.Command("redis-cli", "-p", port, "client", "kill", "type", "normal", "skipme", "yes").CombinedOutput(); err != nil {
		t.Skipf("needs redis-cli: apt-get install redis-tools: %v %s", err, out)
	}
	time.Sleep(20 * time.Millisecond)
	if resp := do(t, s, e, "ping", nil); !resp.OK || e.dials.Load() != 2 {
		t.Errorf("after the server closed the connection: %+v, %d dials", resp, e.dials.Load())
	}
}

// TestRedisOld: a server that knows no HELLO is spoken to in RESP2.
func TestRedisOld(t *testing.T) {
	e := endpoint("redis", scripted(t, func(c net.Conn) {
		buf := make([]byte, 1<<16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			answer := "$-1\r\n"
			if strings.Contains(strings.ToLower(string(buf[:n])), "hello") {
				answer = "-ERR unknown command 'hello'\r\n"
			}
			io.WriteString(c, answer)
		}
	}))
	if resp := do(t, session(t, e), e, "get", runtime.Args{"key": "k"}); !resp.OK || resp.Data != nil {
		t.Errorf("got %+v", resp)
	}
}
