package drivers

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/memcached"
)

// TestMemcachedUntouched compares what clients see through an edge with a rule
// that never matches with what they see directly.
func TestMemcachedUntouched(t *testing.T) {
	server := Memcached(t)
	for name, work := range map[string]func(*testing.T, string) []string{
		"gomemcache": goMemcachedWork, "memjs": memjsWork, "libmemcached": libmemcachedWork, "raw text": rawMemcachedText, "raw binary": rawMemcachedBinary,
	} {
		t.Run(name, func(t *testing.T) {
			Compared(t, memcached.Protocol, server, name, memcachedFeatures[name]...)
			direct := work(t, server)
			addr, log := Front(t, memcached.Protocol, server, never(t, memcached.Protocol, "key"))
			equalLines(t, direct, work(t, addr))
			if len(direct) < 5 || len(log.Some(1)) == 0 || len(log.Notes()) > 0 {
				t.Errorf("%d events, notes %q; the client saw %.1000q", len(log.Events()), log.Notes(), direct)
			}
			for _, ev := range log.Events() {
				if ev.Outcome != intercept.Answered {
					t.Errorf("%s %s ended as %q", ev.Op, ev.Key, ev.Outcome)
				}
			}
		})
	}
}

var memcachedFeatures = map[string][]string{
	"gomemcache":   {"text: commands of every kind, errors", "a multi-get of 300 keys", "values of 900 KB, too large ones", "gat, touch, cas"},
	"memjs":        {"binary: commands of every kind, errors", "values of 900 KB, too large ones", "stats"},
	"libmemcached": {"text and binary tools", "load: get, set, mget", "stats, dump"},
	"raw text":     {"every text command in one pipeline", "meta commands, quiet ones", "noreply", "nonsense"},
	"raw binary":   {"quiet commands and errors in one pipeline"},
}

func goMemcached(t testing.TB, addr string) *memcache.Client {
	c := memcache.New(addr)
	c.Timeout = 20 * time.Second
	t.Cleanup(func() { c.Close() })
	return c
}

func goMemcachedWork(t *testing.T, addr string) (saw []string) {
	c := goMemcached(t, addr)
	say := func(what string, v any, err error) { saw = append(saw, fmt.Sprintf("%s: %.80v, %v", what, v, err)) }
	get := func(key string) {
		item, err := c.Get(key)
		if err == nil {
			say("get "+key, fmt.Sprint(len(item.Value), item.Flags), nil)
			return
		}
		say("get "+key, nil, err)
	}
	say("flush", nil, c.FlushAll())
	say("set", nil, c.Set(&memcache.Item{Key: "a", Value: []byte("1"), Flags: 7}))
	say("set", nil, c.Set(&memcache.Item{Key: "big", Value: bytes.Repeat([]byte("x\r\nEND\r\n"), 100_000)}))
	say("set", nil, c.Set(&memcache.Item{Key: "huge", Value: bytes.Repeat([]byte("x"), 2<<20)}))
	say("set", nil, c.Set(&memcache.Item{Key: "empty", Value: nil}))
	for _, key := range []string{"a", "big", "huge", "empty", "none"} {
		get(key)
	}
	say("add", nil, c.Add(&memcache.Item{Key: "a", Value: []byte("1")}))
	say("replace", nil, c.Replace(&memcache.Item{Key: "none", Value: []byte("1")}))
	say("append", nil, c.Append(&memcache.Item{Key: "a", Value: []byte("0")}))
	say("prepend", nil, c.Prepend(&memcache.Item{Key: "a", Value: []byte("2")}))
	n, err := c.Increment("a", 5)
	say("incr", n, err)
	n, err = c.Decrement("a", 500)
	say("decr", n, err)
	n, err = c.Increment("big", 1)
	say("incr", n, err)
	n, err = c.Increment("none", 1)
	say("incr", n, err)
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprint("key-", i))
		if i%3 == 0 {
			c.Set(&memcache.Item{Key: keys[i], Value: []byte(strings.Repeat("v", i*10))})
		}
	}
	items, err := c.GetMulti(keys)
	say("get multi", len(items), err)
	item, err := c.Get("a")
	say("get", nil, err)
	item.Value = []byte("swapped")
	say("cas", nil, c.CompareAndSwap(item))
	say("cas", nil, c.CompareAndSwap(item))
	say("touch", nil, c.Touch("a", 100))
	say("touch", nil, c.Touch("none", 100))
	item, err = c.GetAndTouch("a", 100)
	say("gat", string(item.Value), err)
	say("delete", nil, c.Delete("a"))
	say("delete", nil, c.Delete("a"))
	say("ping", nil, c.Ping())
	return saw
}

