package drivers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/redis"
)

func redisError(message, code string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message, Code: code}}
}

func redisValue(v any) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: v}}
}

// after has a fault strike when the server has done its work.
func after(f intercept.Fault) intercept.Fault { f.When = intercept.After; return f }

// goRedisFaults says what go-redis sees of each fault, in both versions of RESP.
var goRedisFaults = []struct {
	name   string
	match  []string
	fault  intercept.Fault
	do     func(ctx context.Context, c *goredis.Client) any
	want   any            // what do returns, in RESP2 and RESP3
	server map[string]any // GET of keys afterwards
	event  intercept.Outcome
}{
	{"error before", []string{"command", "set", "key", "k*"}, redisError("disk full", ""),
		func(ctx context.Context, c *goredis.Client) any { return c.Set(ctx, "k", 1, 0).Err().Error() },
		"ERR disk full", map[string]any{"k": nil}, intercept.Replaced},
	{"error after", []string{"command", "SET"}, after(redisError("", "READONLY")),
		func(ctx context.Context, c *goredis.Client) any { return c.Set(ctx, "k", 1, 0).Err().Error() },
		"READONLY You can't write against a read only replica.", map[string]any{"k": "1"}, intercept.Replaced},
	{"nil", []string{"command", "GET"}, redisValue(nil),
		func(ctx context.Context, c *goredis.Client) any {
			c.Set(ctx, "k", 1, 0)
			return c.Get(ctx, "k").Err()
		}, goredis.Nil, map[string]any{"k": "1"}, intercept.Replaced},
	{"nil of a blocking command", []string{"command", "BLPOP"}, redisValue(nil),
		func(ctx context.Context, c *goredis.Client) any { return c.BLPop(ctx, time.Second, "l").Err() },
		goredis.Nil, nil, intercept.Replaced},
	{"nil of a map", []string{"command", "HGETALL"}, redisValue(nil),
		func(ctx context.Context, c *goredis.Client) any { return c.HGetAll(ctx, "l").Val() },
		map[string]string{}, nil, intercept.Replaced},
	{"a map", []string{"command", "HGETALL"}, redisValue(map[string]any{"a": "1", "b": int64(2)}),
		func(ctx context.Context, c *goredis.Client) any { return c.HGetAll(ctx, "l").Val() },
		map[string]string{"a": "1", "b": "2"}, nil, intercept.Replaced},
	{"a list", []string{"command", "LRANGE"}, redisValue([]any{"x", int64(7)}),
		func(ctx context.Context, c *goredis.Client) any { return c.LRange(ctx, "l", 0, -1).Val() },
		[]string{"x", "7"}, nil, intercept.Replaced},
	{"a float", []string{"command", "ZSCORE"}, redisValue(1.25),
		func(ctx context.Context, c *goredis.Client) any { return c.ZScore(ctx, "l", "x").Val() },
		1.25, nil, intercept.Replaced},
	{"any key of many", []string{"key", "secret"}, redisError("NOPERM no", ""),
		func(ctx context.Context, c *goredis.Client) any { return c.MGet(ctx, "a", "secret").Err().Error() },
		"NOPERM no", nil, intercept.Replaced},
	{"a subcommand", []string{"command", "config get"}, redisError("no", ""),
		func(ctx context.Context, c *goredis.Client) any {
			return []any{c.ConfigGet(ctx, "save").Err().Error(), c.ConfigSet(ctx, "slowlog-max-len", "128").Err()}
		}, []any{"ERR no", nil}, nil, intercept.Replaced},
	{"twice", []string{"command", "INCR"}, intercept.Fault{Do: intercept.Twice},
		func(ctx context.Context, c *goredis.Client) any {
			return []any{c.Incr(ctx, "k").Val(), c.Get(ctx, "k").Val()}
		}, []any{int64(1), "2"}, map[string]any{"k": "2"}, intercept.Doubled},
	{"in the middle of a pipeline", []string{"key", "bad"}, redisError("OOM", ""),
		func(ctx context.Context, c *goredis.Client) any {
			cmds, _ := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
				p.Set(ctx, "k", "1", 0)
				p.Set(ctx, "bad", "1", 0)
				p.Incr(ctx, "k")
				return nil
			})
			return fmt.Sprint(cmds)
		}, "[set k 1: OK set bad 1: OOM incr k: 2]", map[string]any{"k": "2", "bad": nil}, intercept.Replaced},
	{"close before", []string{"command", "SET"}, intercept.Fault{Do: intercept.Close},
		func(ctx context.Context, c *goredis.Client) any { return c.Set(ctx, "k", 1, 0).Err() },
		io.EOF, map[string]any{"k": nil}, intercept.Dropped},
	{"close after", []string{"command", "SET"}, after(intercept.Fault{Do: intercept.Close}),
		func(ctx context.Context, c *goredis.Client) any { return c.Set(ctx, "k", 1, 0).Err() },
		io.EOF, map[string]any{"k": "1"}, intercept.Dropped},
	{"cut", []string{"command", "GET"}, intercept.Fault{Do: intercept.Cut, Bytes: 8},
		func(ctx context.Context, c *goredis.Client) any {
			c.Set(ctx, "k", "0123456789", 0)
			return c.Get(ctx, "k").Err()
		}, io.ErrUnexpectedEOF, nil, intercept.WasCut},
	{"transaction: error on a queued command", []string{"key", "bad"}, redisError("disk full", ""),
		func(ctx context.Context, c *goredis.Client) any {
			cmds, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
				p.Set(ctx, "k", "1", 0)
				p.Set(ctx, "bad", "1", 0)
				return nil
			})
			return fmt.Sprint(cmds, err)
		}, "[set k 1: EXECABORT Transaction discarded because of previous errors. set bad 1: ERR disk full] EXECABORT Transaction discarded because of previous errors.", map[string]any{"k": nil, "bad": nil}, intercept.Replaced},
	{"transaction: value for a queued command", []string{"command", "GET"}, redisValue("other"),
		func(ctx context.Context, c *goredis.Client) any {
			cmds, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
				p.Set(ctx, "k", "1", 0)
				p.Get(ctx, "k")
				return nil
			})
			return fmt.Sprint(cmds, err)
		}, "[set k 1: OK get k: other] <nil>", map[string]any{"k": "1"}, intercept.Replaced},
	{"transaction: after a queued command", []string{"command", "INCR"}, after(redisError("OOM", "")),
		func(ctx context.Context, c *goredis.Client) any {
			cmds, _ := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
				p.Incr(ctx, "k")
				p.Get(ctx, "k")
				return nil
			})
			return fmt.Sprint(cmds)
		}, "[incr k: OOM get k: 1]", map[string]any{"k": "1"}, intercept.Replaced},
	{"transaction: twice", []string{"command", "INCR"}, intercept.Fault{Do: intercept.Twice},
		func(ctx context.Context, c *goredis.Client) any {
			cmds, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
				p.Incr(ctx, "k")
				p.Get(ctx, "k")
				return nil
			})
			return fmt.Sprint(cmds, err)
		}, "[incr k: 1 get k: 2] <nil>", map[string]any{"k": "2"}, intercept.Doubled},
	{"transaction: EXEC is refused", []string{"command", "EXEC"}, redisError("NOREPLICAS", ""),
		func(ctx context.Context, c *goredis.Client) any {
			_, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error { return p.Set(ctx, "k", "1", 0).Err() })
			return []any{err.Error(), c.Set(ctx, "later", 1, 0).Err()}
		}, []any{"NOREPLICAS", nil}, map[string]any{"k": nil, "later": "1"}, intercept.Replaced},
	{"transaction: EXEC is nil", []string{"command", "EXEC"}, redisValue(nil),
		func(ctx context.Context, c *goredis.Client) any {
			_, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error { return p.Set(ctx, "k", "1", 0).Err() })
			return err
		}, goredis.TxFailedErr, map[string]any{"k": nil}, intercept.Replaced},
	{"delay", []string{"command", "PING"}, intercept.Fault{Delay: 50 * time.Millisecond},
		func(ctx context.Context, c *goredis.Client) any {
			start := time.Now()
			err := c.Ping(ctx).Err()
			return []any{time.Since(start) >= 50*time.Millisecond, err}
		}, []any{true, nil}, nil, intercept.Answered},
	{"a message is changed", []string{"command", "message"}, redisValue("other"),
		func(ctx context.Context, c *goredis.Client) any {
			sub := c.Subscribe(ctx, "ch")
			defer sub.Close()
			sub.Receive(ctx)
			c.Publish(ctx, "ch", "hello")
			m, err := sub.ReceiveMessage(ctx)
			return fmt.Sprint(m, err)
		}, "Message<ch: other> <nil>", nil, intercept.Replaced},
	{"SUBSCRIBE is refused", []string{"command", "SUBSCRIBE", "key", "ch"}, redisError("NOPERM", ""),
		func(ctx context.Context, c *goredis.Client) any {
			sub := c.Subscribe(ctx, "ch")
			defer sub.Close()
			_, err := sub.Receive(ctx)
			return err.Error()
		}, "NOPERM", nil, intercept.Replaced},
}

