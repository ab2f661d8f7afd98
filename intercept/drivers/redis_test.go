package drivers

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/redis"
)

// never is an armed rule that matches nothing that these tests do.
func never(t testing.TB, p *protocols.Protocol, field string) intercept.Rule {
	return intercept.Rule{Match: Match(t, p, field, "no such thing"), Fault: intercept.Fault{Do: intercept.Reset}}
}

func goRedis(t testing.TB, addr string, version int) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{
		Addr: addr, Protocol: version, MaxRetries: -1, PoolSize: 2, DisableIdentity: true, ReadTimeout: 20 * time.Second,
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// goRedisWork does a bit of everything and tells what it saw.
func goRedisWork(t testing.TB, c *goredis.Client) (saw []string) {
	ctx := t.Context()
	tell := func(cmds ...goredis.Cmder) {
		for _, cmd := range cmds {
			saw = append(saw, cmd.String())
		}
	}
	tell(c.FlushAll(ctx), c.Set(ctx, "a", "1", 0), c.Get(ctx, "a"), c.Get(ctx, "none"), c.MSet(ctx, "b", 2, "c", 3),
		c.MGet(ctx, "a", "b", "none"), c.LPush(ctx, "a", "x"), c.RPush(ctx, "l", 1, 2, 3), c.LRange(ctx, "l", 0, -1),
		c.HSet(ctx, "h", "f", "v", "g", "w"), c.HGetAll(ctx, "h"), c.ZAdd(ctx, "z", goredis.Z{Score: 1.5, Member: "m"}),
		c.ZRangeWithScores(ctx, "z", 0, -1), c.SAdd(ctx, "s", "e"), c.SMembers(ctx, "s"), c.ConfigGet(ctx, "maxmemory"),
		c.Eval(ctx, "return {1, {2, ARGV[1]}, redis.call('GET', KEYS[1])}", []string{"a"}, "x"), c.Do(ctx, "no-such-command"),
		c.XAdd(ctx, &goredis.XAddArgs{Stream: "st", ID: "1-1", Values: []string{"f", "v"}}),
		c.XRead(ctx, &goredis.XReadArgs{Streams: []string{"st", "0"}}), c.BLPop(ctx, time.Second, "none"),
		c.IncrByFloat(ctx, "fl", 0.5), c.Echo(ctx, "message"))

	large := strings.Repeat("0123456789abcdef", 200_000)
	c.Set(ctx, "large", large, 0)
	got, err := c.Get(ctx, "large").Result()
	saw = append(saw, fmt.Sprint("large value is the same: ", got == large, err))

	pipe, err := c.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i := range 10_000 {
			p.Incr(ctx, "n")
			if i%1000 == 0 {
				p.LPush(ctx, "a", "wrong type")
			}
		}
		return nil
	})
	saw = append(saw, fmt.Sprint(len(pipe), err))
	tell(pipe...)

	tx, err := c.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.Incr(ctx, "n")
		p.LPush(ctx, "a", "wrong type")
		p.HGetAll(ctx, "h")
		return nil
	})
	saw = append(saw, fmt.Sprint(err))
	tell(tx...)
	err = c.Watch(ctx, func(tx *goredis.Tx) error {
		c.Set(ctx, "a", "changed", 0)
		_, err := tx.TxPipelined(ctx, func(p goredis.Pipeliner) error { return p.Get(ctx, "a").Err() })
		return err
	}, "a")
	saw = append(saw, fmt.Sprint("watch: ", err))
	return append(saw, goRedisSubscribe(t, c)...)
}

