package drivers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/redis"
)

// TestRedisKeys: the keys that rules are matched against are those that the
// server itself finds in a command.
func TestRedisKeys(t *testing.T) { EachRedis(t, redisKeys) }

func redisKeys(t *testing.T, server string) {
	Struck(t, redis.Protocol, server, "raw", "every key of every command")
	direct := goRedis(t, server, 3)
	infos, err := direct.Command(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	// Commands whose keys depend on what else they are told.
	lines := []string{"EVAL s 2 k1 k2 a", "EVALSHA s 1 k1 a b", "EVAL_RO s 0 a", "FCALL f 2 k1 k2", "XREAD COUNT 1 BLOCK 1 STREAMS k1 k2 0 0", "XREADGROUP GROUP g c NOACK STREAMS k1 >",
		"SORT k1 BY w LIMIT 0 1 STORE k2", "SORT k1", "GEORADIUS k1 0 0 1 m STORE k2", "GEORADIUS k1 0 0 1 m STOREDIST k2", "GEORADIUSBYMEMBER k1 m 1 m", "MIGRATE h 1 k1 0 1", "MIGRATE h 1 \"\" 0 1 KEYS k1 k2",
		"ZUNIONSTORE k1 2 k2 k3 WEIGHTS 1 2", "ZDIFF 2 k1 k2", "SINTERCARD 2 k1 k2 LIMIT 1", "LMPOP 2 k1 k2 LEFT", "BLMPOP 0 2 k1 k2 LEFT", "BZMPOP 0 1 k1 MIN", "BITOP AND k1 k2 k3", "MSET k1 v k2 v", "BLPOP k1 k2 0", "LCS k1 k2 LEN",
		"OBJECT ENCODING k1", "MEMORY USAGE k1", "XGROUP CREATE k1 g 0", "XINFO STREAM k1", "SET k1 v GET", "GETEX k1 PERSIST", "HSETEX k1 FIELDS 1 f v"}
	for name, info := range infos {
		if info.FirstKeyPos != 1 || info.StepCount != 1 && info.StepCount != 2 || slices.Contains(info.Flags, "movablekeys") {
			continue
		}
		words := []string{name}
		for i := range max(int(info.Arity), -int(info.Arity)+3) - 1 {
			words = append(words, fmt.Sprint("k", i))
		}
		lines = append(lines, strings.Join(words, " "))
	}
	compared := 0
	for _, line := range lines {
		var args []any
		for _, w := range strings.Fields(line) {
			args = append(args, strings.Trim(w, `"`))
		}
		want, err := direct.Do(t.Context(), append([]any{"COMMAND", "GETKEYS"}, args...)...).StringSlice()
		if err != nil { // the arguments are not enough, or it has no keys
			continue
		}
		f, _, err := redis.Protocol.New().Decode(protocols.ToServer, respCommand(args))
		if err != nil || len(f.Items) != 1 {
			t.Fatalf("%s: %+v, %v", line, f, err)
		}
		got := f.Items[0].Keys
		if got == nil && f.Items[0].Key != "" {
			got = []string{f.Items[0].Key}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the keys are %q, and for the server %q", line, got, want)
		}
		compared++
	}
	if compared < 120 {
		t.Errorf("%d commands compared", compared)
	}
}

func respCommand(args []any) []byte {
	b := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		b = fmt.Appendf(b, "$%d\r\n%s\r\n", len(a.(string)), a)
	}
	return b
}

// TestRedisInferred: the error word that belongs to a message is the one that
// the server sends with it.
func TestRedisInferred(t *testing.T) { EachRedis(t, redisInferred) }

func redisInferred(t *testing.T, server string) {
	Struck(t, redis.Protocol, server, "go-redis", "the server's own errors, inferred from their texts")
	c := goRedis(t, server, 3)
	do := func(line string) string {
		var args []any
		for _, w := range strings.Split(line, " ") {
			args = append(args, w)
		}
		if err := c.Do(t.Context(), args...).Err(); err != nil {
			return err.Error()
		}
		return ""
	}
	for _, p := range []struct{ word, prepare, provoke, restore string }{
		{"WRONGTYPE", "SET s v", "LPUSH s v", ""},
		{"NOSCRIPT", "", "EVALSHA 0123456789012345678901234567890123456789 0", ""},
		{"WRONGPASS", "ACL SETUSER default >p", "AUTH default wrong", "ACL SETUSER default nopass"},
		{"NOPERM", "ACL SETUSER default -lpush", "LPUSH l v", "ACL SETUSER default +@all"},
		{"OOM", "CONFIG SET maxmemory 1", "SET s v", "CONFIG SET maxmemory 0"},
		{"NOREPLICAS", "CONFIG SET min-replicas-to-write 1", "SET s v", "CONFIG SET min-replicas-to-write 0"},
		{"BUSYGROUP", "XGROUP CREATE st g 0 MKSTREAM", "XGROUP CREATE st g 0", ""},
		{"NOPROTO", "", "HELLO 9", ""},
		{"ERR", "", "INCR s", ""},
		{"ERR", "", "NOSUCH", ""},
		{"MASTERDOWN", "CONFIG SET replica-serve-stale-data no", "", ""},
		{"READONLY", "REPLICAOF 127.0.0.1 1", "SET s v", "REPLICAOF NO ONE"},
	} {
		if p.prepare != "" {
			do(p.prepare)
		}
		if p.provoke == "" {
			do("REPLICAOF 127.0.0.1 1")
			p.provoke, p.restore = "GET s", "CONFIG SET replica-serve-stale-data yes"
		}
		said := do(p.provoke)
		word, text, _ := strings.Cut(said, " ")
		r := protocols.Reply{Error: true, Message: text}
		if err := redis.Protocol.Check(&r); err != nil || word != p.word || r.Code != word {
			t.Errorf("%s: the server says %q, and its text alone gives %s (%v)", p.provoke, said, r.Code, err)
		}
		if p.restore != "" {
			do(p.restore)
		}
	}
	addr, _ := Front(t, redis.Protocol, server, intercept.Rule{Match: Match(t, redis.Protocol, "key", "k"), Fault: redisError("You can't write against a read only replica.", "")})
	if err := goRedis(t, addr, 3).Set(t.Context(), "k", 1, 0).Err(); err == nil || err.Error() != "READONLY You can't write against a read only replica." {
		t.Errorf("the client hears %v", err)
	}
}
