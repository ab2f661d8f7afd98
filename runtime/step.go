package runtime

import (
	"context"
	"net"
	"time"
)

// Stepper speaks one protocol for the test's own steps.
type Stepper interface {
	// Methods lists the steps with their parameters.
	Methods() []Method
	// Open returns a session with an endpoint; it may connect lazily. It is
	// used by one step at a time. A session whose connection has ended makes
	// a new one for the next step.
	Open(ctx context.Context, e Endpoint) (Session, error)
}

// Session is a step client's connection to one interface.
type Session interface {
	// Do performs a step. Args hold every parameter of the method that was
	// given or has a default, with the Go type of its Kind. A failure is told
	// in the response. ctx ends it.
	Do(ctx context.Context, method string, args Args) Response
	Close() error
}

// Pinger is a Stepper that can tell whether a server is ready for work
// (healthcheck = ready()).
type Pinger interface {
	Ping(ctx context.Context, e Endpoint) error
}

// Method describes a step.
type Method struct {
	Name   string
	Doc    string
	Params []Param
}

// Param describes a keyword of a step. The first Required ones may be given
// by position.
type Param struct {
	Name     string
	Kind     Kind
	Required bool
	Default  any // nil: absent
}

// Kind is the type of a step's argument.
type Kind string

const (
	String   Kind = "string"   // string
	Int      Kind = "int"      // int64
	Bool     Kind = "bool"     // bool
	Duration Kind = "duration" // time.Duration; a string such as "2s" in a spec
	List     Kind = "list"     // []any of nil, string, int64, float64, bool, []any, map[string]any
	Dict     Kind = "dict"     // map[string]any
	Any      Kind = "any"      // any of the above
)

// Args are the arguments of a step by name.
type Args map[string]any

// Str returns a string argument, "" if absent.
func (a Args) Str(name string) string { s, _ := a[name].(string); return s }

// Int returns an int argument, 0 if absent.
func (a Args) Int(name string) int64 { n, _ := a[name].(int64); return n }

// Duration returns a duration argument, 0 if absent.
func (a Args) Duration(name string) time.Duration { d, _ := a[name].(time.Duration); return d }

// Endpoint is what a step client connects to.
type Endpoint struct {
	Service   *Service
	Interface *Interface
	// Addr is host:port, for the protocol's own use (Host headers, SNI).
	Addr string
	// Dial connects to an address of the world; clients must use it for every connection.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Response is the outcome of a step.
type Response struct {
	Status    int    // HTTP or gRPC status, else 0
	Body      string // as it came
	Data      any    // decoded: nil, string, int64, float64, bool, []any, map[string]any
	Headers   map[string]string
	OK        bool // no transport error, no server error, HTTP status < 400
	Error     string
	ErrorCode string // SQLSTATE, errno name, Kafka code …
	Duration  time.Duration
}
