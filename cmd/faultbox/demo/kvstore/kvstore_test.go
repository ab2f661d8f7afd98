package kvstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// serve runs a store until the test ends and returns its address.
func serve(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

func TestGoRedis(t *testing.T) {
	addr := serve(t)
	for _, proto := range []int{2, 3} {
		t.Run("RESP"+strconv.Itoa(proto), func(t *testing.T) {
			c := redis.NewClient(&redis.Options{Addr: addr, Protocol: proto, ClientName: "test"})
			defer c.Close()
			ctx := context.Background()
			if err := c.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			if err := c.Get(ctx, "a").Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("GET of an absent key: %v, want redis.Nil", err)
			}
			if err := c.Set(ctx, "a", "one\r\ntwo", time.Hour).Err(); err != nil {
				t.Error(err)
			}
			if v, err := c.Get(ctx, "a").Result(); v != "one\r\ntwo" || err != nil {
				t.Errorf("GET: %q, %v", v, err)
			}
			if d, err := c.TTL(ctx, "a").Result(); d != time.Hour || err != nil {
				t.Errorf("TTL: %v, %v", d, err)
			}
			if err := c.SetArgs(ctx, "a", "x", redis.SetArgs{Mode: "NX"}).Err(); !errors.Is(err, redis.Nil) {
				t.Errorf("SET NX of a present key: %v, want redis.Nil", err)
			}
			if n, err := c.Incr(ctx, "n").Result(); n != 1 || err != nil {
				t.Errorf("INCR: %d, %v", n, err)
			}
			if err := c.Incr(ctx, "a").Err(); err == nil || !strings.Contains(err.Error(), "not an integer") {
				t.Errorf("INCR of text: %v", err)
			}
			if n, err := c.DBSize(ctx).Result(); n != 2 || err != nil {
				t.Errorf("DBSIZE: %d, %v", n, err)
			}
			if n, err := c.Del(ctx, "a", "n", "z").Result(); n != 2 || err != nil {
				t.Errorf("DEL: %d, %v", n, err)
			}
			if s, err := c.Info(ctx).Result(); !strings.Contains(s, "redis_version") || err != nil {
				t.Errorf("INFO: %q, %v", s, err)
			}
			if err := c.LPush(ctx, "l", 1).Err(); err == nil || !strings.Contains(err.Error(), "unknown command") {
				t.Errorf("LPUSH, which the store lacks: %v", err)
			}
		})
	}
}

func TestGoRedisPipeline(t *testing.T) {
	c := redis.NewClient(&redis.Options{Addr: serve(t)})
	defer c.Close()
	ctx := context.Background()
	results, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 10_000 {
			p.Incr(ctx, "n")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if n := r.(*redis.IntCmd).Val(); n != int64(i+1) {
			t.Fatalf("answer %d of the pipeline is %d", i+1, n)
		}
	}
}

func TestExpiry(t *testing.T) {
	d := newData()
	d.values["soon"] = entry{value: "x", expires: time.Now().Add(-time.Millisecond)}
	d.values["never"] = entry{value: "x"}
	d.do(func(now time.Time) {
		if _, ok := d.get("soon", now); ok {
			t.Error("an expired key is still there")
		}
		if _, ok := d.get("never", now); !ok {
			t.Error("a key without expiry is gone")
		}
	})
	d.values["soon"] = entry{value: "x", expires: time.Now().Add(-time.Millisecond)}
	d.sweep(time.Now())
	if len(d.values) != 1 {
		t.Errorf("%d keys after a sweep, want 1", len(d.values))
	}
}

func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (apt-get install redis-tools)")
	}
	host, port, _ := net.SplitHostPort(serve(t))
	for _, c := range []struct {
		args string
		want string
	}{
		{"PING", "PONG"},
		{"SET k v EX 100", "OK"},
		{"GET k", "v"},
		{"-3 GET absent", ""},
		{"SET k v EX", "ERR syntax error"},
		{"SET k v EX 0", "ERR invalid expire time in 'set' command"},
		{"GET", "ERR wrong number of arguments for 'get' command"},
		{"EXISTS k k absent", "2"},
		{"-3 NOSUCH a", "ERR unknown command 'NOSUCH', with args beginning with: 'a'"},
		{"INCRBY n 9223372036854775807", "9223372036854775807"},
		{"INCR n", "ERR increment or decrement would overflow"},
		{"PEXPIRE k 0", "1"},
		{"TTL k", "-2"},
	} {
		args := append([]string{"-h", host, "-p", port}, strings.Fields(c.args)...)
		out, err := exec.Command(cli, args...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("redis-cli %s: %q, %v; want %q", c.args, got, err, c.want)
		}
	}
}

func TestRawConversations(t *testing.T) {
	addr := serve(t)
	for _, c := range []struct{ name, send, want string }{
		{"inline", "PING\r\n", "+PONG\r\n"},
		{"inline LF, blank line first", "\r\nPING\n", "+PONG\r\n"},
		{"null by version", "GET x\r\nHELLO 3\r\nGET x\r\n", "_\r\n"},
		{"bad version", "HELLO 4\r\n", "-NOPROTO unsupported protocol version\r\n"},
		{"not a bulk string", "*1\r\n:1\r\n", "-ERR Protocol error: expected '$', got ':'\r\n"},
		{"huge count", "*99999999\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
		{"negative bulk", "*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"huge bulk", "*1\r\n$999999999999\r\n", "-ERR Protocol error: invalid bulk length\r\n"},
		{"endless line", strings.Repeat("x", maxInline), "-ERR Protocol error: too big inline request\r\n"},
		{"quit", "QUIT\r\nPING\r\n", "+OK\r\n"},
	} {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			io.WriteString(conn, c.send)
			conn.(*net.TCPConn).CloseWrite()
		}()
		got, _ := io.ReadAll(conn)
		conn.Close()
		if !strings.HasSuffix(string(got), c.want) {
			t.Errorf("%s: got %q, want it to end in %q", c.name, got, c.want)
		}
	}
}

// A client may wait for one answer in the middle of its next command.
func TestAnswerBeforeNextCommandIsWhole(t *testing.T) {
	conn, err := net.Dial("tcp", serve(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "PING\r\n*2\r\n$3\r\nGE")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if line != "+PONG\r\n" || err != nil {
		t.Errorf("got %q, %v", line, err)
	}
}

func FuzzReadCommand(f *testing.F) {
	for _, s := range []string{"PING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "*1\r\n$-1\r\n", "*-1\r\n", "*1048576\r\n", "\n", "*1\r\n$5\r\nab"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(in), maxInline)
		for {
			args, err := readCommand(r)
			if err != nil {
				return
			}
			size := 0
			for _, a := range args {
				size += len(a)
			}
			if size > len(in) {
				t.Fatalf("%d bytes of arguments from %d bytes", size, len(in))
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	c := redis.NewClient(&redis.Options{Addr: serve(b)})
	defer c.Close()
	ctx := context.Background()
	c.Set(ctx, "k", "v", 0)
	for b.Loop() {
		if err := c.Get(ctx, "k").Err(); err != nil {
			b.Fatal(err)
		}
	}
}
