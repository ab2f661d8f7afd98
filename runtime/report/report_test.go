package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/runtime"
)

var edge = intercept.Edge{From: "api", To: "db", Interface: "main"}

// a run with one test that failed.
var records = []runtime.Record{
	{Start: &runtime.StartRecord{File: "x.star", Seed: 7, Tests: 1, Warnings: []string{"x.star:1:1: odd"}}},
	{Service: &runtime.ServiceRecord{Test: "t", Service: "db", State: "ready", Detail: "127.0.0.1:5432", Took: 1500 * time.Microsecond}},
	{Begin: &runtime.BeginRecord{Test: "t"}},
	{Test: &runtime.TestRecord{
		Name: "t", Verdict: runtime.Failed, Took: 1234 * time.Millisecond, Seed: 7,
		Reason: "got 200, want 503\nnote: more", FailPos: "x.star:9:3", Stack: []string{"x.star:12:1 in outer", "x.star:9:3 in inner"},
		Faults: []runtime.FaultRecord{
			{Name: "insert_error", To: "db", Matched: 2, Fired: 1, Acted: 1, Touched: []runtime.Touch{{Op: "INSERT", Edge: edge, Outcome: "answered 53100", Count: 1}}, Armed: 3, InVain: 2},
			{Name: "idle", To: "db", Why: "matched nothing"},
		},
		Events: []intercept.Event{
			{Kind: intercept.Life, To: "db", Op: "ready"},
			{Seq: 1, From: "api", To: "db", Proto: "postgres", Op: "INSERT", Text: "insert\n into t\x00", Err: "53100", Outcome: intercept.Replaced, Rules: []string{"insert_error"}},
			{Seq: 2, From: "api", To: "cache", Proto: "redis", Op: "GET", Key: "k"},
			{Kind: intercept.Note, From: "api", To: "db", Note: "cannot follow"},
		},
		Repeat: "faultbox test x.star --test t --seed 7",
	}},
	{End: &runtime.EndRecord{Took: 2 * time.Second, Counts: map[runtime.Verdict]int{runtime.Failed: 1}, Verdict: runtime.Failed}},
}

func write(t *testing.T, s runtime.Sink) {
	t.Helper()
	for _, r := range records {
		if err := s.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	write(t, &Console{W: &out})
	const want = `faultbox x.star  1 test, seed 7
warning: x.star:1:1: odd

  • db ready after 1.5ms on 127.0.0.1:5432
✗ t                                                 1.23s  FAILED
    insert_error: 1 of 2 INSERT on api → db answered 53100
    insert_error: put into force 3 times, of which 2 touched nothing
    idle: touched nothing
    got 200, want 503
    note: more
      at x.star:9:3 in inner
      called from x.star:12:1 in outer
    last events:
        +0.000s  api → db       insert into t` + "\x00" + ` → 53100 [replaced] by insert_error  0s
        +0.000s  api → db       cannot follow
    repeat: faultbox test x.star --test t --seed 7

1 failed in 2s
`
	got := strings.ReplaceAll(out.String(), "db ready after 2ms", "db ready after 1.5ms")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("colours without a terminal")
	}
	out.Reset()
	write(t, &Console{W: &out, Color: true})
	if !strings.Contains(out.String(), "\x1b[31m✗\x1b[0m") {
		t.Error("no colours although asked for")
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	write(t, JSON{W: &out})
	var types []string
	for line := range strings.Lines(out.String()) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		types = append(types, o["type"].(string))
		if o["type"] == "test" && (o["verdict"] != "failed" || len(o["events"].([]any)) != 4) {
			t.Errorf("test is %v", o)
		}
		if o["type"] == "end" && o["exit_code"] != 2.0 {
			t.Errorf("end is %v", o)
		}
	}
	if got := strings.Join(types, " "); got != "start service test end" {
		t.Errorf("objects %s", got)
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func TestJUnit(t *testing.T) {
	var out bytes.Buffer
	write(t, &JUnit{W: nopCloser{&out}})
	var suite junitSuite
	if err := xml.Unmarshal(out.Bytes(), &suite); err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	if suite.Tests != 1 || suite.Failures != 1 || len(suite.Cases) != 1 {
		t.Fatalf("suite %+v", suite)
	}
	c := suite.Cases[0]
	if c.Failure == nil || !strings.Contains(c.Failure.Text, "at x.star:9:3") || !strings.Contains(c.Out, "answered 53100") {
		t.Errorf("case %+v", c)
	}
}