func TestGoRedisFaults(t *testing.T) { EachRedis(t, testGoRedisFaults) }

func testGoRedisFaults(t *testing.T, server string) {
	for _, c := range goRedisFaults {
		for _, version := range []int{2, 3} {
			t.Run(fmt.Sprint(c.name, "/RESP", version), func(t *testing.T) {
				Struck(t, redis.Protocol, server, fmt.Sprint("go-redis, RESP", version), c.name)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				direct := goRedis(t, server, 3)
				direct.FlushAll(ctx)
				addr, log := Front(t, redis.Protocol, server, intercept.Rule{Match: Match(t, redis.Protocol, c.match...), Fault: c.fault})
				got := c.do(ctx, goRedis(t, addr, version))
				if err, ok := got.(error); ok && errors.Is(err, c.want.(error)) {
					got = c.want
				}
				if !reflect.DeepEqual(got, c.want) {
					t.Errorf("the client saw %#v and not %#v", got, c.want)
				}
				for key, want := range c.server {
					if got := direct.Do(ctx, "GET", key).Val(); got != want {
						t.Errorf("the server has %s = %v and not %v", key, got, want)
					}
				}
				log.Wait(t, "that the rule acted on", func(ev *intercept.Event) bool {
					return len(ev.Rules) > 0 && ev.Outcome == c.event
				})
				if a := log.Tally()[0]; a.Acted() == 0 {
					t.Errorf("matched %d, fired %d, acted on %d", a.Matched(), a.Fired(), a.Acted())
				}
				if notes := log.Notes(); len(notes) > 0 {
					t.Errorf("notes: %q", notes)
				}
			})
		}
	}
}

