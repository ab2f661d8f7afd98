package steps

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"faultbox/runtime"
)

// redisSteps speaks RESP3, or RESP2 to a server that knows no HELLO. It logs
// in with REDIS_PASSWORD (and REDIS_USERNAME) of the service's environment,
// unless a step names others.
type redisSteps struct{}

func (redisSteps) Methods() []runtime.Method {
	methods := redisMethods()
	for i := range methods {
		methods[i].Params = append(methods[i].Params,
			runtime.Param{Name: "user", Kind: runtime.String}, runtime.Param{Name: "password", Kind: runtime.String})
	}
	return methods
}

func redisMethods() []runtime.Method {
	str := func(name string) runtime.Param {
		return runtime.Param{Name: name, Kind: runtime.String, Required: true}
	}
	value := runtime.Param{Name: "value", Kind: runtime.Any, Required: true}
	return []runtime.Method{
		{Name: "command", Doc: "Sends a command; words of cmd after the first come before args. data is the reply: a map is a dict, nil is None.",
			Params: []runtime.Param{str("cmd"), {Name: "args", Kind: runtime.List}}},
		{Name: "get", Doc: "GET: data is the value, None if there is none.", Params: []runtime.Param{str("key")}},
		{Name: "set", Doc: "SET: data is \"OK\".", Params: []runtime.Param{str("key"), value}},
		{Name: "del", Doc: "DEL: data is the number of keys removed.", Params: []runtime.Param{str("key")}},
		{Name: "ping", Doc: "PING: data is \"PONG\"."},
		{Name: "keys", Doc: "KEYS: data is the list of keys.", Params: []runtime.Param{{Name: "pattern", Kind: runtime.String, Default: "*"}}},
		{Name: "lpush", Doc: "LPUSH: value is one or a list; data is the length.", Params: []runtime.Param{str("key"), value}},
		{Name: "rpush", Doc: "RPUSH: value is one or a list; data is the length.", Params: []runtime.Param{str("key"), value}},
		{Name: "lrange", Doc: "LRANGE: data is the list of elements, the last one included.",
			Params: []runtime.Param{str("key"), {Name: "start", Kind: runtime.Int, Default: int64(0)}, {Name: "stop", Kind: runtime.Int, Default: int64(-1)}}},
		{Name: "incr", Doc: "INCR: data is the new number.", Params: []runtime.Param{str("key")}},
	}
}

func (redisSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &redisSession{e: e, conns: map[redisLogin]*redisConn{}}, nil
}

// Ping succeeds when the server answers PING: not while it loads its data.
func (redisSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &redisSession{e: e, conns: map[redisLogin]*redisConn{}}
	defer s.Close()
	if resp := s.Do(ctx, "ping", nil); !resp.OK {
		return fmt.Errorf("ping redis: %s", resp.Error)
	}
	return nil
}

// redisSession has a connection for each login.
type redisSession struct {
	e     runtime.Endpoint
	conns map[redisLogin]*redisConn
}

type redisLogin struct{ user, password string }

type redisConn struct {
	link   *link
	client *redis.Client // on link
}

func (c *redisConn) close() error {
	c.link.Conn.Close() // first: the client must not say goodbye
	return c.client.Close()
}

func (s *redisSession) Close() error {
	var errs []error
	for login, c := range s.conns {
		errs = append(errs, c.close())
		delete(s.conns, login)
	}
	return errors.Join(errs...)
}

// login is who a step is to be.
func (s *redisSession) login(args runtime.Args) redisLogin {
	env := s.e.Service.Getenv
	login := redisLogin{env("REDIS_USERNAME"), env("REDIS_PASSWORD")}
	if user, given := args["user"].(string); given {
		login = redisLogin{user: user} // another one's password is of no use
	}
	if password, given := args["password"].(string); given {
		login.password = password
	}
	return login
}

func (s *redisSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	cmd, err := redisCommand(method, args)
	if err != nil {
		return failed(context.Background(), err)
	}
	login := s.login(args)
	c, err := s.conn(ctx, login)
	if err != nil {
		return failed(ctx, err)
	}
	stop := c.link.closeWith(ctx)
	value, err := c.client.Do(ctx, cmd...).Result()
	ended := !stop()
	if errors.Is(err, redis.Nil) {
		value, err = nil, nil
	}
	var answered redis.Error
	if errors.As(err, &answered) {
		return runtime.Response{Error: err.Error(), ErrorCode: redisCode(answered.Error()), Body: answered.Error()}
	}
	if err != nil || ended {
		c.close()
		delete(s.conns, login)
	}
	if err != nil {
		return failed(ctx, err)
	}
	resp := runtime.Response{OK: true, Data: redisValue(value)}
	if one, ok := text(resp.Data); ok {
		resp.Body = one
	} else if resp.Data != nil {
		resp.Body, _ = encodeJSON(resp.Data)
	}
	return resp
}

