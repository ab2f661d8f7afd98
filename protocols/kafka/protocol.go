package kafka

import (
	"errors"
	"strings"

	"faultbox/protocols"
)

// Window is the longest message that is looked at whole. It is more than the
// largest answer that clients ask for by default (fetch.max.bytes, 50 MB).
const Window = 64 << 20

// Protocol is the protocol of Apache Kafka.
var Protocol = &protocols.Protocol{
	Name: "kafka",
	Doc:  "the Kafka protocol: Apache Kafka, Confluent, Amazon MSK, Redpanda, WarpStream, AutoMQ, Azure Event Hubs",
	Port: 9092,
	Fields: map[string]protocols.Field{
		"topic":     protocols.KeyField,
		"subject":   protocols.KeyField,
		"method":    protocols.OpField,
		"command":   protocols.OpField,
		"key":       {Of: "record_key"},
		"group":     {Of: "group"},
		"partition": {Of: "partition"},
	},
	Faults: []string{"error", "delay", "drop", "duplicate", "truncate", "reset"},
	Lossy:  true,
	Window: Window,
	Check:  check,
	New:    func() protocols.Codec { return newCodec(newShared()) },
	Shared: func() func() protocols.Codec {
		s := newShared()
		return func() protocols.Codec { return newCodec(s) }
	},
}

// check validates and completes an error: Code becomes the name of a Kafka
// error, Message is never empty.
func check(r *protocols.Reply) error {
	switch {
	case !r.Error:
		return errors.New("response(…) is not for kafka: a made-up answer would need a broker's state; use error(…) or drop(…)")
	case r.Status != 0 || r.Value != nil || r.Headers != nil || len(r.Details) > 0:
		return errors.New("a kafka error has message= and code= only")
	}
	name, err := errorCode(r.Code, r.Message)
	if err != nil {
		return err
	}
	r.Code = name
	if r.Message == "" {
		r.Message = strings.ToLower(strings.ReplaceAll(name, "_", " "))
	}
	return nil
}
