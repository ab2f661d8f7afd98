// Package drivers is for tests: real clients against real servers, directly
// and through an armed edge.
//
// servers.go starts the servers, front.go puts the relay in front of one of
// them, log.go records what the relay reports. Each protocol has a test file
// that compares what clients see directly, through an edge whose rules never
// match, and under each fault.
//
// Each comparison is entered into the driver matrix (matrix.go), which
// make drivers prints. With -args -record the conversations of the tests that run
// are kept as captures for the tests of the codecs (record_test.go).
package drivers
