package steps

import (
	"context"

	"faultbox/runtime"
)

// All returns the step clients by the name of their protocol.
func All() map[string]runtime.Stepper {
	return map[string]runtime.Stepper{
		"grpc":      grpcSteps{},
		"amqp":      amqpSteps{},
		"dns":       dnsSteps{},
		"http":      httpSteps{},
		"http2":     httpSteps{h2: true},
		"memcached": memcachedSteps{},
		"mongodb":   mongodbSteps{},
		"mysql":     mysqlSteps{},
		"nats":      natsSteps{},
		"kafka":     kafkaSteps{},
		"postgres":  postgresSteps{},
		"redis":     redisSteps{},
		"tcp":       tcpSteps{},
		"udp":       udpSteps{},
	}
}

// withTimeout bounds a step by its timeout parameter, if there is one.
func withTimeout(ctx context.Context, args runtime.Args) (context.Context, context.CancelFunc) {
	limit := args.Duration("timeout")
	if limit <= 0 {
		return ctx, func() {}
	}
	return context.WithTimeoutCause(ctx, limit, &timeoutError{limit})
}