func goRedisSubscribe(t testing.TB, c *goredis.Client) (saw []string) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	sub := c.Subscribe(ctx, "ch1", "ch2")
	defer sub.Close()
	receive := func(n int) {
		for range n {
			m, err := sub.Receive(ctx)
			saw = append(saw, fmt.Sprint(m, err))
		}
	}
	receive(2)
	sub.PSubscribe(ctx, "p*")
	receive(1)
	for i := range 3 {
		c.Publish(ctx, "ch1", fmt.Sprint(i))
		c.Publish(ctx, "pattern", fmt.Sprint(i))
	}
	receive(6)
	sub.Ping(ctx, "are you there")
	receive(1)
	sub.Unsubscribe(ctx)
	receive(2)
	sub.PUnsubscribe(ctx, "p*")
	receive(1)
	return saw
}

func TestGoRedisUntouched(t *testing.T) {
	EachRedis(t, func(t *testing.T, server string) {
		for _, version := range []int{2, 3} {
			t.Run(fmt.Sprint("RESP", version), func(t *testing.T) {
				Compared(t, redis.Protocol, server, fmt.Sprint("go-redis, RESP", version), "commands of every kind", "values of 3 MB", "a pipeline of 10,000",
					"MULTI/EXEC, WATCH", "SUBSCRIBE, PSUBSCRIBE", "blocking commands, streams, scripts", "errors")
				want := goRedisWork(t, goRedis(t, server, version))
				addr, log := Front(t, redis.Protocol, server, never(t, redis.Protocol, "key"))
				got := goRedisWork(t, goRedis(t, addr, version))
				equalLines(t, want, got)
				log.Wait(t, "of a message", func(ev *intercept.Event) bool { return ev.Op == "pmessage" && ev.Key == "pattern" })
				if notes := log.Notes(); len(notes) > 0 {
					t.Errorf("notes: %q", notes)
				}
				if n := len(log.Some(10_000)); n < 10_000 {
					t.Errorf("%d events", n)
				}
			})
		}
	})
}

// equalLines compares what was seen directly with what was seen through an edge.
func equalLines(t testing.TB, direct, armed []string) {
	t.Helper()
	if len(direct) != len(armed) {
		t.Errorf("directly %d lines, armed %d", len(direct), len(armed))
	}
	for i := range min(len(direct), len(armed)) {
		if direct[i] != armed[i] {
			t.Errorf("directly\n\t%.300s\nbut armed\n\t%.300s", direct[i], armed[i])
		}
	}
}

func TestRedisCLIUntouched(t *testing.T) { EachRedis(t, redisCLIUntouched) }

func redisCLIUntouched(t *testing.T, server string) {
	Compared(t, redis.Protocol, server, "redis-cli", "RESP2 and RESP3, every type", "client-side caching (push)", "bulk load (--pipe)", "errors in MULTI", "RESET")
	cli := lookPath(t, "redis-cli", "redis-tools")
	addr, log := Front(t, redis.Protocol, server, never(t, redis.Protocol, "key"))
	script := "FLUSHALL\nSET a 1\nGET a\nLPUSH a 1\nHSET h f v g w\nHGETALL h\nMULTI\nINCR a\nLPUSH a 1\nEXEC\nMULTI\nNOSUCH\nEXEC\n" +
		"MULTI\nDISCARD\nRESET\nCONFIG GET maxmemory\nCLIENT REPLY ON\nDEBUG SLEEP 0\nDEBUG PROTOCOL string\nDEBUG PROTOCOL attrib\n" +
		"DEBUG PROTOCOL map\nDEBUG PROTOCOL set\nDEBUG PROTOCOL double\nDEBUG PROTOCOL null\nDEBUG PROTOCOL bignum\n" +
		"DEBUG PROTOCOL verbatim\nDEBUG PROTOCOL true\nDEBUG PROTOCOL array\nDEBUG PROTOCOL error\nCOMMAND DOCS GET\nOBJECT ENCODING a\n" +
		"CLIENT TRACKING ON\nGET a\nSET a 2\nPING\nHGETALL h\n"
	run := func(addr string, args ...string) []string {
		host, port, _ := net.SplitHostPort(addr)
		cmd := exec.Command(cli, append([]string{"-h", host, "-p", port}, args...)...)
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("redis-cli: %v\n%s", err, out)
		}
		return strings.Split(string(out), "\n")
	}
	for _, version := range []string{"-2", "-3"} {
		equalLines(t, run(server, version), run(addr, version))
	}
	// A bulk load, as redis-cli --pipe does it.
	script = strings.Repeat("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\nv\r\nv\r\n", 20_000)
	equalLines(t, run(server, "--pipe"), run(addr, "--pipe"))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

