package spec

import (
	"strings"
	"testing"

	"faultbox/runtime"
)

const passed, failed, inconclusive = runtime.Passed, runtime.Failed, runtime.Inconclusive

func TestFaultScenario(t *testing.T) {
	got := play(t, `def insert():
    return api.get(path = "/INSERT 1")
scenario(insert)
full = fault_assumption("full", target = db.main, error(query = "INSERT*", message = "disk full"))
fault_scenario("seen", scenario = insert, faults = full, expect = lambda r: assert_eq(r.status, 500))
fault_scenario("wrong", scenario = insert, faults = full,
    expect = lambda r: assert_eq(r.status, 201, "created"))
fault_scenario("false", scenario = insert, faults = full,
    expect = lambda r: r.ok)
fault_scenario("true", scenario = insert, faults = full, expect = lambda r: not r)
fault_scenario("silent", scenario = insert, faults = full)
fault_scenario("idle", scenario = lambda: api.get(path = "/SELECT 1"), faults = full)
fault_scenario("raises", scenario = lambda: api.get(path = "/INSERT").nothing, faults = full)
def own():
    return db.query(sql = "SELECT 1")
def check(r):
    assert_true(not r.ok and "proxy" in r.error)
    assert_true(own().ok, "an own step in expect is not faulted")
fault_scenario("own steps", scenario = lambda: [api.get(path = "/INSERT"), own()][1], faults = full, expect = check)
fault_scenario("success", scenario = insert, faults = full, expect = expect_success())
fault_scenario("error", scenario = insert, faults = full, expect = expect_error_within(ms = 60000))
fault_scenario("nothing", scenario = lambda: None if insert() else None, faults = full, expect = expect_success())
slow = fault_assumption("slow", target = db, delay(delay = "1ms", label = "late"))
fault_matrix(scenarios = [insert], faults = [full, slow], default_expect = expect_success(),
    overrides = {(insert, full): expect_error_within(ms = 60000)})
fault_scenario("raw", scenario = insert, faults = [drop(target = db), slow], expect = lambda r: not r.ok)
`)
	got.check(t, "insert", passed, "", "")
	got.check(t, "seen", passed, "", "")
	rec := got.check(t, "wrong", failed, "faultbox.star:9:24", "created: got 500, want 201")
	if strings.Join(rec.Stack, "\n") != "faultbox.star:9:24 in lambda" {
		t.Errorf("stack: %q", rec.Stack)
	}
	got.check(t, "false", failed, "faultbox.star:11:14", "expect returned False for response(ok=False, status=500")
	got.check(t, "true", passed, "", "")
	rec = got.check(t, "silent", passed, "", "")
	if len(rec.Faults) != 1 || rec.Faults[0].Name != "full" || rec.Faults[0].Acted != 1 || rec.Faults[0].Pos != "faultbox.star:6:51" {
		t.Errorf("faults: %+v", rec.Faults)
	}
	got.check(t, "idle", inconclusive, "", `query="INSERT*"`)
	got.check(t, "raises", failed, "", "faultbox.star:15:70: response has no .nothing field or method\n    fault_scenario(\"raises\"")
	got.check(t, "own steps", passed, "", "")
	got.check(t, "success", failed, "faultbox.star:22:70", "expected success, got response(ok=False, status=500")
	got.check(t, "error", passed, "", "")
	got.check(t, "nothing", failed, "faultbox.star:24:98", "expect_success judges a response, or a list of them; the scenario returned None")
	got.check(t, "matrix[insert/full]", passed, "", "")
	got.check(t, "matrix[insert/slow]", passed, "", "")
	rec = got.check(t, "raw", passed, "", "")
	if len(rec.Faults) != 2 || rec.Faults[0].Name != "drop()" || rec.Faults[1].Name != "late" {
		t.Errorf("faults: %+v", rec.Faults)
	}
}

