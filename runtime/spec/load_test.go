package spec

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/http1"
	"faultbox/protocols/postgres"
	"faultbox/protocols/redis"
)

func TestDialect(t *testing.T) {
	s := loadText(t, `
x = 1
x = x + 1
for i in range(3):
    x += i
if x == 5:
    unique = set([1, 1, 2])
def order(*args, **kwargs):
    return (args, sorted(kwargs.items()))
more, rest = [3], {"d": 4}
assert_eq(order(a = 1, 2, **rest, *more, b = 5), ((2, 3), [("a", 1), ("b", 5), ("d", 4)]))
assert_eq(len(unique), 2)
def test_shadow():
    def scenario():
        return 1
    assert_eq(scenario(), 1)
service = "a name like any other"
assert_eq(service.title(), "A Name Like Any Other")
print("loaded", x)
assert_eq(struct(a = 1).a, 1)
assert_eq(json.decode(json.encode({"a": [1]})), {"a": [1]})
`)
	if got := strings.Join(s.Warnings, ","); got != "faultbox.star:19:1: loaded 5" {
		t.Errorf("warnings: %s", got)
	}
}

func TestService(t *testing.T) {
	s := loadText(t, `
def nothing():
    pass
service("sh", "sh", args = ["-c", "exit", 1])
db = service("db",
    build = "./image",
    interface("main", "postgres", 5432, tls = True),
    interface("rpc", "grpc", 1, descriptors = ["api.pb"]),
    env = {"A": 1, "B": True, "C": "c=d"},
    user = "nobody", workdir = "/srv",
    depends_on = ["late"],
    healthcheck = tcp("localhost:5432", timeout = "1m"),
    volumes = {"./init": "/init:ro", "/abs": "/abs"}, ports = {15432: 5432},
    observe = [stdout(decoder = json_decoder()), stderr(decoder = logfmt_decoder()), stdout(regex_decoder("(?P<level>[A-Z]+): "))],
    ops = {"wal": op(syscalls = ["write", "fsync"], path = "/wal/**")},
    seed = nothing, reset = lambda: None, reuse = True,
)
service("late", container = "running")
service("local", "./bin/local", workdir = "tmp", ports = None)
`)
	db := s.Service("db")
	got := fmt.Sprintf("%s %v %s %s %v %s %s %v %v %v %v", db.Pos, db.Env, db.User, db.Workdir, db.DependsOn, db.Health.Addr, db.Health.Timeout, db.Volumes, db.Ports, db.Reuse, db.Interfaces[0].TLS)
	want := fmt.Sprintf("faultbox.star:5:6 [A=1 B=true C=c=d] nobody /srv [late] localhost:5432 1m0s [{%s /init ro} {/abs /abs }] [{15432 5432}] true true", filepath.Join(s.Dir, "init"))
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if db.Seed == nil || db.Reset == nil || db.Interfaces[1].Descriptors[0] != filepath.Join(s.Dir, "api.pb") {
		t.Errorf("db: %+v", db)
	}
	for i, line := range []string{`{"a": 1, "b": {"c": []}}`, `level=info msg="a b" n=1 stray`, "WARN: x"} {
		fields, ok := db.Observe[i].Decode(line)
		want := []string{"map[a:1 b:map[c:[]]]", "map[level:info msg:a b n:1]", "map[level:WARN]"}[i]
		if fmt.Sprint(fields) != want || !ok {
			t.Errorf("%s: %v %v", line, fields, ok)
		}
		if fields, ok := db.Observe[i].Decode("no such form"); ok {
			t.Errorf("decoded %v", fields)
		}
	}
	if sh := s.Service("sh"); sh.Binary != "sh" || fmt.Sprint(sh.Args) != "[-c exit 1]" {
		t.Errorf("sh: %+v", sh)
	}
	if l := s.Service("local"); l.Binary != filepath.Join(s.Dir, "bin/local") || l.Workdir != filepath.Join(s.Dir, "tmp") {
		t.Errorf("local: %+v", l)
	}
}

