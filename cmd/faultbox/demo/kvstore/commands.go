package kvstore

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// command is one entry of the table. Arity counts the command's name; negative
// means at least so many.
type command struct {
	arity int
	run   func(c *client, args []string)
}

const (
	errSyntax  = "ERR syntax error"
	errInteger = "ERR value is not an integer or out of range"
)

var commands = map[string]command{
	"PING":     {-1, ping},
	"ECHO":     {2, func(c *client, args []string) { c.w.bulk(args[1]) }},
	"QUIT":     {-1, func(c *client, args []string) { c.quit = true; c.w.status("OK") }},
	"SELECT":   {2, selectDB},
	"HELLO":    {-1, hello},
	"CLIENT":   {-2, clientCommand},
	"COMMAND":  {-1, func(c *client, args []string) { c.w.array(0) }},
	"INFO":     {-1, info},
	"GET":      {2, get},
	"SET":      {-3, set},
	"SETNX":    {3, func(c *client, args []string) { c.w.integer(bit(c.store(args[1], entry{value: args[2]}, "NX"))) }},
	"DEL":      {-2, del},
	"EXISTS":   {-2, exists},
	"EXPIRE":   {3, expire(time.Second)},
	"PEXPIRE":  {3, expire(time.Millisecond)},
	"TTL":      {2, ttl(time.Second)},
	"PTTL":     {2, ttl(time.Millisecond)},
	"INCR":     {2, func(c *client, args []string) { c.add(args[1], 1) }},
	"INCRBY":   {3, incrBy},
	"DBSIZE":   {1, dbsize},
	"FLUSHDB":  {-1, flush},
	"FLUSHALL": {-1, flush},
}

// handle runs one command and writes its answer.
func (c *client) handle(args []string) {
	if len(args) == 0 {
		return
	}
	cmd, ok := commands[strings.ToUpper(args[0])]
	switch {
	case !ok:
		c.w.fail(fmt.Sprintf("ERR unknown command '%.128s', with args beginning with: %s", args[0], quoted(args[1:])))
	case cmd.arity > 0 && len(args) != cmd.arity, len(args) < -cmd.arity:
		c.w.fail(fmt.Sprintf("ERR wrong number of arguments for '%s' command", strings.ToLower(args[0])))
	default:
		cmd.run(c, args)
	}
}

func quoted(args []string) string {
	var b strings.Builder
	for _, a := range args[:min(len(args), 8)] {
		fmt.Fprintf(&b, "'%.128s' ", a)
	}
	return b.String()
}

func ping(c *client, args []string) {
	if len(args) > 1 {
		c.w.bulk(args[1])
		return
	}
	c.w.status("PONG")
}

func selectDB(c *client, args []string) {
	if args[1] != "0" {
		c.w.fail("ERR DB index is out of range")
		return
	}
	c.w.status("OK")
}

// hello switches the protocol version. AUTH is taken as Redis takes it for its
// default user, which needs no password.
func hello(c *client, args []string) {
	if len(args) > 1 {
		switch args[1] {
		case "2", "3":
			c.w.resp3 = args[1] == "3"
		default:
			c.w.fail("NOPROTO unsupported protocol version")
			return
		}
	}
	proto := int64(2)
	if c.w.resp3 {
		proto = 3
	}
	c.w.dict(6)
	for _, kv := range [][2]string{{"server", "redis"}, {"version", version}, {"mode", "standalone"}, {"role", "master"}} {
		c.w.bulk(kv[0])
		c.w.bulk(kv[1])
	}
	c.w.bulk("proto")
	c.w.integer(proto)
	c.w.bulk("id")
	c.w.integer(c.id)
}

func clientCommand(c *client, args []string) {
	switch strings.ToUpper(args[1]) {
	case "ID":
		c.w.integer(c.id)
	case "SETINFO", "SETNAME":
		c.w.status("OK")
	case "GETNAME":
		c.w.null()
	default:
		c.w.fail(fmt.Sprintf("ERR unknown subcommand '%.128s'. Try CLIENT HELP.", args[1]))
	}
}

func info(c *client, _ []string) {
	var keys int
	c.data.do(func(time.Time) { keys = len(c.data.values) })
	c.w.bulk(fmt.Sprintf("# Server\r\nredis_version:%s\r\nredis_mode:standalone\r\n# Replication\r\nrole:master\r\n"+
		"# Keyspace\r\ndb0:keys=%d\r\n", version, keys))
}