// Each fault counts by itself, however few lines the spec says them in; an
// assumption that is there twice counts once.
func TestFaultsCountOneByOne(t *testing.T) {
	got := play(t, `def insert():
    return api.get(path = "/INSERT 1")
fault_scenario("patterns", scenario = insert, faults = fault_assumption("cut off",
    rules = [delay(target = db, query = q, delay = "1ms") for q in ["INSERT*", "DELETE*"]]))
def slow(query):
    return delay(target = db, query = query, delay = "1ms")
fault_scenario("helper", scenario = insert, faults = fault_assumption("slowed", slow("INSERT*"), slow("UPDATE*")))
one = fault_assumption("one", target = db, drop(query = "INSERT*"))
fault_scenario("twice", scenario = insert, faults = [one, fault_assumption("both", faults = [one], slow("INSERT*"))])
def test_again_and_again():
    for n in range(3):
        fault(db, delay(query = "INSERT*", delay = "1ms", label = "late"), run = lambda: api.get(path = "/INSERT" if n else "/SELECT"))
`)
	got.check(t, "patterns", inconclusive, "", `cut off matched nothing: no traffic like (db query="DELETE*")`)
	got.check(t, "helper", inconclusive, "", `no traffic like (db query="UPDATE*")`)
	if rec := got.check(t, "twice", passed, "", ""); len(rec.Faults) != 2 {
		t.Errorf("faults: %+v", rec.Faults)
	}
	rec := got.check(t, "test_again_and_again", passed, "", "")
	if f := rec.Faults[0]; len(rec.Faults) != 1 || f.Acted != 2 || f.Armed != 3 || f.InVain != 1 {
		t.Errorf("faults: %+v", rec.Faults)
	}
}

func TestImperative(t *testing.T) {
	got := play(t, `def get(sql):
    return lambda: api.get(path = "/" + sql)
def test_fault():
    r = fault(db.main, error(query = "INSERT*", message = "disk full"), run = get("INSERT 1"))
    assert_eq(r.body, "disk full")
    assert_true(get("INSERT 2")().ok, "the fault is off again")
full = fault_assumption("full", target = db, error(message = "disk full"))
def test_all():
    assert_eq(fault_all([full], run = get("SELECT")).status, 500)
def helper():
    fault_start(db, drop(query = "INSERT*"))
def test_start_stop():
    helper()
    assert_true(not get("INSERT")().ok)
    fault_stop(db)
    assert_true(get("INSERT")().ok)
def test_stop_nothing():
    fault_stop(db)
def test_never_struck():
    fault(db, drop(query = "DELETE*"), run = get("INSERT"))
def test_bad_matcher():
    fault(db, drop(qurey = "DELETE*"), run = get("INSERT"))
def test_plain():
    assert_true(get("INSERT")().ok)
def test_declares():
    service("late", "./late")
`)
	got.check(t, "test_fault", passed, "", "")
	got.check(t, "test_all", passed, "", "")
	got.check(t, "test_start_stop", passed, "", "")
	got.check(t, "test_stop_nothing", failed, "", `faultbox.star:20:5: fault_stop: no fault was started for service("db")`)
	got.check(t, "test_never_struck", inconclusive, "", "DELETE*")
	got.check(t, "test_bad_matcher", failed, "", "faultbox.star:24:20: drop: postgres cannot be matched by `qurey`; did you mean `query`?")
	got.check(t, "test_plain", passed, "", "")
	got.check(t, "test_declares", failed, "", "faultbox.star:28:5: service: it declares something, which is done while the file loads, not in a test")
}