// Local services are reached at localhost until there is a container, also
// one that is declared later.
func TestAddresses(t *testing.T) {
	local := `a = service("a", "./a", interface("main", "redis", 1))
b = service("b", "./b", env = {"ADDR": a.main.internal_addr, "ALL": "%s %s %s %d %s" % (a.addr, a.main.proxy_addr, a.host, a.port, a.main.protocol)})
`
	s := loadText(t, local)
	if got := fmt.Sprint(s.Service("b").Env); got != "[ADDR=localhost:1 ALL=localhost:1 localhost:1 localhost 1 redis]" {
		t.Error(got)
	}
	s = loadText(t, local+`service("c", image = "c")`)
	if got := fmt.Sprint(s.Service("b").Env); got != "[ADDR=a:1 ALL=a:1 a:1 a 1 redis]" {
		t.Error(got)
	}
}

func TestModules(t *testing.T) {
	chdir(t, map[string]string{
		"faultbox.star":       "load(\"lib/topology.star\", \"db\", other = \"api\")\nload(\"@faultbox/recipes/disk.star\", \"full\")\nload(\"lib/topology.star\", again = \"db\")\nfull(db)\ndef probe():\n    return other.get(\"/\")\nscenario(probe)\n",
		"lib/topology.star":   "load(\"more/api.star\", _api = \"api\")\napi = _api\ndb = service(\"db\", \"./db\", interface(\"main\", \"postgres\", 5432))\ndef test_lib():\n    pass\n",
		"lib/more/api.star":   "api = service(\"api\", build = \"./api\", interface(\"public\", \"http\", 80))\n",
		"lib/more/other.star": "",
	})
	o := testOptions()
	o.Recipes = fstest.MapFS{
		"disk.star":  {Data: []byte("load(\"parts.star\", \"part\")\ndef full(target):\n    fault_scenario(\"full\", scenario = lambda: 1, faults = error(target = target, message = part))\n")},
		"parts.star": {Data: []byte("part = \"disk full\"\n")},
	}
	s, err := Load(context.Background(), "faultbox.star", o)
	if err != nil {
		t.Fatal(err)
	}
	if r := findTest(t, s, "full").Rules[0]; r.Fault.Reply.Code != "53100" || r.Pos != "@faultbox/recipes/disk.star:3:59" {
		t.Errorf("rule: %+v", r)
	}
	findTest(t, s, "probe")
	if p := findTest(t, s, "test_lib").Pos; p != "lib/topology.star:4:1" {
		t.Errorf("test_lib is at %s", p)
	}
	if len(s.Services) != 2 || s.Service("api").Build != filepath.Join(s.Dir, "api") {
		t.Errorf("services: %+v", s.Services)
	}
	o.Recipes = fstest.MapFS{"disks.star": {}}
	_, err = Load(context.Background(), "faultbox.star", o)
	if want := "faultbox.star:2:1: load \"@faultbox/recipes/disk.star\": there is no such recipe; did you mean `disks.star`? (there are disks.star)"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v", err)
	}
}