// memjsScript speaks the binary protocol.
const memjsScript = `
const memjs = require('memjs');
const [, , addr, task] = process.argv;
const say = (...a) => console.log(JSON.stringify(a).slice(0, 300));
const c = memjs.Client.create(addr, { retries: 0, timeout: 20, conntimeout: 20 });
const tell = async p => { try { const r = await p; say(r && r.value ? [r.value.length, r.value.toString().slice(0, 20), r.flags && r.flags.toString('hex')] : r); } catch (e) { say('error', e.message || e); } };
(async () => {
  if (task === 'faults') {
    await tell(c.get('lost')); await tell(c.set('full', '1', {})); await tell(c.get('made-up')); await tell(c.get('missed'));
    await tell(c.increment('odd', 1, {})); await tell(c.get('k1'));
    process.exit(0);
  }
  await tell(c.flush());
  await tell(c.set('a', '1', { expires: 600 }));
  await tell(c.set('big', 'y'.repeat(900000), {}));
  await tell(c.set('huge', 'y'.repeat(3000000), {}));
  for (const k of ['a', 'big', 'none']) await tell(c.get(k));
  await tell(c.add('a', '2', {})); await tell(c.add('b', '2', {})); await tell(c.replace('none', '2', {}));
  await tell(c.append('a', '0')); await tell(c.prepend('a', '5')); await tell(c.increment('a', 7, {})); await tell(c.decrement('a', 1, {}));
  await tell(c.increment('fresh', 1, { initial: 10 })); await tell(c.touch('a', 50)); await tell(c.touch('none', 50));
  for (let i = 0; i < 50; i += 2) await c.set('m' + i, 'v'.repeat(i), {});
  await tell(Promise.all(Array.from({ length: 200 }, (_, i) => c.get('m' + i % 50))).then(r => ({ value: Buffer.from(String(r.filter(x => x.value).length)) })));
  await tell(c.delete('a')); await tell(c.delete('a'));
  await tell(c.increment('big', 1, {}));
  c.stats((e, s, v) => { say(!!e, Object.keys(v || {}).length > 5); c.quit(); process.exit(0); });
})();
`

func memjsWork(t *testing.T, addr string) []string {
	return memjs(t, addr, "work")
}

// memjs runs a task; what it logs besides is left out.
func memjs(t *testing.T, addr, task string) []string {
	out := node(t, npm(t, "memcached", "memjs"), memjsScript, addr, task)
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], addr, "ADDR")
	}
	return slices.DeleteFunc(out, func(line string) bool { return line[0] != '[' })
}