func TestTimeoutsAndParallel(t *testing.T) {
	got := play(t, `def hang():
    return api.get(path = "/hang")
late = fault_assumption("late", target = db, delay(delay = "1ms"))
def both():
    api.get(path = "/INSERT")
    return hang()
fault_scenario("times out", scenario = both, faults = late, timeout = "50ms")
def spin():
    api.get(path = "/INSERT")
    for i in range(1 << 60):
        pass
fault_scenario("spins", scenario = spin, faults = late, timeout = "50ms")
fault_scenario("hangs", scenario = both, faults = late, expect = expect_hang(ms = 30))
fault_scenario("does not hang", scenario = lambda: api.get(path = "/INSERT"), faults = late, expect = expect_hang(ms = 5000))
def test_order():
    seen = []
    def slow():
        api.get(path = "/slow")
        seen.append("slow")
        return 1
    def fast():
        seen.append("fast")
        return 2
    assert_eq(parallel(slow, fast), [1, 2])
    assert_eq(seen, ["fast", "slow"])
def test_fails():
    def bad():
        assert_eq(1, 2)
    parallel(lambda: 1, bad)
shared = []
def test_global():
    shared.append(1)
def test_sleep():
    sleep("1ms")
    sleep(0.001)
    assert_true(eventually(lambda: api.get(path = "/slow")))
    assert_true(not eventually(lambda: False, timeout = "30ms"))
`)
	got.check(t, "times out", failed, "", "timed out after 50ms")
	got.check(t, "spins", failed, "", "timed out after 50ms")
	got.check(t, "hangs", passed, "", "")
	got.check(t, "does not hang", failed, "faultbox.star:16:103", "expected it to hang for 5s, it ended after")
	got.check(t, "test_order", passed, "", "")
	rec := got.check(t, "test_fails", failed, "faultbox.star:30:9", "got 1, want 2")
	if strings.Join(rec.Stack, "; ") != "faultbox.star:30:9 in bad" {
		t.Errorf("stack: %q", rec.Stack)
	}
	got.check(t, "test_global", failed, "", "faultbox.star:34:5: append: cannot append to frozen list: what a file defines at its top level does not change")
	got.check(t, "test_sleep", passed, "", "")
}

func TestTimeline(t *testing.T) {
	got := play(t, `def work():
    api.get(path = "/BEGIN")
    api.get(path = "/INSERT 1")
    return api.get(path = "/COMMIT")
def test_events():
    work()
    wire = events(kind = "wire")
    assert_eq([e.op for e in wire], ["BEGIN", "INSERT", "COMMIT"])
    e = wire[1]
    assert_eq((e.source, e.to, e.interface, e.proto, e.text, e.outcome), ("api", "db", "main", "postgres", "INSERT 1", "answered"))
    assert_eq(getattr(e, "from"), "api")
    assert_eq(len(events(kind = "step", to = "api")), 3)
    assert_eq(len(events(service = "db", op = ["begin", "commit"])), 2)
    assert_eq(len(events(where = lambda e: e.text.startswith("INS"))), 1)
    assert_eq(len(events({"op": "COM*", "kind": "wire"})), 1)
    assert_eventually(op = "COMMIT")
    assert_eventually(lambda: True)
    assert_never(op = "DELETE", during = "5ms")
    assert_before(first = {"op": "BEGIN"}, then = lambda e: e.op == "COMMIT")
    print("a note")
    assert_eventually(kind = "note", note = "a note")
def test_eventually():
    work()
    assert_eventually(op = "DELETE", to = "db", timeout = "5ms", msg = "deleted")
def test_never():
    work()
    assert_never(text = "insert *")
def test_before():
    work()
    assert_before(first = {"op": "COMMIT"}, then = {"op": "BEGIN"})
def test_unknown_filter():
    events(opp = "x")
def test_unknown_value():
    assert_never(to = "dbb")
def test_monitor():
    def once(e, earlier):
        assert_eq(len(earlier), 0, "commits")
    monitor("one commit", on = {"op": "COMMIT", "kind": "wire"}, check = once)
    work()
    work()
def test_monitor_holds():
    monitor("no deletes", on = {"kind": "wire"}, check = lambda e: e.op != "DELETE")
    work()
def test_monitor_false():
    monitor("no commits", on = {"kind": "wire"}, check = lambda e: e.op != "COMMIT")
    work()
`)
	got.check(t, "test_events", passed, "", "")
	got.check(t, "test_eventually", failed, "faultbox.star:26:5", `deleted: no event like (op="DELETE", to="db") within 5ms`)
	got.check(t, "test_never", failed, "faultbox.star:29:5", `there is an event like (text="insert *"): event(wire api db INSERT INSERT 1)`)
	got.check(t, "test_before", failed, "faultbox.star:32:5", "event(wire api db COMMIT COMMIT) came after event(wire api db BEGIN BEGIN)")
	got.check(t, "test_unknown_filter", failed, "", "faultbox.star:34:12: events: unknown filter `opp`; did you mean `op`?")
	got.check(t, "test_unknown_value", failed, "", "faultbox.star:36:18: assert_never: `to`: there is no \"dbb\"; did you mean `db`?")
	got.check(t, "test_monitor", failed, "faultbox.star:39:9", `monitor "one commit": commits: got 1, want 0 (event(wire api db COMMIT`)
	got.check(t, "test_monitor_holds", passed, "", "")
	got.check(t, "test_monitor_false", failed, "faultbox.star:47:5", `monitor "no commits" does not hold for event(wire api db COMMIT`)
}

