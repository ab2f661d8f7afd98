package amqp

import (
	"strings"

	"faultbox/protocols"
)

// Protocol is AMQP 0-9-1.
var Protocol = &protocols.Protocol{
	Name: "amqp",
	Doc:  "AMQP 0-9-1: RabbitMQ, LavinMQ, CloudAMQP, Amazon MQ for RabbitMQ, Qpid Broker-J",
	Port: 5672,
	Fields: map[string]protocols.Field{
		"topic":    {Of: "topic", Wild: wild},
		"exchange": {Of: "exchange"},
		"queue":    {Of: "queue"},
		"key":      protocols.KeyField,
		"method":   protocols.OpField,
		"command":  protocols.OpField,
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	Multiplexed: true,
	Lossy:       true,
	Window:      maxFrame,
	Check:       check,
	New:         func() protocols.Codec { return &codec{channels: make(map[uint16]*channel), vhost: "/"} },
}

// wild matches a routing key as a topic exchange does: * is one word, # any
// number of them.
func wild(pattern, key string) bool {
	if !strings.ContainsAny(pattern, "#*") {
		return pattern == key
	}
	p, k := strings.Split(pattern, "."), strings.Split(key, ".")
	if key == "" {
		k = nil
	}
	hash, mark := -1, 0 // the last # and where it began to match
	i, j := 0, 0
	for i < len(k) {
		switch {
		case j < len(p) && p[j] == "#":
			hash, mark = j, i
			j++
		case j < len(p) && (p[j] == "*" || p[j] == k[i]):
			i, j = i+1, j+1
		case hash >= 0:
			mark++
			i, j = mark, hash+1
		default:
			return false
		}
	}
	for j < len(p) && p[j] == "#" {
		j++
	}
	return j == len(p)
}
