// Package drivers is for tests: real clients against real servers, directly
// and through an armed edge.
//
// servers.go starts the servers, front.go puts the relay in front of one of
// them, log.go records what the relay reports. Each protocol has a test file
// that compares what clients see directly, through an edge whose rules never
// match, and under each fault.
package drivers