func TestNodeRedisFaults(t *testing.T) {
	modules := npm(t, "redis", "ioredis", "redis")
	server := Redis(t)
	for _, client := range []string{"ioredis", "node-redis"} {
		Struck(t, redis.Protocol, server, client, "error", "a map", "a message is changed", "error on a queued command")
	}
	addr, _ := Front(t, redis.Protocol, server,
		intercept.Rule{Match: Match(t, redis.Protocol, "command", "LPUSH"), Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "LOADING wait"}}},
		intercept.Rule{Match: Match(t, redis.Protocol, "command", "HGETALL"), Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: map[string]any{"x": "y"}}}},
		intercept.Rule{Match: Match(t, redis.Protocol, "command", "pmessage"), Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: "changed"}}})
	host, port, _ := net.SplitHostPort(addr)
	for _, version := range []string{"2", "3"} {
		got := node(t, modules, nodeScript, host, port, version)
		for line, times := range map[string]int{
			`["LOADING wait"]`:     2,
			`[{"x":"y"}]`:          2,
			`["px","changed"]`:     1,
			`["x","first"]`:        1,
			`["redis","anything"]`: 0,
		} {
			if n := countLines(got, line); n != times {
				t.Errorf("%s is there %d times and not %d, among %d lines", line, n, times, len(got))
			}
		}
		// ioredis: the transaction aborts, and says why.
		if !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "EXECABORT") }) {
			t.Errorf("no EXECABORT in %.2000s", got)
		}
	}
}

func countLines(lines []string, line string) (n int) {
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}
