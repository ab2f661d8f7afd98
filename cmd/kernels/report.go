package main

// report is what a guest tells, one JSON object a line.
type report struct {
	Kind    string  // "up", "begin", "output", "end", "done", "error"
	Feature string  `json:",omitempty"`
	Text    string  `json:",omitempty"` // of "up": the machine; of "output": a line
	Code    int     `json:",omitempty"` // of "end": the program's exit code
	Seconds float64 `json:",omitempty"` // of "up": since the kernel started; of "end": it took
}