func TestRedisBenchmarkUntouched(t *testing.T) {
	bench := lookPath(t, "redis-benchmark", "redis-tools")
	server := Redis(t)
	Compared(t, redis.Protocol, server, "redis-benchmark", "inline commands", "load without an error, pipelines of 1 and 16")
	addr, log := Front(t, redis.Protocol, server, never(t, redis.Protocol, "key"))
	host, port, _ := net.SplitHostPort(addr)
	for _, pipeline := range []string{"1", "16"} {
		out, err := exec.Command(bench, "-h", host, "-p", port, "-P", pipeline, "-n", "5000", "-c", "20", "-r", "1000", "--csv",
			"-t", "ping_inline,ping,set,get,incr,lpush,rpush,lpop,sadd,hset,spop,zadd,zpopmin,lrange_100,mset").CombinedOutput()
		if err != nil || strings.Contains(strings.ToLower(string(out)), "error") {
			t.Errorf("redis-benchmark -P %s: %v\n%s", pipeline, err, out)
		}
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// rawRedis talks RESP2 by hand, and says hello 3 if asked to.
func rawRedis(t testing.TB, addr string) (say func(string), hear func(string)) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	r := bufio.NewReader(c)
	say = func(s string) {
		t.Helper()
		if _, err := io.WriteString(c, s); err != nil {
			t.Fatal(err)
		}
	}
	hear = func(want string) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		got := make([]byte, len(want))
		if n, err := io.ReadFull(r, got); string(got[:n]) != want {
			t.Fatalf("heard %q (%v) and not %q", got[:n], err, want)
		}
	}
	return say, hear
}

// TestRedisReplyModes holds the codec's notion of CLIENT REPLY, RESET and
// MONITOR against a real server.
func TestRedisReplyModes(t *testing.T) {
	server := Redis(t)
	Struck(t, redis.Protocol, server, "raw", "CLIENT REPLY OFF and SKIP", "MONITOR", "RESET")
	addr, log := Front(t, redis.Protocol, server,
		intercept.Rule{Match: Match(t, redis.Protocol, "key", "broken"), Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: "OOM no"}}})
	say, hear := rawRedis(t, addr)
	say("CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n")
	hear("$1\r\n1\r\n")
	say("CLIENT REPLY SKIP\r\nSET broken 1\r\nSET broken 1\r\nGET a\r\n")
	hear("-OOM no\r\n$1\r\n1\r\n")
	say("CLIENT REPLY SKIP\r\nNOSUCH\r\nCLIENT REPLY OFF\r\nSET broken 1\r\nMULTI\r\nINCR a\r\nEXEC\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY ON\r\nGET a\r\n")
	hear("+OK\r\n$1\r\n2\r\n")
	say("CLIENT REPLY OFF\r\nSUBSCRIBE c\r\nUNSUBSCRIBE\r\nRESET\r\nSET broken 1\r\n")
	hear("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n+RESET\r\n-OOM no\r\n")
	say("MONITOR\r\n")
	hear("+OK\r\n")
	watch, _ := rawRedis(t, addr)
	watch("SET seen 1\r\n")
	log.Wait(t, "of MONITOR", func(ev *intercept.Event) bool { return ev.Op == "monitor" })
	say2, hear2 := rawRedis(t, addr)
	say2("GET broken\r\nEXISTS broken\r\n")
	hear2("-OOM no\r\n-OOM no\r\n")
}

