// Package all lists the protocols that faultbox speaks: one line each.
package all

import (
	"faultbox/protocols"
	"faultbox/protocols/amqp"
	"faultbox/protocols/dns"
	"faultbox/protocols/grpc"
	"faultbox/protocols/http1"
	"faultbox/protocols/http2"
	"faultbox/protocols/kafka"
	"faultbox/protocols/memcached"
	"faultbox/protocols/mongodb"
	"faultbox/protocols/mysql"
	"faultbox/protocols/nats"
	"faultbox/protocols/postgres"
	"faultbox/protocols/redis"
	"faultbox/protocols/tcp"
	"faultbox/protocols/udp"
)

// Protocols returns every protocol, in the order in which messages list them.
func Protocols() []*protocols.Protocol {
	return []*protocols.Protocol{
		http1.Protocol,
		http2.Protocol,
		grpc.Protocol,
		amqp.Protocol,
		nats.Protocol,
		postgres.Protocol,
		mysql.Protocol,
		redis.Protocol,
		kafka.Protocol,
		mongodb.Protocol,
		memcached.Protocol,
		dns.Protocol,
		tcp.Protocol,
		udp.Protocol,
	}
}