// libmemcachedWork runs the tools of libmemcached in both protocols.
func libmemcachedWork(t *testing.T, addr string) (saw []string) {
	varies := regexp.MustCompile(`(?m)\d+([.]\d+)?|^.*(time|stamp).*$`)
	file := folder(t, "") + "/item"
	if err := os.WriteFile(file, []byte(strings.Repeat("item\r\n", 10_000)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"memcflush", "--servers=" + addr}, {"memccp", "--servers=" + addr, file}, {"memccat", "--servers=" + addr, "item"}, {"memcexist", "--servers=" + addr, "item"},
		{"memctouch", "--servers=" + addr, "item"}, {"memcrm", "--servers=" + addr, "item"}, {"memcexist", "--servers=" + addr, "item"},
		{"memcping", "--servers=" + addr},
		{"memccp", "--binary", "--servers=" + addr, file}, {"memccat", "--servers=" + addr, "item"}, {"memcrm", "--binary", "--servers=" + addr, "item"},
		{"memcstat", "--servers=" + addr}, {"memcdump", "--servers=" + addr},
		{"memcslap", "--servers=" + addr, "--concurrency=5", "--execute-number=500", "--test=get"},
		{"memcslap", "--servers=" + addr, "--concurrency=5", "--execute-number=500", "--test=set"},
		{"memcslap", "--servers=" + addr, "--concurrency=2", "--execute-number=50", "--test=mget"},
		{"memcslap", "--binary", "--servers=" + addr, "--concurrency=2", "--execute-number=50", "--test=mget"},
		{"memcflush", "--servers=" + addr},
	} {
		cmd := exec.CommandContext(t.Context(), lookPath(t, args[0], "libmemcached-tools"), args[1:]...)
		out, err := cmd.CombinedOutput()
		text := varies.ReplaceAllString(strings.ReplaceAll(string(out), addr, "ADDR"), "N")
		if args[0] == "memcdump" { // in any order
			lines := strings.Split(text, "\n")
			slices.Sort(lines)
			text = strings.Join(slices.Compact(lines), "\n")
		}
		saw = append(saw, fmt.Sprintf("%s: %v %s", args[0], err, text))
	}
	return saw
}

// rawMemcached sends text in one piece and returns what comes up to last.
func rawMemcached(t testing.TB, addr, text, last string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	go io.WriteString(c, text)
	var heard []byte
	for b := make([]byte, 64<<10); !bytes.HasSuffix(heard, []byte(last)); {
		n, err := c.Read(b)
		heard = append(heard, b[:n]...)
		if err != nil {
			t.Fatalf("%v after %q", err, heard)
		}
	}
	return string(heard)
}

// rawMemcachedText: all text commands and meta commands in a single pipeline.
func rawMemcachedText(t *testing.T, addr string) []string {
	big := strings.Repeat("b", 200_000)
	answer := rawMemcached(t, addr, "flush_all\r\nset a 5 0 1\r\n1\r\nset big 0 0 200000\r\n"+big+"\r\nget a big none\r\nadd a 0 0 1\r\nx\r\nset q 0 0 1 noreply\r\nx\r\n"+
		"replace none 0 0 1\r\n1\r\nappend a 0 0 1\r\n0\r\nprepend a 0 0 1\r\n9\r\nincr a 2\r\ndecr a 1 noreply\r\nget a\r\nincr big 1\r\ntouch a 100\r\ngat 100 a none\r\n"+
		"delete none\r\ndelete q noreply\r\nverbosity 1\r\nbogus\r\n\r\nget\r\nget "+strings.Repeat("k", 251)+"\r\nset a 0 0 x\r\nset a 0 0 3\r\ntoolong\r\n"+
		"stats slabs\r\nstats reset\r\nversion\r\nlru_crawler metadump all\r\n"+
		"ms m 5 T0 F3 c\r\nhello\r\nmg m v f s t k O9\r\nmg none v\r\nmg none v k\r\nma n\r\nma n N0 J13 v\r\nmd m q\r\nmd m\r\nme a\r\nmg a v q O1\r\nmg none v q O2\r\nmg big v q k O3\r\nms s 1 q\r\ns\r\nmd none q\r\nmn\r\n"+
		"cache_memlimit 100\r\nflush_all 0 noreply\r\nquiet?\r\nmn\r\n", "ERROR\r\nMN\r\n")
	answer = regexp.MustCompile(`(?m)^(STAT|key=|ME).*\r\n| c\d+`).ReplaceAllString(answer, "")
	return strings.Split(answer, "\r\n")
}

func memcachedPacket(op byte, opaque byte, key, extras, value string) string {
	return string([]byte{0x80, op, 0, byte(len(key)), byte(len(extras)), 0, 0, 0, 0, 0, byte((len(key) + len(extras) + len(value)) >> 8), byte(len(key) + len(extras) + len(value)),
		0, 0, 0, opaque}) + strings.Repeat("\x00", 8) + extras + key + value
}