// TestRedisNilForms: response(…) without a value is what the server itself
// answers when there is nothing.
func TestRedisNilForms(t *testing.T) { EachRedis(t, redisNilForms) }

func redisNilForms(t *testing.T, server string) {
	Struck(t, redis.Protocol, server, "raw", "nothing, in the form of 51 commands, RESP2 and RESP3")
	addr, _ := Front(t, redis.Protocol, server,
		intercept.Rule{Match: Match(t, redis.Protocol, "key", "nil*"), Fault: intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{}}})
	for _, command := range []string{
		"GET nil", "GETDEL nil", "HGET nil f", "LINDEX nil 0", "LPOP nil", "LPOP nil 2", "RPOP nil", "RPOP nil 1", "ZSCORE nil m", "ZRANK nil m",
		"MGET nil1 nil2 nil3", "HMGET nil f g", "ZMSCORE nil a b", "GEOPOS nil a b", "GEOHASH nil a", "GEODIST nil a b",
		"LRANGE nil 0 1", "SMEMBERS nil", "SINTER nil nil2", "SUNION nil", "SDIFF nil", "HGETALL nil", "HKEYS nil", "HVALS nil",
		"ZRANGE nil 0 1", "ZREVRANGE nil 0 1", "ZRANGEBYSCORE nil 0 1", "ZPOPMIN nil", "ZPOPMAX nil", "XRANGE nil - +", "XREVRANGE nil + -", "SORT nil",
		"XREAD STREAMS nil 0", "BLPOP nil 0.01", "BRPOP nil nil2 0.01", "BLMOVE nil nil2 LEFT RIGHT 0.01", "BZPOPMIN nil 0.01",
		"LMPOP 1 nil LEFT", "ZMPOP 1 nil MIN", "BLMPOP 0.01 1 nil LEFT", "LMOVE nil nil2 LEFT RIGHT", "RPOPLPUSH nil nil2",
		"SRANDMEMBER nil", "SRANDMEMBER nil 2", "HRANDFIELD nil", "HRANDFIELD nil 2", "ZRANDMEMBER nil", "ZRANDMEMBER nil 2", "SPOP nil", "LPOS nil x", "ZINTER 1 nil",
		"GEOSEARCH nil FROMLONLAT 0 0 BYRADIUS 1 m",
	} {
		for _, version := range []string{"2", "3"} {
			answer := func(addr string) string {
				c, err := net.Dial("tcp", addr)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				fmt.Fprintf(c, "HELLO %s\r\nECHO begin\r\n%s\r\nQUIT\r\n", version, command)
				b, _ := io.ReadAll(c)
				_, b, _ = bytes.Cut(b, []byte("begin\r\n"))
				return string(b)
			}
			if want, got := answer(server), answer(addr); got != want {
				t.Errorf("%s, RESP%s: %q and not %q", command, version, got, want)
			}
		}
	}
}

// TestRedisReplication lets a replica follow its master through the edge.
func TestRedisReplication(t *testing.T) {
	master := Redis(t)
	Compared(t, redis.Protocol, master, "redis-server as a replica", "replication")
	addr, log := Front(t, redis.Protocol, master, never(t, redis.Protocol, "key"))
	host, port, _ := net.SplitHostPort(addr)
	ctx := t.Context()
	m := goRedis(t, master, 3)
	m.Set(ctx, "before", strings.Repeat("x", 300_000), 0)
	replica := goRedis(t, Redis(t, "--replicaof", host, port), 3)
	for _, key := range []string{"before", "after"} {
		if key == "after" {
			m.Set(ctx, key, "y", 0)
		}
		for deadline := time.Now().Add(20 * time.Second); replica.Exists(ctx, key).Val() == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the replica has no key %q; notes %q", key, log.Notes())
			}
		}
	}
	if n := m.Do(ctx, "WAIT", 1, 5000).Val(); n != int64(1) {
		t.Errorf("%v replicas acknowledge", n)
	}
}
