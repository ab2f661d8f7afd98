package runtime

// Verdict is what a test, or a run, comes to.
type Verdict string

const (
	Passed       Verdict = "passed"       // every check held and every fault acted
	Failed       Verdict = "failed"       // a check did not hold, the body raised, a timeout
	Inconclusive Verdict = "inconclusive" // a fault acted on nothing: the test proved nothing
	Error        Verdict = "error"        // the spec or the system under test does not come up
	NotRun       Verdict = "not run"      // this machine lacks something
	Interrupted  Verdict = "interrupted"
)

// rank orders verdicts from best to worst.
var rank = map[Verdict]int{Passed: 0, NotRun: 1, Inconclusive: 2, Failed: 3, Error: 4, Interrupted: 5}

// Worse returns the worse of two verdicts.
func (v Verdict) Worse(w Verdict) Verdict {
	if rank[w] > rank[v] {
		return w
	}
	return v
}

// ExitCode is the exit code of a run with this verdict.
func (v Verdict) ExitCode() int {
	return map[Verdict]int{Passed: 0, Error: 1, Failed: 2, Inconclusive: 3, NotRun: 4, Interrupted: 130}[v]
}
