package process

import "time"

// Options says how services are started and stopped.
type Options struct {
	// Dir is the working directory of services that name none: the spec's folder.
	Dir string
	// Grace is how long a service may take to end after SIGTERM before it is
	// killed. 0: DefaultGrace.
	Grace time.Duration
}

// DefaultGrace is how long a service may take to end after SIGTERM.
const DefaultGrace = 5 * time.Second