// rawMemcachedBinary: quiet commands and errors in a single pipeline.
func rawMemcachedBinary(t *testing.T, addr string) []string {
	p := memcachedPacket
	eight := strings.Repeat("\x00", 8)
	text := p(0x08, 1, "", "", "") + p(0x01, 2, "a", eight, "1") + p(0x11, 3, "b", eight, "22") + p(0x12, 4, "a", eight, "x") + p(0x00, 5, "a", "", "") + p(0x0c, 6, "none", "", "") +
		p(0x0d, 7, "a", "", "") + p(0x09, 8, "none", "", "") + p(0x0d, 9, "b", "", "") + p(0x0a, 10, "", "", "") + p(0x05, 11, "a", eight+eight+"\x00\x00\x00\x00", "") +
		p(0x01, 21, "word", eight, "word") + p(0x05, 12, "word", eight+eight+"\x00\x00\x00\x00", "") + p(0x14, 13, "none", "", "") + p(0x04, 14, "none", "", "") + p(0x10, 15, "reset", "", "") + p(0x0b, 16, "", "", "") +
		p(0x20, 17, "", "", "") + p(0x1d, 18, "b", "\x00\x00\x00\x09", "") + p(0x7f, 19, "", "", "") + p(0x0a, 20, "", "", "")
	last := string([]byte{0x81, 0x0a}) + strings.Repeat("\x00", 13) + "\x14" + eight
	answer := rawMemcached(t, addr, text, last)
	return memcachedPackets(answer)
}

// memcachedPackets cuts an answer into packets and leaves out their CAS.
func memcachedPackets(b string) (packets []string) {
	for len(b) >= 24 {
		n := min(len(b), 24+int(b[10])<<8+int(b[11]))
		packets = append(packets, fmt.Sprintf("%q", b[:16]+b[24:n]))
		b = b[n:]
	}
	return packets
}

func memcachedRule(t testing.TB, f intercept.Fault, match ...string) intercept.Rule {
	return intercept.Rule{Match: Match(t, memcached.Protocol, match...), Fault: f}
}

func memcachedError(message string) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true, Message: message}}
}

func memcachedValue(v any) intercept.Fault {
	return intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: v}}
}

