// Command api is the service of the published chapter: users in PostgreSQL and,
// where there is one, in MySQL; data in PostgreSQL behind a Redis cache; orders
// to Kafka; logins by a gRPC service. It behaves as a service should: it bounds
// what it waits for, answers errors with 5xx, and reads around a cache that fails.
package main