func get(c *client, args []string) {
	var e entry
	var ok bool
	c.data.do(func(now time.Time) { e, ok = c.data.get(args[1], now) })
	if !ok {
		c.w.null()
		return
	}
	c.w.bulk(e.value)
}

// set takes EX, PX, NX and XX.
func set(c *client, args []string) {
	e := entry{value: args[2]}
	only := ""
	for i := 3; i < len(args); i++ {
		switch opt := strings.ToUpper(args[i]); {
		case (opt == "NX" || opt == "XX") && only == "":
			only = opt
		case (opt == "EX" || opt == "PX") && i+1 < len(args) && e.expires.IsZero():
			i++
			after, ok := parseSpan(args[i], map[string]time.Duration{"EX": time.Second, "PX": time.Millisecond}[opt])
			if !ok || after <= 0 {
				c.w.fail("ERR invalid expire time in 'set' command")
				return
			}
			e.expires = time.Now().Add(after)
		default:
			c.w.fail(errSyntax)
			return
		}
	}
	if !c.store(args[1], e, only) {
		c.w.null()
		return
	}
	c.w.status("OK")
}

// store sets a key: only an absent one (NX), only a present one (XX), or any.
func (c *client) store(key string, e entry, only string) (done bool) {
	c.data.do(func(now time.Time) {
		_, present := c.data.get(key, now)
		if only == "NX" && present || only == "XX" && !present {
			return
		}
		c.data.values[key] = e
		done = true
	})
	return done
}

func del(c *client, args []string) {
	var n int64
	c.data.do(func(now time.Time) {
		for _, key := range args[1:] {
			if _, ok := c.data.get(key, now); ok {
				delete(c.data.values, key)
				n++
			}
		}
	})
	c.w.integer(n)
}

func exists(c *client, args []string) {
	var n int64
	c.data.do(func(now time.Time) {
		for _, key := range args[1:] {
			_, ok := c.data.get(key, now)
			n += bit(ok)
		}
	})
	c.w.integer(n)
}

func expire(unit time.Duration) func(*client, []string) {
	return func(c *client, args []string) {
		after, valid := parseSpan(args[2], unit)
		if !valid {
			c.w.fail(errInteger)
			return
		}
		var ok bool
		c.data.do(func(now time.Time) {
			var e entry
			if e, ok = c.data.get(args[1], now); ok {
				e.expires = now.Add(after)
				c.data.values[args[1]] = e
			}
		})
		c.w.integer(bit(ok))
	}
}

func ttl(unit time.Duration) func(*client, []string) {
	return func(c *client, args []string) {
		n := int64(-2)
		c.data.do(func(now time.Time) {
			e, ok := c.data.get(args[1], now)
			switch {
			case ok && e.expires.IsZero():
				n = -1
			case ok:
				n = int64((e.expires.Sub(now) + unit/2) / unit)
			}
		})
		c.w.integer(n)
	}
}

func incrBy(c *client, args []string) {
	by, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		c.w.fail(errInteger)
		return
	}
	c.add(args[1], by)
}

func (c *client) add(key string, by int64) {
	var n int64
	problem := ""
	c.data.do(func(now time.Time) {
		e, ok := c.data.get(key, now)
		if ok {
			var err error
			if n, err = strconv.ParseInt(e.value, 10, 64); err != nil {
				problem = errInteger
				return
			}
		}
		if by > 0 && n > math.MaxInt64-by || by < 0 && n < math.MinInt64-by {
			problem = "ERR increment or decrement would overflow"
			return
		}
		n += by
		e.value = strconv.FormatInt(n, 10)
		c.data.values[key] = e
	})
	if problem != "" {
		c.w.fail(problem)
		return
	}
	c.w.integer(n)
}

func dbsize(c *client, _ []string) {
	var n int
	c.data.do(func(now time.Time) {
		c.data.sweep(now)
		n = len(c.data.values)
	})
	c.w.integer(int64(n))
}

func flush(c *client, _ []string) {
	c.data.do(func(time.Time) { clear(c.data.values) })
	c.w.status("OK")
}

// parseSpan reads a whole number of units that a Duration can hold.
func parseSpan(s string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > math.MaxInt64/int64(unit) || n < math.MinInt64/int64(unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
