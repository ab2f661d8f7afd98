// Package runtime holds the nouns of a run, and the runner over them.
//
// A Spec says which services there are and which tests; a World is the place
// where one test happens; a Driver starts services in it; a Stepper speaks to
// them for the test; a Sink writes down what happened. The runner here knows
// these interfaces only. What implements them lives below:
//
//	spec     Starlark file → Spec
//	world    network namespaces, cgroups, temp folders
//	process  driver for local programs
//	steps    step clients, one file per protocol
//	report   console, JSON, JUnit
//
// and is put together in cmd/faultbox.
package runtime
