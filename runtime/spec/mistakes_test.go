package spec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const shop = `db = service("db", "./db", interface("main", "postgres", 5432))
api = service("api", "./api", interface("public", "http", 8080))
def probe():
    return api.get(path = "/")
`

// Every mistake that a spec can hold, with the first line of what is said. The
// line numbers count from the first line of src; with shop it is line 5.
var mistakes = []struct {
	name, src, want string
	shop            bool
}{
	{name: "parse", src: `db = service("db"`, want: `1:18: got end of file, want ')'`},
	{name: "undefined", src: `db = servce("db")`, want: "1:6: undefined: servce; did you mean `service`?"},
	{name: "two undefined", src: "a = nope1\nb = nope2", want: "1:5: undefined: nope1\n    a = nope1\n        ^\nfaultbox.star:2:5: undefined: nope2\n    b = nope2\n        ^"},
	{name: "unknown argument", src: `service("db", imge = "postgres:16")`, want: "1:15: service: unknown argument `imge`; did you mean `image`? (it takes name, binary, image, build, container, args, env, workdir, user, depends_on, healthcheck, volumes, ports, observe, ops, seed, reset and reuse)"},
	{name: "in a keyword after positional", src: `service("db", image = "x", 5)`, want: "1:28: service: want interface(…), got int 5"},
	{name: "name missing", src: `service(image = "x")`, want: "1:1: service: `name` is missing"},
	{name: "name type", src: `service(5, image = "x")`, want: "1:9: service: `name`: want a string, got int 5"},
	{name: "bad name", src: `service("my db", image = "x")`, want: "1:9: service: `name`: \"my db\" cannot name a host; use letters, digits, -, _ and . only"},
	{name: "reserved name", src: `service("test", image = "x")`, want: "1:9: service: `name`: \"test\" is the name of the test itself; take another"},
	{name: "duplicate service", src: "service(\"db\", image = \"x\")\nservice(\"db\", image = \"y\")", want: "2:1: service: two services are named \"db\"; the other is at faultbox.star:1:1"},
	{name: "no source", src: `service("db")`, want: "1:1: service: \"db\" has no source: give it one of `binary`, `image`, `build` or `container`"},
	{name: "two sources", src: `service("db", "./db", image = "x")`, want: "1:1: service: \"db\" has several sources: `binary` and `image`; give it one"},
	{name: "env", src: `service("db", "./db", env = {"A": 1.5})`, want: "1:23: service: `env`: A: want a string, an int or a bool, got float 1.5"},
	{name: "healthcheck", src: `service("db", "./db", healthcheck = "x")`, want: "1:23: service: `healthcheck`: want tcp(…), http(…) or ready(), got string \"x\""},
	{name: "tcp address", src: `tcp("localhost")`, want: "1:5: tcp: `addr`: \"localhost\" is no address; write for example \"localhost:5432\""},
	{name: "health timeout", src: `tcp("localhost:1", timeout = "5 sec")`, want: "1:20: tcp: `timeout`: \"5 sec\" is no duration; write for example \"500ms\", \"2s\" or \"1m30s\""},
	{name: "volumes of a binary", src: `service("db", "./db", volumes = {"./a": "/a"})`, want: "1:23: service: `volumes` is for `image` and `build`"},
	{name: "volume", src: `service("db", image = "x", volumes = {"./a": "a"})`, want: "1:28: service: `volumes`: \"./a:a\" is no volume; write {\"./host\": \"/container\"} or {\"./host\": \"/container:ro\"}"},
	{name: "unknown dependency", src: `service("db", "./db", depends_on = ["bd"])`, want: "1:23: service: `depends_on`: there is no service \"bd\"; did you mean `db`?"},
	{name: "cycle", src: "service(\"a\", \"./a\", depends_on = [\"b\"])\nservice(\"b\", \"./b\", depends_on = [\"a\"])", want: "1:21: service: `depends_on`: services wait for each other: a → b → a"},
	{name: "unknown protocol", src: `interface("main", "postgress", 5432)`, want: "1:19: interface: `protocol`: there is no protocol \"postgress\"; did you mean `postgres`? (there are http, grpc, postgres, mysql, redis, kafka, dns and tcp)"},
	{name: "port", src: `interface("main", "redis", 70000)`, want: "1:28: interface: `port`: want a number from 1 to 65535, got 70000"},
	{name: "interface name", src: `interface("addr", "redis", 1)`, want: "1:11: interface: `name`: \"addr\" cannot be written as service.addr; take another name"},
	{name: "two interfaces", src: `service("a", "./a", interface("x", "redis", 1), interface("x", "redis", 2))`, want: "1:49: service: two interfaces are named \"x\"; the other is at faultbox.star:1:21"},
	{name: "descriptors", src: `interface("main", "redis", 1, descriptors = "x")`, want: "1:31: interface: `descriptors` is for grpc, not for redis"},
	{name: "no such interface", shop: true, src: `db.mian`, want: "5:3: service(\"db\") has no `mian`; did you mean `main`? (it has addr, host, internal_addr, main, name, port, protocol, proxy_addr, query and service)"},
	{name: "ops", src: `op(syscalls = ["wirte"])`, want: "1:4: op: `syscalls`: element 1: there is no system call `wirte`; did you mean `write`?"},
	{name: "regex", src: `regex_decoder("a(b")`, want: "1:15: regex_decoder: `pattern`: \"a(b\": error parsing regexp: missing closing ): `a(b`"},
	{name: "regex without groups", src: `regex_decoder("ab")`, want: "1:15: regex_decoder: `pattern`: \"ab\" names no group; write (?P<name>…)"},

	{name: "unknown matcher", shop: true, src: "fault_assumption(\"x\",\n    target = db.main,\n    error(qurey = \"INSERT*\"),\n)", want: "7:11: error: postgres cannot be matched by `qurey`; did you mean `query`? (it has query)"},
	{name: "unknown parameter", shop: true, src: `fault_assumption("x", target = db, error(mesage = "a"))`, want: "5:42: error: postgres cannot be matched by `mesage`; did you mean `message`? (it has query)"},
	{name: "matcher type", shop: true, src: `fault_assumption("x", target = db, drop(query = 1.5))`, want: "5:41: drop: `query`: want a pattern (a string), got float 1.5"},
	{name: "empty matcher", shop: true, src: `fault_assumption("x", target = db, drop(query = ""))`, want: "5:41: drop: `query`: an empty pattern matches nothing; for anything write \"*\""},
	{name: "headers", shop: true, src: `fault_assumption("x", target = api, drop(headers = "a"))`, want: "5:42: drop: `headers`: want a dict of patterns such as {\"name\": \"value*\"}, got string \"a\""},
	{name: "fault of another protocol", shop: true, src: `fault_assumption("x", target = db, response(query = "*"))`, want: "5:36: response: postgres has no such fault; it has error, delay, drop, duplicate, truncate and reset"},
	{name: "reply", src: "a = service(\"a\", \"./a\", interface(\"m\", \"grpc\", 1))\nfault_assumption(\"x\", target = a, error(status = 99))", want: "2:35: error: grpc: status 99 is none of gRPC's (0 to 16)"},
	{name: "messages", shop: true, src: `fault_assumption("x", target = db, error(messages = 2))`, want: "5:42: error: `messages` is for grpc, not for postgres"},
	{name: "body and value", src: `response(body = "a", value = 1)`, want: "1:1: response: give `body` or `value`, not both"},
	{name: "value", src: `response(value = len)`, want: "1:10: response: `value`: want plain data, got builtin_function_or_method <built-in function len>"},
	{name: "recursive value", src: "a = []\na.append(a)\nresponse(value = a)", want: "3:10: response: `value`: the value is nested too deeply, or holds itself"},
	{name: "probability", src: `drop(probability = "130%")`, want: "1:6: drop: `probability`: \"130%\" is not between 0% and 100%"},
	{name: "probability number", src: `drop(probability = 30)`, want: "1:6: drop: `probability`: 30 is not between 0 and 1; for per cent write \"30%\""},
	{name: "probability text", src: `drop(probability = "often")`, want: "1:6: drop: `probability`: \"often\" is no probability; write \"30%\" or 0.3"},
	{name: "delay missing", src: `delay(query = "*")`, want: "1:1: delay: `delay` is missing"},
	{name: "delay text", src: `delay(delay = "soon")`, want: "1:7: delay: `delay`: \"soon\" is no duration; write for example \"500ms\", \"2s\" or \"1m30s\""},
	{name: "delay of nothing", src: `delay(delay = "0s")`, want: "1:7: delay: `delay`: want more than 0"},
	{name: "latency of nothing", shop: true, src: `latency(api, delay = 0)`, want: "5:14: latency: `delay`: want more than 0"},
	{name: "source is target", shop: true, src: `fault_assumption("x", target = db, drop(source = db))`, want: "5:41: drop: `source` and target are both \"db\": what a service says to itself is not seen"},
	{name: "delay negative", src: `delay(delay = "-1s")`, want: "1:7: delay: `delay`: \"-1s\" is negative"},
	{name: "nth", src: `drop(nth = 0)`, want: "1:6: drop: `nth`: want 1 or more, got 0"},
	{name: "nth never", src: `drop(nth = 2, after = 3)`, want: "1:1: drop: nth=2 never comes: after=3 leaves the first 3 alone"},
	{name: "when", src: `drop(when = "afer")`, want: "1:6: drop: `when`: want \"before\" or \"after\", got \"afer\"; did you mean `after`?"},
	{name: "duplicate after", shop: true, src: `fault_assumption("x", target = db, duplicate(when = "after"))`, want: "5:46: duplicate: it acts on the request, so `when` cannot be \"after\""},
	{name: "truncate before", shop: true, src: `fault_assumption("x", target = db, truncate(bytes = 1, when = "before"))`, want: "5:56: truncate: it acts on the answer, so `when` cannot be \"before\""},
	{name: "truncate bytes", src: `truncate(path = "/")`, want: "1:1: truncate: `bytes` is missing"},
	{name: "source", shop: true, src: `fault_assumption("x", target = db, drop(source = "apii"))`, want: "5:41: drop: `source`: there is no service \"apii\"; did you mean `api`?"},
	{name: "source interface", shop: true, src: `drop(source = api.public)`, want: "5:6: drop: `source`: want a service, got the interface api.public; traffic comes from a whole service"},
	{name: "target missing", shop: true, src: `fault_assumption("x", error(query = "*"))`, want: "5:23: error: it has no target; give it `target`, or give one to what uses it"},
	{name: "target type", src: `fault_assumption("x", target = "db", drop())`, want: "1:23: fault_assumption: `target`: want a service or an interface of one, got string \"db\""},
	{name: "assumption without faults", shop: true, src: `fault_assumption("x", target = db)`, want: "5:1: fault_assumption: \"x\" names no fault"},
	{name: "duplicate assumption", shop: true, src: "fault_assumption(\"x\", target = db, drop())\nfault_assumption(\"x\", target = db, reset())", want: "6:1: two assumptions are named \"x\"; the other is at faultbox.star:5:1"},
	{name: "no fault", shop: true, src: `fault_assumption("x", target = db, "drop")`, want: "5:36: fault_assumption: want a fault or a fault_assumption, got string \"drop\""},
	{name: "no interface fits", src: "s = service(\"s\", \"./s\", interface(\"a\", \"redis\", 1), interface(\"b\", \"tcp\", 2))\nfault_assumption(\"x\", target = s, drop(query = \"*\"))", want: "2:35: drop: it fits no interface of \"s\": a: redis cannot be matched by `query` (it has command and key); b: tcp cannot be matched by `query` (it has none)"},

	{name: "system call", shop: true, src: `fault_assumption("x", target = db, wirte = deny("EIO"))`, want: "5:36: fault_assumption: there is no system call `wirte`; did you mean `write`?"},
	{name: "keyword that is no fault", shop: true, src: `fault_assumption("x", targt = db, drop())`, want: "5:23: fault_assumption: unknown argument `targt`; did you mean `target`? (it takes name, target, rules, faults and description, and system calls with their faults)"},
	{name: "errno", src: `deny("EIOO")`, want: "1:6: deny: `errno`: there is no errno \"EIOO\"; did you mean `EIO`?"},
	{name: "call fault without a call", shop: true, src: `fault_assumption("x", target = db, deny("EIO"))`, want: "5:36: deny: it acts on system calls and needs the name of one: `write = deny(…)`"},
	{name: "no fault of a call", shop: true, src: `fault_assumption("x", target = db, write = [deny("EIO"), 5])`, want: "5:36: fault_assumption: `write`: want a fault of system calls such as deny(\"EIO\"), or a list of them, got list [deny(), 5]"},
	{name: "wire fault of a call", shop: true, src: `fault_assumption("x", target = db, write = drop())`, want: "5:44: drop: it is no fault of system calls; those are deny, delay, allow, short, lie and crash"},
	{name: "matcher of a call", shop: true, src: `fault_assumption("x", target = db, write = deny("EIO", pth = "/d/*"))`, want: "5:56: deny: syscall cannot be matched by `pth`; did you mean `path`? (it has call, fd, files, path, process and to)"},
	{name: "call without a fault", shop: true, src: `fault_assumption("x", target = db, write = "EIO")`, want: "5:36: fault_assumption: `write`: want a fault of system calls such as deny(\"EIO\"), or a list of them, got string \"EIO\""},
	{name: "relative path", shop: true, src: `fault_assumption("x", target = db, write = deny("EIO", path = "./wal/*"))`, want: "5:56: deny: `path`: \"./wal/*\" matches nothing: paths are absolute, as the service sees them; write \"**/wal/*\""},
	{name: "relative path of an op", src: `op(syscalls = ["write"], path = "wal/**")`, want: "1:26: op: `path`: \"wal/**\" matches nothing: paths are absolute, as the service sees them; write \"**/wal/**\""},
	{name: "unknown other end", shop: true, src: `fault_assumption("x", target = db, connect = deny("ETIMEDOUT", to = "dbb"))`, want: "5:64: deny: `to`: there is no service \"dbb\"; did you mean `db`?"},
	{name: "unknown interface at the other end", shop: true, src: `fault_assumption("x", target = db, connect = deny("ETIMEDOUT", to = "db.mian"))`, want: "5:64: deny: `to`: there is no service \"db.mian\""},
	{name: "name in an address", shop: true, src: `fault_assumption("x", target = db, connect = deny("ETIMEDOUT", to = "localhost:5432"))`, want: "5:64: deny: `to`: \"localhost:5432\" is no address that a socket has: hosts are numbers; write for example \"10.0.0.5:5432\", \"[::1]:5432\" or \"*:5432\""},
	{name: "other end by number", shop: true, src: `fault_assumption("x", target = db, connect = deny("ETIMEDOUT", to = 5432))`, want: "5:64: deny: `to`: want a service, an interface of one, or an address such as \"10.0.0.5:5432\", got int 5432"},
	{name: "call without target", src: `fault_assumption("x", write = deny("EIO"))`, want: "1:23: fault_assumption: `write`: faults of system calls need a `target`"},
	{name: "network", shop: true, src: `partition(api, api)`, want: "5:1: partition: `a` and `b` are both \"api\"; a service talks to itself without a network"},
	{name: "network trigger", shop: true, src: `loss(api, percent = "5%", nth = 2)`, want: "5:27: loss: `nth` counts events, and this fault has none: it is in force from the start of the test's body, or, in a test, from this line"},
	{name: "network service", shop: true, src: `partition(api, "dbb")`, want: "5:1: partition: there is no service \"dbb\"; did you mean `db`?"},
	{name: "network arguments", shop: true, src: `bandwidth(api, rate = "fast")`, want: "5:16: bandwidth: `rate`: \"fast\" is no rate; write for example \"512kbit\" or \"10mbit\""},
	{name: "process", shop: true, src: `kill(db.main)`, want: "5:6: kill: `service`: want a service, got the interface db.main; traffic comes from a whole service"},
	{name: "side of a call", shop: true, src: `fault_assumption("x", target = db, write = deny("EIO", when = "after"))`, want: "5:56: deny: `when`: a system call is faulted before the kernel does it"},

	{name: "duplicate scenario", shop: true, src: "scenario(probe)\nscenario(probe)", want: "6:1: two tests are named \"probe\"; the other is at faultbox.star:5:1"},
	{name: "scenario lambda", src: `scenario(lambda: 1)`, want: "1:10: scenario: `fn`: a lambda has no name to report; write a def"},
	{name: "scenario parameters", src: "def f(x):\n    pass\nscenario(f)", want: "3:10: scenario: `fn`: f cannot be called with no argument"},
	{name: "expect parameters", shop: true, src: `fault_scenario("a", scenario = probe, faults = drop(target = db), expect = lambda: 1)`, want: "5:67: fault_scenario: `expect`: lambda cannot be called with one argument"},
	{name: "expectation not made", shop: true, src: `fault_scenario("a", scenario = probe, faults = drop(target = db), expect = expect_success)`, want: "5:67: fault_scenario: `expect`: expect_success makes an expectation when it is called; write expect_success(…)"},
	{name: "scenario keyword", shop: true, src: `fault_scenario("a", scenrio = probe)`, want: "5:21: fault_scenario: unknown argument `scenrio`; did you mean `scenario`? (it takes name, scenario, faults, expect and timeout)"},
	{name: "no faults", shop: true, src: `fault_scenario("a", scenario = probe, faults = [])`, want: "5:1: fault_scenario: \"a\" has no faults; a scenario without faults is registered with scenario(…)"},
	{name: "zero timeout", shop: true, src: `fault_scenario("a", scenario = probe, faults = drop(target = db), timeout = 0)`, want: "5:67: fault_scenario: `timeout`: want more than 0"},
	{name: "duplicate test", src: "def test_a():\n    pass\ndef test_a():\n    pass", want: "3:5: two tests are named \"test_a\"; the other is at faultbox.star:1:5"},
	{name: "test parameters", src: "def test_a(x):\n    pass", want: "1:1: test_a: a test takes no argument"},
	{name: "matrix cell", shop: true, src: "a = fault_assumption(\"a\", target = db, drop())\nfault_matrix(scenarios = [probe], faults = [a], exclude = [(len, a)])", want: "6:49: fault_matrix: `exclude`: (len, a) is no cell of this matrix"},
	{name: "matrix override of nothing", shop: true, src: "a = fault_assumption(\"a\", target = db, drop())\nb = fault_assumption(\"b\", target = db, drop())\nfault_matrix(scenarios = [probe], faults = [a, b], exclude = [(probe, a)], overrides = {(probe, a): expect_success()})", want: "7:76: fault_matrix: `overrides`: (probe, a) is in `exclude` too"},
	{name: "matrix empty", shop: true, src: "a = fault_assumption(\"a\", target = db, drop())\nfault_matrix(scenarios = [probe], faults = [a], exclude = [(probe, a)])", want: "6:1: fault_matrix: the matrix is empty"},
	{name: "matrix fault", shop: true, src: "fault_matrix(scenarios = [probe], faults = [drop(target = db)])", want: "5:35: fault_matrix: `faults`: a cell needs a name; put drop() into a fault_assumption"},
	{name: "monitor filter", src: `monitor("m", on = {"opp": "x"}, check = lambda e: True)`, want: "1:14: monitor: `on`: unknown filter `opp`; did you mean `op`? (there are code, err, from, interface, key, kind, note, op, outcome, proto, rule, service, source, text, to, data and where)"},

	{name: "monitor kind", shop: true, src: `monitor("m", on = {"kind": "wier"}, check = lambda e: True)`, want: "5:1: monitor: `kind`: there is no \"wier\"; did you mean `wire`? (there are wire, step, syscall, life, output and note)"},
	{name: "monitor service", shop: true, src: `monitor("m", on = {"to": ["api", "dbb"]}, check = lambda e: True)`, want: "5:1: monitor: `to`: there is no \"dbb\"; did you mean `db`? (there are db, api and test)"},
	{name: "step at load", shop: true, src: `api.get(path = "/")`, want: "5:1: api.public.get: a step is taken in a test, not while the file loads; put it into a function that a test runs"},
	{name: "fault at load", shop: true, src: `fault(db, drop(), run = probe)`, want: "5:1: fault: it works in a test, not while the file loads; put it into a function that a test runs"},
	{name: "in a helper", shop: true, src: "def helper():\n    drop(nth = 0)\nhelper()", want: "6:10: drop: `nth`: want 1 or more, got 0\n    drop(nth = 0)\n         ^\n    called from faultbox.star:7:1"},
	{name: "assertion at load", src: `assert_eq(1, 2, "numbers")`, want: "1:1: numbers: got 1, want 2"},
	{name: "recursion", src: "def f():\n    f()\nf()", want: "2:5: function f called recursively: a spec has no recursion; use a for loop"},
	{name: "fail", src: `fail("no")`, want: "1:1: fail: no"},
	{name: "load missing", src: `load("x.star", "a")`, want: "1:1: load \"x.star\": no such file or directory"},
	{name: "load a folder", src: `load("folder", "a")`, want: "1:1: load \"folder\": is a folder, want a file"},
	{name: "load unknown name", src: `load("lib/a.star", "thnig")`, want: "1:1: load: name thnig not found in module lib/a.star; did you mean `thing`?"},
	{name: "load cycle", src: `load("lib/b.star", "b")`, want: "LIB lib/c.star:1:1: load \"b.star\": the file is being loaded already: lib/b.star loads lib/c.star loads lib/b.star"},
	{name: "load broken", src: `load("lib/broken.star", "b")`, want: "LIB lib/broken.star:2:6: drop: `nth`: want 1 or more, got 0"},
	{name: "recipe", src: `load("@faultbox/recipes/x.star", "b")`, want: "1:1: load \"@faultbox/recipes/x.star\": this build has no recipes"},
	{name: "other prefix", src: `load("@other/x.star", "b")`, want: "1:1: load \"@other/x.star\": what starts with @ must be @faultbox/recipes/NAME.star"},
	{name: "json", src: `load_json("bad.json")`, want: "1:11: load_json: bad.json:2: not JSON: invalid character '}' looking for beginning of value"},
	{name: "json missing", src: `load_json("x.json")`, want: "1:11: load_json: \"x.json\": no such file or directory"},
	{name: "while", src: "while True:\n    pass", want: "1:1: this Starlark dialect does not support while loops"},
}

