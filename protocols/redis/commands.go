package redis

import (
	"bytes"
	"strings"
)

// command is what the codec knows about one command, or one subcommand
// ("CONFIG GET").
type command struct {
	name string
	keys keySpec
	kind kind
	null null
	subs bool // a container: its first argument completes the name
}

// kind is what a command does to the connection beyond being answered.
type kind uint8

const (
	plain kind = iota
	multi
	exec
	discard
	watch // runs at once inside MULTI
	quit
	reset
	hello
	clientReply
	subscribe
	psubscribe
	ssubscribe
	unsubscribe
	punsubscribe
	sunsubscribe
	monitor
	sync
)

// null is what a command answers when there is nothing, in RESP2.
type null uint8

const (
	nullBulk   null = iota // $-1
	nullArray              // *-1
	nullCount              // *-1 if a count was given, else $-1
	emptyArray             // *0
	emptyCount             // *0 if a count was given, else $-1
	emptySet               // *0; ~0 in RESP3
	emptyMap               // *0; %0 in RESP3
	nullsKeys              // one null for each argument
	nullsField             // one null for each argument but the first
	nullsArray             // the same, the nulls being *-1
)

var (
	noKey    = keySpec{}
	firstKey = keySpec{first: 1, last: 1, step: 1}
)

// keyTable lists the commands by where their keys are; channels count as keys.
var keyTable = []struct {
	keys  keySpec
	names string
}{
	{noKey, `ACL ASKING AUTH BGREWRITEAOF BGSAVE CLIENT CLUSTER COMMAND CONFIG DBSIZE DEBUG DISCARD ECHO EXEC FAILOVER
		FLUSHALL FLUSHDB FUNCTION HELLO INFO KEYS LASTSAVE LATENCY LOLWUT MEMORY MODULE MONITOR MULTI OBJECT PFSELFTEST
		PING PSYNC PUBSUB QUIT RANDOMKEY READONLY READWRITE REPLCONF REPLICAOF RESET ROLE SAVE SCAN SCRIPT SELECT
		SHUTDOWN SLAVEOF SLOWLOG SWAPDB SYNC TIME UNWATCH WAIT WAITAOF XGROUP XINFO CLIENT|REPLY CLIENT|ID CLIENT|INFO
		CLIENT|SETNAME CLIENT|GETNAME CLIENT|SETINFO CLIENT|TRACKING CLIENT|CACHING CLIENT|LIST CLIENT|KILL CLIENT|PAUSE
		CLIENT|UNPAUSE CLIENT|UNBLOCK CLIENT|NO-EVICT CLIENT|NO-TOUCH CONFIG|GET CONFIG|SET CONFIG|RESETSTAT CONFIG|REWRITE
		SCRIPT|LOAD SCRIPT|EXISTS SCRIPT|FLUSH FUNCTION|LOAD FUNCTION|LIST CLUSTER|SLOTS CLUSTER|SHARDS CLUSTER|NODES
		CLUSTER|INFO CLUSTER|KEYSLOT COMMAND|DOCS COMMAND|INFO COMMAND|COUNT`},
	{firstKey, `APPEND BITCOUNT BITFIELD BITFIELD_RO BITPOS DECR DECRBY DUMP EXPIRE EXPIREAT EXPIRETIME GEOADD GEODIST
		GEOHASH GEOPOS GEORADIUS_RO GEORADIUSBYMEMBER_RO GEOSEARCH GET GETBIT GETDEL GETEX GETRANGE GETSET HDEL HEXISTS
		HEXPIRE HEXPIREAT HEXPIRETIME HGET HGETALL HGETDEL HGETEX HINCRBY HINCRBYFLOAT HKEYS HLEN HMGET HMSET HPERSIST
		HPEXPIRE HPEXPIREAT HPEXPIRETIME HPTTL HRANDFIELD HSCAN HSET HSETEX HSETNX HSTRLEN HTTL HVALS INCR INCRBY
		INCRBYFLOAT LINDEX LINSERT LLEN LPOP LPOS LPUSH LPUSHX LRANGE LREM LSET LTRIM MOVE PERSIST PEXPIRE PEXPIREAT
		PEXPIRETIME PFADD PSETEX PTTL PUBLISH RESTORE RESTORE-ASKING RPOP RPUSH RPUSHX SADD SCARD SET SETBIT SETEX SETNX
		SETRANGE SISMEMBER SMEMBERS SMISMEMBER SORT_RO SPOP SPUBLISH SRANDMEMBER SREM SSCAN STRLEN SUBSTR TTL TYPE XACK
		XACKDEL XADD XAUTOCLAIM XCLAIM XDEL XDELEX XLEN XPENDING XRANGE XREVRANGE XSETID XTRIM ZADD ZCARD ZCOUNT ZINCRBY
		ZLEXCOUNT ZMSCORE ZPOPMAX ZPOPMIN ZRANDMEMBER ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZRANK ZREM ZREMRANGEBYLEX
		ZREMRANGEBYRANK ZREMRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX ZREVRANGEBYSCORE ZREVRANK ZSCAN ZSCORE`},
	{keySpec{first: 1, last: -1, step: 1}, `DEL EXISTS MGET PFCOUNT PFMERGE SDIFF SDIFFSTORE SINTER SINTERSTORE SSUBSCRIBE
		SUBSCRIBE PSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE SUNION SUNIONSTORE TOUCH UNLINK WATCH`},
	{keySpec{first: 1, last: -2, step: 1}, `BLPOP BRPOP BZPOPMAX BZPOPMIN`},
	{keySpec{first: 1, last: -1, step: 2}, `MSET MSETNX`},
	{keySpec{first: 1, last: 2, step: 1}, `BLMOVE BRPOPLPUSH COPY GEOSEARCHSTORE LCS LMOVE RENAME RENAMENX RPOPLPUSH
		SMOVE ZRANGESTORE`},
	{keySpec{first: 2, last: -1, step: 1}, `BITOP`},
	{keySpec{first: 2, last: 2, step: 1}, `DEBUG|OBJECT MEMORY|USAGE OBJECT|IDLETIME OBJECT|FREQ OBJECT|ENCODING
		OBJECT|REFCOUNT PFDEBUG XGROUP|CREATECONSUMER XGROUP|DESTROY XGROUP|DELCONSUMER XGROUP|SETID XGROUP|CREATE
		XINFO|STREAM XINFO|GROUPS XINFO|CONSUMERS`},
	{keySpec{num: 1}, `LMPOP ZMPOP SINTERCARD ZDIFF ZINTER ZINTERCARD ZUNION MSETEX`},
	{keySpec{num: 2}, `BLMPOP BZMPOP EVAL EVAL_RO EVALSHA EVALSHA_RO FCALL FCALL_RO`},
	{keySpec{first: 1, last: 1, step: 1, num: 2}, `ZDIFFSTORE ZINTERSTORE ZUNIONSTORE`},
	{keySpec{word: "STREAMS"}, `XREAD XREADGROUP`},
	{keySpec{first: 1, last: 1, step: 1, word: "STORE"}, `SORT GEORADIUS GEORADIUSBYMEMBER`},
	{keySpec{first: 3, last: 3, step: 1, word: "KEYS"}, `MIGRATE`},
}