func TestTriggersAndFaults(t *testing.T) {
	s := loadText(t, shop+`
kafka = service("kafka", "./kafka", interface("main", "kafka", 9092))
every = fault_assumption("all", target = db,
    error(query = "A*", probability = "30%", code = 1234, message = "x", severity = "FATAL", label = "first"),
    delay(delay = 1.5, jitter = "10ms", nth = 2, times = 3, after = 1, source = api),
    drop(when = "after", every = 2, source = "test"),
    truncate(bytes = 10), duplicate(), reset(probability = "0%"),
    rules = [drop(target = kafka, topic = "t"), drop(target = kafka.main, when = "after"), response(target = api, path = "/x", headers = {"A": "b"}, body = {"n": [1]}),
             error("full", target = api, headers = {"accept": "*"}, status = 503)],
)
more = fault_assumption("more", target = db, reset())
fault_assumption("nested", faults = [more, drop(target = db)], description = "two")
fault_scenario("t", scenario = probe, faults = [fault_assumption("all again", target = db, drop(query = "B")), more], timeout = "1m")
`)
	test := findTest(t, s, "t")
	if got := fmt.Sprint(test.Faults, len(test.Rules), test.Timeout); got != "[all again more] 2 1m0s" {
		t.Error(got)
	}
	rules := assumptionRules(t, s.Dir, "all")
	var got []string
	for _, r := range rules {
		f := r.Fault
		line := fmt.Sprintf("%s: %s/%s %s %s delay=%s jitter=%s when=%d bytes=%d", r.Name, r.Proto, r.Interface, r.String(), f.Do, f.Delay, f.Jitter, f.When, f.Bytes)
		if f.Reply != nil {
			line += fmt.Sprintf(" reply=%+v", *f.Reply)
		}
		got = append(got, line)
	}
	want := []string{
		`first: postgres/main db query="A*", probability=0.3 answer delay=0s jitter=0s when=0 bytes=0 reply=` + fmt.Sprintf("%+v", protocols.Reply{Error: true, Message: "x", Code: "1234", Details: map[string]string{"severity": "FATAL"}}),
		`all: postgres/main api → db, nth=2, after=1, times=3 pass delay=1.5s jitter=10ms when=0 bytes=0`,
		`all: postgres/main test → db, every=2 close delay=0s jitter=0s when=1 bytes=0`,
		`all: postgres/main db cut delay=0s jitter=0s when=1 bytes=10`,
		`all: postgres/main db twice delay=0s jitter=0s when=0 bytes=0`,
		`all: postgres/main db, probability=0 reset delay=0s jitter=0s when=0 bytes=0`,
		`all: kafka/main kafka topic="t" lose delay=0s jitter=0s when=0 bytes=0`,
		`all: kafka/main kafka close delay=0s jitter=0s when=1 bytes=0`,
		`all: http/public api path="/x" answer delay=0s jitter=0s when=0 bytes=0 reply=` + fmt.Sprintf("%+v", protocols.Reply{Headers: []protocols.Attr{{Name: "A", Value: "b"}}, Value: map[string]any{"n": []any{int64(1)}}}),
		`all: http/public api headers[accept]="*" answer delay=0s jitter=0s when=0 bytes=0 reply=` + fmt.Sprintf("%+v", protocols.Reply{Error: true, Message: "full", Status: 503, Details: map[string]string{}}),
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Errorf("rule %d:\n got %v\nwant %v", i, got[min(i, len(got)-1):], want[min(i, len(want)-1):])
			break
		}
	}
}

