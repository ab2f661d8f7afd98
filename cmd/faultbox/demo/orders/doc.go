// Package orders is the service that faultbox demo tests: a small HTTP API in
// front of a database and a cache, as a careful team would write it.
//
//	POST /orders {"item": "lamp", "key": "k-1"}  → 201 the order, 200 if that key was ordered before
//	GET  /orders/{id}                            → 200 the order, 404
//	GET  /health                                 → 200
//
// A database that fails or is slow makes 503; a cache that fails or is slow
// costs a little time and nothing else. It uses the real drivers (pgx,
// go-redis) and knows nothing of faultbox.
//
// Config.Buggy puts in one mistake that real systems have: a transaction whose
// acknowledgement got lost is simply run again.
package orders
