// Package all lists the protocols that faultbox speaks: one line each.
package all

import (
	"faultbox/protocols"
	"faultbox/protocols/http1"
	"faultbox/protocols/postgres"
	"faultbox/protocols/redis"
	"faultbox/protocols/tcp"
)

// Protocols returns every protocol, in the order in which messages list them.
func Protocols() []*protocols.Protocol {
	return []*protocols.Protocol{
		http1.Protocol,
		postgres.Protocol,
		redis.Protocol,
		tcp.Protocol,
	}
}