// conn returns the login's connection, a new one if it has none that lives. Its
// client will make no other; the handshake happens with the first command.
func (s *redisSession) conn(ctx context.Context, login redisLogin) (*redisConn, error) {
	if c := s.conns[login]; c != nil {
		if alive, first := c.link.idle(); alive && (first == 0 || first == '>') { // a push may wait, nothing else
			return c, nil
		}
		c.close()
		delete(s.conns, login)
	}
	l, err := connect(ctx, s.e, true)
	if err != nil {
		return nil, err
	}
	used := false
	client := redis.NewClient(&redis.Options{
		Addr:     s.e.Addr,
		Username: login.user,
		Password: login.password,
		Dialer: func(context.Context, string, string) (net.Conn, error) {
			if used {
				return nil, net.ErrClosed
			}
			used = true
			return l, nil
		},
		MaxRetries:               -1,
		DialerRetries:            1,
		PoolSize:                 1,
		PipelinePoolSize:         -1,
		ReadTimeout:              -1,
		WriteTimeout:             -1,
		ConnMaxIdleTime:          -1,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	s.conns[login] = &redisConn{l, client}
	return s.conns[login], nil
}

// redisStreams are commands whose replies do not come one for one.
var redisStreams = map[string]bool{
	"SUBSCRIBE": true, "PSUBSCRIBE": true, "SSUBSCRIBE": true, "UNSUBSCRIBE": true, "PUNSUBSCRIBE": true, "SUNSUBSCRIBE": true,
	"MONITOR": true, "SYNC": true, "PSYNC": true, "HELLO": true,
}

// redisCommand turns a step into the words of a command.
func redisCommand(method string, args runtime.Args) ([]any, error) {
	if method == "command" {
		var cmd []any
		for _, word := range strings.Fields(args.Str("cmd")) {
			cmd = append(cmd, word)
		}
		if len(cmd) == 0 {
			return nil, misused("send a command: cmd is empty")
		}
		name := strings.ToUpper(cmd[0].(string))
		if redisStreams[name] || name == "CLIENT" && len(cmd) > 1 && strings.EqualFold(cmd[1].(string), "REPLY") {
			return nil, misused("send %s: it has no single reply, so it cannot be a step", name)
		}
		rest, _ := args["args"].([]any)
		return redisWords(cmd, rest...)
	}
	cmd := []any{strings.ToUpper(method)}
	switch method {
	case "ping":
		return cmd, nil
	case "keys":
		return append(cmd, args.Str("pattern")), nil
	case "lrange":
		return append(cmd, args.Str("key"), args.Int("start"), args.Int("stop")), nil
	case "set":
		return redisWords(cmd, args.Str("key"), args["value"])
	case "lpush", "rpush":
		values, many := args["value"].([]any)
		if !many {
			values = []any{args["value"]}
		}
		return redisWords(append(cmd, args.Str("key")), values...)
	}
	return append(cmd, args.Str("key")), nil
}

// redisWords appends scalars to a command.
func redisWords(cmd []any, values ...any) ([]any, error) {
	for _, v := range values {
		word, ok := text(v)
		if !ok {
			return nil, misused("send %s: an argument is a string, number or bool, not %s", cmd[0], kindOf(v))
		}
		cmd = append(cmd, word)
	}
	return cmd, nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case []any:
		return "a list"
	case map[string]any:
		return "a dict"
	}
	return fmt.Sprintf("%T", v)
}

// redisCode is the word that an error begins with: WRONGTYPE, OOM, ERR.
func redisCode(msg string) string {
	word, _, _ := strings.Cut(msg, " ")
	if word == "" || strings.ToUpper(word) != word {
		return "ERR"
	}
	return word
}

// redisValue turns a reply into the values that a spec knows.
func redisValue(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = redisValue(v[i])
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			m[fmt.Sprint(key)] = redisValue(value)
		}
		return m
	case *big.Int:
		return v.String()
	case error:
		return v.Error()
	case float64:
		return number(fmt.Sprint(v))
	}
	return v
}