func TestSteps(t *testing.T) {
	got := play(t, `def test_args():
    r = api.post("/args", body = {"a": [1, 2.5, None]}, timeout = "2s")
    assert_eq(r.data["method"], "post")
    assert_eq(r.data["args"], "map[body:map[a:[1 2.5 <nil>]] path:/args timeout:2s]")
    assert_eq(api.public.get(path = "/args").data["args"], "map[path:/args timeout:10s]")
    assert_true(r)
    assert_eq((r.status, r.ok, r.error, r.error_code, r.headers, r.duration_ms >= 0), (200, True, "", "", {}, True))
def test_unknown():
    api.get(pth = "/")
def test_kind():
    api.get(path = 5)
def test_missing():
    api.get()
def test_timeout():
    api.get("/", timeout = "soon")
def test_method():
    api.gett("/")
def test_position():
    api.get("/", "body")
`)
	got.check(t, "test_args", passed, "", "")
	got.check(t, "test_unknown", failed, "", "faultbox.star:11:13: api.public.get: unknown argument `pth`; did you mean `path`? (it takes path, body, headers and timeout)")
	got.check(t, "test_kind", failed, "", "faultbox.star:13:13: api.public.get: `path`: want a string, got int 5")
	got.check(t, "test_missing", failed, "", "faultbox.star:15:5: api.public.get: `path` is missing")
	got.check(t, "test_timeout", failed, "", "faultbox.star:17:18: api.public.get: `timeout`: \"soon\" is no duration")
	got.check(t, "test_method", failed, "", "service(\"api\") has no `gett`; did you mean `get`?")
	got.check(t, "test_position", failed, "", "faultbox.star:21:18: api.public.get: too many arguments: \"body\" is one more than it takes by position")
}

func TestHooksRun(t *testing.T) {
	chdirSystem := `def fill():
    assert_true(db2.query(sql = "INSERT").ok)
db2 = service("db2", "./db2", interface("main", "postgres", 5433), seed = fill, reset = lambda: db2.query("DELETE"), reuse = True)
def test_one():
    assert_eq(len(events(kind = "step", to = "db2", op = "query")), 1)
def test_two():
    assert_eq(len(events(kind = "step", to = "db2", op = "query")), 1)
`
	got := play(t, chdirSystem)
	got.check(t, "test_one", passed, "", "")
	got.check(t, "test_two", passed, "", "")
}

// Tests that run side by side share what the file defines.
func TestJobs(t *testing.T) {
	src := "limits = {\"a\": [1, 2, 3]}\ndef twice(x):\n    return 2 * x\n"
	for i := range 12 {
		src += strings.ReplaceAll(`def test_N():
    def work():
        for n in limits["a"]:
            assert_eq(twice(n), n + n)
            assert_true(api.get(path = "/slow"))
        return len(events(kind = "step"))
    assert_true(max(parallel(work, work, work)) >= 3)
`, "N", string(rune('a'+i)))
	}
	got := playJobs(t, src, 4)
	if len(got) != 12 {
		t.Errorf("%d tests ran", len(got))
	}
	for name := range got {
		got.check(t, name, passed, "", "")
	}
}
