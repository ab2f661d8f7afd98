package runtime

import (
	"time"

	"faultbox/intercept"
)

// Record is one line of what a run has to tell. Every report is made of the
// same records. Exactly one of the pointers is set.
type Record struct {
	Start   *StartRecord
	Service *ServiceRecord
	Begin   *BeginRecord
	Test    *TestRecord
	End     *EndRecord
}

// StartRecord opens a run.
type StartRecord struct {
	Version, File string
	Seed          uint64
	Tests         int
	Warnings      []string
	Tier, Lacks   string // how the tests run, and what is not available so; "": everything is
}

// ServiceRecord tells how a service of a test fares.
type ServiceRecord struct {
	Test, Service string
	State         string // "starting", "ready", "stopped", "failed"
	Detail        string // address, or the reason
	Took          time.Duration
}

// BeginRecord says that a test begins.
type BeginRecord struct{ Test string }

// TestRecord is the whole outcome of a test.
type TestRecord struct {
	Name    string
	Pos     string
	Verdict Verdict
	Took    time.Duration
	Seed    uint64 // of the run
	Reason  string // for people; "" when passed
	FailPos string // file:line:col of the check that did not hold
	Stack   []string
	Faults  []FaultRecord
	Events  []intercept.Event   // the timeline, oldest first
	Lost    int                 // events beyond the timeline's limit
	Logs    map[string][]string // last lines of services, when not passed
	Repeat  string              // command that repeats this test with its seed
}

// FaultRecord says what one rule touched.
type FaultRecord struct {
	Name    string // the rule's
	To      string // the service it is about
	Rule    string // what it strikes on
	Pos     string
	Matched uint64
	Fired   uint64
	Acted   uint64 // fired and changed something
	Pending uint64 // fired, and was still to act when the test ended
	Armed   int    // how often it was put into force
	InVain  int    // how often it was and touched nothing
	Touched []Touch
	Why     string // for one that acted on nothing: why, and the nearest traffic
}

// Touch counts one kind of exchange that a rule acted on.
type Touch struct {
	Op      string
	Edge    intercept.Edge
	Outcome string // "answered 53100", "delayed 3s", "closed"
	Count   int
}

// EndRecord closes a run.
type EndRecord struct {
	Took    time.Duration
	Counts  map[Verdict]int
	Verdict Verdict
}

// Sink takes the records of a run, in order, from one goroutine at a time.
type Sink interface {
	Write(Record) error
	Close() error
}