// assumptionRules loads the spec in the current folder with a test made of one
// of its assumptions.
func assumptionRules(t *testing.T, dir, name string) []intercept.Rule {
	t.Helper()
	l, err := load(context.Background(), filepath.Join(dir, "faultbox.star"), testOptions(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range l.order {
		for _, v := range m.globals {
			if a, ok := v.(*assumptionValue); ok && a.name == name {
				return a.rules()
			}
		}
	}
	t.Fatalf("no global holds the assumption %s", name)
	return nil
}

func TestSyscallFaults(t *testing.T) {
	s := loadText(t, diskFaults)
	test := findTest(t, s, "t")
	var got []string
	for _, r := range test.Rules {
		got = append(got, fmt.Sprintf("%s %s %s errno=%d bytes=%d delay=%s", r.Proto, r.String(), r.Fault.Do, r.Fault.Errno, r.Fault.Bytes, r.Fault.Delay))
	}
	want := []string{
		`redis disk command="SET" close errno=0 bytes=0 delay=0s`,
		`syscall disk call="write", fd="file", files="own" deny errno=5 bytes=0 delay=0s`,
		`syscall disk call="fsync", files="own" pass errno=0 bytes=0 delay=5ms`,
		`syscall disk call="fsync", path="/x/*" lie errno=0 bytes=0 delay=0s`,
		`syscall disk call="connect", to="db" deny errno=111 bytes=0 delay=0s`,
		`syscall disk call="read", fd="socket" deny errno=104 bytes=0 delay=0s`,
		`syscall disk call="open", files="own" deny errno=13 bytes=0 delay=0s`,
		`syscall disk call="write|fsync", path="/wal/**", nth=3 kill errno=0 bytes=0 delay=0s`,
		`syscall disk call="sendto" short errno=0 bytes=10 delay=0s`,
		`syscall disk call="sendto", to="db.main" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="db.main" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="10.0.0.?:*" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="[::1]:5432" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="/run/db.sock" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="*:5432" pass errno=0 bytes=0 delay=1s`,
		`syscall disk call="sendto", to="d*" pass errno=0 bytes=0 delay=1s`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
	o := testOptions()
	o.CheckSyscall = nil
	_, err := Load(context.Background(), "faultbox.star", o)
	if err == nil || !strings.Contains(err.Error(), "faultbox.star:5:82: op: `syscalls`: element 1: `write`: this build of faultbox has no faults of system calls") {
		t.Errorf("got %v", err)
	}
}

const diskFaults = shop + `disk = service("disk", "./disk", interface("main", "redis", 1), ops = {"wal": op(syscalls = ["write", "fsync"], path = "/wal/**")})
a = fault_assumption("a", target = disk.main,
    write = deny("EIO"), fsync = [delay("5ms"), lie(path = "/x/*")], connect = deny("ECONNREFUSED", to = db),
    read = deny("econnreset"), open = deny("EACCES"), wal = crash(nth = 3), sendto = [short(10)] + [delay("1s", to = t) for t in (db.main, "db.main", "10.0.0.?:*", "[::1]:5432", "/run/db.sock", "*:5432", "d*")],
    drop(command = "SET"))
b = fault_assumption("b", target = disk, write = allow(), drop())
fault_scenario("t", scenario = probe, faults = a)
`

// What a test may come to use decides which traffic is intercepted.
func TestUses(t *testing.T) {
	s := loadText(t, shop+`
scenario(probe)
def inner():
    fault_start(db, drop())
table = {"a": inner}
def helper():
    return table["a"]
def test_deep():
    helper()()
def test_plain():
    probe()
def test_events():
    return [e for e in events()]
fault_scenario("expects", scenario = probe, faults = drop(target = db), expect = lambda r: assert_never(op = "x"))
fault_scenario("plain", scenario = lambda: probe(), faults = drop(target = db), expect = lambda r: True)
`)
	for name, want := range map[string]string{
		"probe": "false 0", "test_deep": "true 0", "test_plain": "false 0", "test_events": "false 2", "expects": "false 2", "plain": "false 0",
	} {
		test := findTest(t, s, name)
		if got := fmt.Sprint(test.Dynamic, len(test.Traced)); got != want {
			t.Errorf("%s: dynamic, traced = %s, want %s", name, got, want)
		}
	}
	s = loadText(t, shop+"scenario(probe)\nmonitor(\"m\", on = {}, check = lambda e: True)\n")
	if test := findTest(t, s, "probe"); len(test.Traced) != 2 {
		t.Errorf("with a monitor: %v", test.Traced)
	}
}

func TestFiles(t *testing.T) {
	chdir(t, map[string]string{
		"dir/faultbox.star": `assert_eq(load_file("a.txt"), "text\n")
assert_eq(load_json("a.json"), {"n": 1, "f": 1.5, "big": 123456789012345678901, "l": [None, True]})
assert_eq(load_yaml("a.yaml"), {"a": {"1": "x"}, "b": [1, 2.5]})
`,
		"dir/a.txt":  "text\n",
		"dir/a.json": `{"n": 1, "f": 1.5, "big": 123456789012345678901, "l": [null, true]}`,
		"dir/a.yaml": "a: {1: x}\nb: [1, 2.5]\n",
	})
	s, err := Load(context.Background(), "dir/faultbox.star", testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if s.File != "dir/faultbox.star" || !filepath.IsAbs(s.Dir) {
		t.Errorf("file %s in %s", s.File, s.Dir)
	}
}

func TestCancelLoad(t *testing.T) {
	chdir(t, map[string]string{"faultbox.star": "for i in range(1 << 60):\n    pass\n"})
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := Load(ctx, "faultbox.star", testOptions()); err == nil || !strings.Contains(err.Error(), "deadline") {
		t.Errorf("got %v", err)
	}
}

// TestRealProtocols loads the chapter with the real protocols that know the
// faults in it.
func TestRealProtocols(t *testing.T) {
	o := testOptions()
	for i, p := range o.Protocols {
		for _, own := range []*protocols.Protocol{http1.Protocol, postgres.Protocol, redis.Protocol} {
			if own.Name == p.Name {
				o.Protocols[i] = own
			}
		}
	}
	s, err := Load(context.Background(), "testdata/chapter8.star", o)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"insert_fails": "53100 disk full", "redis_readonly": "READONLY READONLY", "cache_miss": " "} {
		reply := findTest(t, s, name).Rules[0].Fault.Reply
		if got := reply.Code + " " + reply.Message; got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Faults of the network and of processes become rules by themselves; latency
// becomes a delay on every edge.
func TestStandingRules(t *testing.T) {
	s := loadText(t, shop+`
fault_scenario("t", scenario = probe, faults = fault_assumption("a",
    partition(api, db), partition(api, "db", direction = "from", label = "back"), latency(api, db, delay = "50ms", jitter = "5ms"),
    loss(api, percent = "5%"), bandwidth(db, rate = "2.5mbit"), kill(db), pause(api, duration = "2s"), restart(db)))
`)
	var got []string
	for _, r := range findTest(t, s, "t").Rules {
		got = append(got, fmt.Sprintf("%s %s %s→%s %s p=%g %s+%s %d", r.Name, r.Proto, r.From, r.To, r.Fault.Do, r.Trigger.Prob, r.Fault.Delay, r.Fault.Jitter, r.Fault.Rate))
	}
	want := []string{
		"a network api→db lose p=1 0s+0s 0",
		"a network db→api lose p=1 0s+0s 0",
		"back network db→api lose p=1 0s+0s 0",
		"a postgres api→db pass p=1 50ms+5ms 0",
		"a network api→ lose p=0.05 0s+0s 0",
		"a network db→ pass p=1 0s+0s 2500000",
		"a process →db kill p=1 0s+0s 0",
		"a process →api pause p=1 2s+0s 0",
		"a process →db restart p=1 0s+0s 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

// TestNamedCalls finds the calls that a body may come to fault or trace.
func TestNamedCalls(t *testing.T) {
	s := loadText(t, shop+`
disk = service("disk", "./disk", interface("main", "redis", 1), ops = {"wal": op(syscalls = ["sendto"], path = "/wal/**")})
names = ["read"]
def test_calls():
    fault_start(disk, write = deny("EIO"), wal = crash())
    trace(disk, syscalls = ["connect"], run = lambda: None)
    fault(disk, **{"open": deny("EIO")}, run = probe)
def test_none():
    pass
scenario(probe)
`)
	if got := strings.Join(findTest(t, s, "test_calls").Calls, " "); got != "connect open sendto write" {
		t.Errorf("calls %q", got)
	}
	if got := findTest(t, s, "test_none").Calls; got != nil {
		t.Errorf("a test without faults of its own has %q watched", got)
	}
}