func TestMemcachedFaults(t *testing.T) {
	server := Memcached(t)
	direct := goMemcached(t, server)
	for _, tt := range []struct {
		name  string
		fault intercept.Fault
		match []string
		do    func(c *memcache.Client) (any, error)
		want  string
	}{
		{"refused", memcachedError("out of memory storing object"), []string{"command", "set"},
			func(c *memcache.Client) (any, error) {
				return nil, c.Set(&memcache.Item{Key: "new", Value: []byte("v")})
			},
			`<nil> memcache: unexpected response line from "set": "SERVER_ERROR out of memory storing object\r\n"`},
		{"refused after", after(memcachedError("out of memory")), []string{"command", "set"},
			func(c *memcache.Client) (any, error) {
				err := c.Set(&memcache.Item{Key: "after", Value: []byte("v")})
				item, _ := direct.Get("after")
				return string(item.Value), err
			}, `v memcache: unexpected response line from "set": "SERVER_ERROR out of memory\r\n"`},
		{"missed", memcachedValue(nil), []string{"key", "k", "command", "get"}, // the client sends gets
			func(c *memcache.Client) (any, error) { item, err := c.Get("k"); return item, err }, "<nil> memcache: cache miss"},
		{"made up", memcachedValue("other"), []string{"key", "k"},
			func(c *memcache.Client) (any, error) { item, err := c.Get("k"); return string(item.Value), err }, "other <nil>"},
		{"made up after", after(memcachedValue("other")), []string{"key", "k"},
			func(c *memcache.Client) (any, error) { item, err := c.Get("k"); return string(item.Value), err }, "other <nil>"},
		{"made up for some", memcachedValue(map[string]any{"l": "L"}), []string{"key", "l"},
			func(c *memcache.Client) (any, error) {
				items, err := c.GetMulti([]string{"k", "l", "m"})
				return fmt.Sprint(len(items), " ", string(items["l"].Value)), err
			}, "1 L <nil>"},
		{"not stored", memcachedValue(nil), []string{"command", "add"},
			func(c *memcache.Client) (any, error) {
				return nil, c.Add(&memcache.Item{Key: "fresh", Value: []byte("v")})
			},
			"<nil> memcache: item not stored"},
		{"number", memcachedValue(41), []string{"command", "incr"},
			func(c *memcache.Client) (any, error) { return c.Increment("n", 1) }, "41 <nil>"},
		{"twice", intercept.Fault{Do: intercept.Twice}, []string{"command", "incr"},
			func(c *memcache.Client) (any, error) { return c.Increment("n", 1) }, "12 <nil>"},
		{"dropped", intercept.Fault{Do: intercept.Close}, []string{"key", "k"},
			func(c *memcache.Client) (any, error) { _, err := c.Get("k"); return nil, err }, "<nil> EOF"},
		{"dropped after", intercept.Fault{Do: intercept.Close, When: intercept.After}, []string{"command", "incr"},
			func(c *memcache.Client) (any, error) {
				_, err := c.Increment("n", 1)
				item, _ := direct.Get("n")
				return string(item.Value), err
			}, "11 EOF"},
		{"truncated", intercept.Fault{Do: intercept.Cut, When: intercept.After, Bytes: 20}, []string{"key", "k"},
			func(c *memcache.Client) (any, error) { _, err := c.Get("k"); return nil, err }, "<nil> unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for key, v := range map[string]string{"k": strings.Repeat("v", 100), "l": "l", "m": "m", "n": "10"} {
				if err := direct.Set(&memcache.Item{Key: key, Value: []byte(v)}); err != nil {
					t.Fatal(err)
				}
			}
			direct.Delete("new")
			Struck(t, memcached.Protocol, server, "gomemcache", tt.name)
			rule := memcachedRule(t, tt.fault, tt.match...)
			rule.Trigger = intercept.Trigger{Times: 1, Prob: 1}
			addr, log := Front(t, memcached.Protocol, server, rule)
			c := goMemcached(t, addr)
			v, err := tt.do(c)
			if got := fmt.Sprint(v, " ", err); got != tt.want {
				t.Errorf("the client saw %s, want %s", got, tt.want)
			}
			log.Wait(t, "that the rule acted on", func(ev *intercept.Event) bool {
				return len(ev.Rules) > 0 && ev.Outcome != intercept.Answered && ev.Outcome != intercept.Untouched
			})
			if item, err := c.Get("m"); err != nil || string(item.Value) != "m" {
				t.Errorf("after it: %v", err)
			}
			if _, err := direct.Get("new"); err != memcache.ErrCacheMiss {
				t.Errorf("the refused item: %v", err)
			}
		})
	}
}

// TestMemjsFaults: what a client of the binary protocol reports is what it
// reports of the server's own errors.
func TestMemjsFaults(t *testing.T) {
	server := Memcached(t)
	direct := goMemcached(t, server)
	for _, key := range []string{"lost", "made-up", "missed", "k1"} {
		direct.Set(&memcache.Item{Key: key, Value: []byte("true")})
	}
	direct.Set(&memcache.Item{Key: "odd", Value: []byte("not a number")})
	addr, log := Front(t, memcached.Protocol, server,
		memcachedRule(t, memcachedError("Temporary failure"), "key", "lost"),
		memcachedRule(t, memcachedError("out of memory"), "command", "set"),
		memcachedRule(t, memcachedValue("made up"), "key", "made-up"),
		memcachedRule(t, memcachedValue(nil), "key", "missed"))
	Struck(t, memcached.Protocol, server, "memjs", "temporary failure", "out of memory", "made up", "missed", "the server's own error beside them")
	saw := memjs(t, addr, "faults")
	want := []string{"MemJS GET: Temporary failure", "MemJS SET: Out of memory", `"made up"`, `"value":null`, "non-numeric", `"true"`}
	for i, w := range want {
		if i >= len(saw) || !strings.Contains(saw[i], w) {
			t.Fatalf("the client saw\n%s\nwant %q in line %d", strings.Join(saw, "\n"), w, i+1)
		}
	}
	for i, rule := range log.Tally() {
		if rule.Fired() == 0 {
			t.Errorf("rule %d struck nothing", i+1)
		}
	}
}