func TestMistakes(t *testing.T) {
	chdir(t, map[string]string{
		"lib/a.star":      "thing = 1\n",
		"lib/b.star":      "load(\"c.star\", \"c\")\nb = 1\n",
		"lib/c.star":      "load(\"b.star\", \"b\")\nc = 1\n",
		"lib/broken.star": "b = 1\ndrop(nth = 0)\n",
		"folder/x":        "",
		"bad.json":        "{\"a\":\n}",
	})
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			src := m.src
			if m.shop {
				src = shop + src
			}
			if err := os.WriteFile("faultbox.star", []byte(src), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := Load(context.Background(), "faultbox.star", testOptions())
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got %T %v", err, err)
			}
			want, inModule := strings.CutPrefix(m.want, "LIB ")
			if !inModule {
				want = "faultbox.star:" + want
			}
			got := err.Error()
			if !strings.Contains(want, "\n") {
				got, _, _ = strings.Cut(got, "\n")
			}
			if got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			if len(e.Problems) == 0 || e.Problems[0].Source == "" && !strings.Contains(m.name, "parse") {
				t.Errorf("the offending line is not shown: %q", err)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	chdir(t, map[string]string{
		"folder/x":    "",
		"latin1.star": "a = 1\nb = \"\xe9\"\n",
		"huge.star":   strings.Repeat("# 34567\n", maxSource/8+1),
		"loop.star":   "for i in range(1 << 60):\n    pass\n",
		"parens.star": "a = " + strings.Repeat("(", 1<<20),
		"minus.star":  "a = " + strings.Repeat("-", 1<<20) + "1\n",
		"sum.star":    "a = 1" + strings.Repeat("\\\n+1", 1<<20) + "\n",
		"elif.star":   "if 1:\n  pass\n" + strings.Repeat("elif 2:\n  pass\n", 1<<16),
		"quote.star":  "a = \"\"\"" + strings.Repeat("(", 1<<10) + "\n",
		"nul.star":    "a = 1\x00\n",
	})
	o := testOptions()
	o.LoadTimeout = 50_000_000
	for file, want := range map[string]string{
		"missing.star": "missing.star: read the spec: no such file or directory",
		"folder":       "folder: read the spec: is a folder, want a file",
		"latin1.star":  "latin1.star: read the spec: line 2 is not UTF-8 text",
		"huge.star":    "huge.star: read the spec: is larger than 10 MB",
		"loop.star":    "loop.star:1:1: loading takes longer than 50ms; look for a loop that does not end",
		"parens.star":  "parens.star:1:1: this expression is nested too deeply",
		"minus.star":   "minus.star:1:1: this expression is nested too deeply",
		"sum.star":     "sum.star:5000:1: this expression is nested too deeply",
		"elif.star":    "elif.star:20003:1: this expression is nested too deeply",
		"quote.star":   "quote.star:1:5: unexpected EOF in string",
		"nul.star":     "nul.star: read the spec: line 1 is not UTF-8 text",
	} {
		_, err := Load(context.Background(), file, o)
		if err == nil {
			t.Errorf("%s loads", file)
			continue
		}
		if got, _, _ := strings.Cut(err.Error(), "\n"); got != want {
			t.Errorf("\n got %s\nwant %s", got, want)
		}
	}
	if _, err := Load(context.Background(), filepath.Join("folder", "x"), o); err != nil {
		t.Errorf("an empty spec: %v", err)
	}
}
