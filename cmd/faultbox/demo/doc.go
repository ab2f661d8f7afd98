// Package demo is the example inside the faultbox binary: an orders API on
// PostgreSQL and Redis, and the spec that says what breaks and what must hold.
//
//	orders    the API, with real drivers
//	pgserver  runs the PostgreSQL that is installed here
//	kvstore   a small Redis-protocol store, for machines without Redis
//
// The services are hidden subcommands of the binary, so that it needs nothing
// beside it. Prepare writes the spec (demo.star, or demo-small.star where there
// is no PostgreSQL) to a folder, next to a link to the running binary.
package demo