// TestMemcachedQuietFaults: faults among commands that are answered only
// sometimes take their place, and nobody waits for what never comes.
func TestMemcachedQuietFaults(t *testing.T) {
	server := Memcached(t)
	direct := goMemcached(t, server)
	for _, key := range []string{"a", "c", "d"} {
		direct.Set(&memcache.Item{Key: key, Value: []byte(key)})
	}
	p := memcachedPacket
	const pipeline = "mg a v q\r\nmg b v q\r\nmg c v q\r\nmg none v q\r\nmg d v q\r\nmn\r\n"
	binary := p(0x0d, 1, "a", "", "") + p(0x0d, 2, "b", "", "") + p(0x0d, 3, "none", "", "") + p(0x0a, 4, "", "", "") + p(0x0a, 5, "", "", "")
	for _, tt := range []struct {
		name  string
		fault intercept.Fault
		match []string
		send  string
		want  string
	}{
		{"text", memcachedError("busy"), []string{"key", "b"}, pipeline, "VA 1\r\na\r\nSERVER_ERROR busy\r\nVA 1\r\nc\r\nVA 1\r\nd\r\nMN\r\n"},
		{"text, a value", memcachedValue("B"), []string{"key", "b"}, pipeline, "VA 1\r\na\r\nVA 1\r\nB\r\nVA 1\r\nc\r\nVA 1\r\nd\r\nMN\r\n"},
		{"text, a miss", memcachedValue(nil), []string{"key", "c"}, pipeline, "VA 1\r\na\r\nVA 1\r\nd\r\nMN\r\n"},
		{"text, the last", memcachedError("busy"), []string{"command", "mn"}, pipeline, "VA 1\r\na\r\nVA 1\r\nc\r\nVA 1\r\nd\r\nSERVER_ERROR busy\r\n"},
		{"text, twice", intercept.Fault{Do: intercept.Twice}, []string{"key", "b"}, pipeline, "VA 1\r\na\r\nVA 1\r\nc\r\nVA 1\r\nd\r\nMN\r\n"},
		{"binary", memcachedError("busy"), []string{"key", "b"}, binary,
			`"\x81\r\x00\x01\x04\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x01\x00\x00\x00\x00aa" "\x81\r\x00\x00\x00\x00\x00\x85\x00\x00\x00\x04\x00\x00\x00\x02busy" ` +
				`"\x81\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04" "\x81\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			Struck(t, memcached.Protocol, server, "raw", "among quiet commands: "+tt.name)
			addr, _ := Front(t, memcached.Protocol, server, memcachedRule(t, tt.fault, tt.match...))
			last := tt.want[len(tt.want)-6:]
			if tt.name == "binary" {
				last = "\x00\x00\x00\x05" + strings.Repeat("\x00", 8)
			}
			got := rawMemcached(t, addr, tt.send, last)
			if tt.name == "binary" {
				got = strings.Join(memcachedPackets(got), " ")
			}
			if got != tt.want {
				t.Errorf("the client hears\n%q, want\n%q", got, tt.want)
			}
		})
	}
	t.Run("dropped", func(t *testing.T) {
		Struck(t, memcached.Protocol, server, "raw", "among quiet commands: dropped")
		addr, _ := Front(t, memcached.Protocol, server, memcachedRule(t, intercept.Fault{Do: intercept.Close}, "key", "c"))
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(c, pipeline)
		if b, err := io.ReadAll(c); err != nil {
			t.Errorf("%q and then %v, want the end", b, err)
		}
	})
}