var kinds = map[string]kind{
	"MULTI": multi, "EXEC": exec, "DISCARD": discard, "WATCH": watch, "QUIT": quit, "RESET": reset, "HELLO": hello,
	"CLIENT REPLY": clientReply, "SUBSCRIBE": subscribe, "PSUBSCRIBE": psubscribe, "SSUBSCRIBE": ssubscribe,
	"UNSUBSCRIBE": unsubscribe, "PUNSUBSCRIBE": punsubscribe, "SUNSUBSCRIBE": sunsubscribe, "MONITOR": monitor,
	"SYNC": sync, "PSYNC": sync,
}

var nulls = map[null]string{
	nullArray: "EXEC BLMOVE BLPOP BRPOP BRPOPLPUSH BZPOPMIN BZPOPMAX BLMPOP BZMPOP LMPOP ZMPOP XREAD XREADGROUP",
	nullCount: "LPOP RPOP",
	emptyArray: `LRANGE KEYS HKEYS HVALS SORT SORT_RO ZRANGE ZRANGEBYLEX ZRANGEBYSCORE ZREVRANGE ZREVRANGEBYLEX
		ZREVRANGEBYSCORE ZPOPMIN ZPOPMAX ZUNION ZINTER ZDIFF XRANGE XREVRANGE XCLAIM GEORADIUS GEORADIUS_RO
		GEORADIUSBYMEMBER GEORADIUSBYMEMBER_RO GEOSEARCH`,
	emptyCount: "SPOP SRANDMEMBER HRANDFIELD ZRANDMEMBER",
	emptySet:   "SMEMBERS SINTER SUNION SDIFF",
	emptyMap:   "HGETALL CONFIG|GET",
	nullsKeys:  "MGET",
	nullsField: "HMGET ZMSCORE GEOHASH",
	nullsArray: "GEOPOS",
}

const containers = "ACL CLIENT CLUSTER COMMAND CONFIG DEBUG FUNCTION LATENCY MEMORY MODULE OBJECT PUBSUB SCRIPT SLOWLOG XGROUP XINFO"

var commands = buildCommands()

func buildCommands() map[string]*command {
	m := make(map[string]*command, 512)
	for _, row := range keyTable {
		for _, name := range fields(row.names) {
			m[name] = &command{name: name, keys: row.keys, kind: kinds[name]}
		}
	}
	for form, names := range nulls {
		for _, name := range fields(names) {
			if c := m[name]; c != nil {
				c.null = form
			}
		}
	}
	for _, name := range fields(containers) {
		m[name].subs = true
	}
	return m
}

func fields(names string) []string {
	f := strings.Fields(names)
	for i := range f {
		f[i] = strings.ReplaceAll(f[i], "|", " ")
	}
	return f
}

// lookup returns the command that the arguments name. A command that is not in
// the table (a module's) is taken to have its key first.
func (c *codec) lookup(a args) *command {
	spelled := a.at(0)
	known := &c.known[(len(spelled)+int(first(spelled)))%len(c.known)]
	if known.cmd != nil && bytes.Equal(known.spelled, spelled) {
		return known.cmd
	}
	var buf [64]byte
	name := upper(buf[:0], spelled)
	cmd := c.find(name, firstKey)
	switch {
	case cmd.subs && a.len() > 1:
		name = upper(append(name, ' '), a.at(1))
		cmd = c.find(name, noKey)
	case !cmd.subs && len(spelled) <= len(buf):
		known.spelled, known.cmd = append(known.spelled[:0], spelled...), cmd
	}
	return cmd
}

// spelling is a command as the client has written its name.
type spelling struct {
	spelled []byte
	cmd     *command
}

func first(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (c *codec) find(name []byte, keys keySpec) *command {
	if cmd := commands[string(name)]; cmd != nil {
		return cmd
	}
	if cmd := c.strange[string(name)]; cmd != nil {
		return cmd
	}
	cmd := &command{name: string(name), keys: keys}
	if c.strange == nil || len(c.strange) >= 64 {
		c.strange = make(map[string]*command)
	}
	if len(name) <= 64 {
		c.strange[cmd.name] = cmd
	}
	return cmd
}

// upper appends s to dst in upper case.
func upper(dst, s []byte) []byte {
	for _, b := range s {
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}
