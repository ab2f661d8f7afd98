// Package report writes a run's records down: Console for people, JSON (one
// record a line) for programs, JUnit for CI systems.
package report
