package nats

import (
	"strings"

	"faultbox/protocols"
)

// Protocol is NATS, with or without JetStream.
var Protocol = &protocols.Protocol{
	Name: "nats",
	Doc:  "the NATS client protocol: nats-server with or without JetStream, Synadia Cloud",
	Port: 4222,
	Fields: map[string]protocols.Field{
		"topic":   {Of: "key", Wild: wild},
		"subject": {Of: "key", Wild: wild},
		"queue":   {Of: "queue"},
		"method":  {Of: "op", Fold: true, Wild: withHeaders},
		"command": {Of: "op", Fold: true, Wild: withHeaders},
	},
	Faults:      []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	Multiplexed: true,
	Lossy:       true,
	ServerFirst: true,
	UpgradesTLS: true,
	Window:      maxLine,
	Check:       check,
	New:         func() protocols.Codec { return &codec{verbose: true} },
}

// withHeaders lets method="PUB" match HPUB, and "MSG" HMSG.
func withHeaders(pattern, op string) bool {
	return op[0] == 'H' && strings.EqualFold(pattern, op[1:])
}
