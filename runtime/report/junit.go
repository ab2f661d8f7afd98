package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"faultbox/runtime"
)

// JUnit collects a run and writes it as one JUnit XML document when closed.
// Inconclusive tests are errors, tests that this machine cannot run are skipped.
type JUnit struct {
	W     io.WriteCloser // closed by Close
	suite junitSuite
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// Write takes one record.
func (j *JUnit) Write(r runtime.Record) error {
	switch {
	case r.Start != nil:
		j.suite.Name = r.Start.File
	case r.Test != nil:
		j.add(r.Test)
	case r.End != nil:
		j.suite.Time = fmt.Sprintf("%.3f", r.End.Took.Seconds())
	}
	return nil
}

func (j *JUnit) add(t *runtime.TestRecord) {
	c := junitCase{Class: j.suite.Name, Name: clean(t.Name), Time: fmt.Sprintf("%.3f", t.Took.Seconds())}
	problem := &junitProblem{Message: clean(t.Reason), Text: clean(detail(t))}
	switch t.Verdict {
	case runtime.Failed:
		c.Failure = problem
		j.suite.Failures++
	case runtime.Inconclusive, runtime.Error:
		problem.Message = string(t.Verdict) + ": " + problem.Message
		c.Error = problem
		j.suite.Errors++
	case runtime.NotRun, runtime.Interrupted:
		c.Skipped = problem
		j.suite.Skipped++
	}
	var out []string
	for _, f := range t.Faults {
		out = append(out, FaultLines(f)...)
	}
	c.Out = clean(strings.Join(out, "\n"))
	j.suite.Tests++
	j.suite.Cases = append(j.suite.Cases, c)
}

func detail(t *runtime.TestRecord) string {
	var b strings.Builder
	if t.FailPos != "" {
		fmt.Fprintf(&b, "at %s\n", t.FailPos)
	}
	for _, ev := range affected(t) {
		fmt.Fprintln(&b, Line(&ev))
	}
	if t.Repeat != "" {
		fmt.Fprintf(&b, "repeat: %s\n", t.Repeat)
	}
	return b.String()
}

// clean drops what XML 1.0 cannot hold.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\n' && r != '\t' || r == 0xfffe || r == 0xffff {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(s, "�"))
}

// Close writes the document.
func (j *JUnit) Close() error {
	if _, err := io.WriteString(j.W, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(j.W)
	enc.Indent("", "  ")
	if err := enc.Encode(j.suite); err != nil {
		return err
	}
	if _, err := io.WriteString(j.W, "\n"); err != nil {
		return err
	}
	return j.W.Close()
}
