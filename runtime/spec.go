package runtime

import (
	"strings"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Spec is a loaded, checked specification.
type Spec struct {
	File     string // as given by the user
	Dir      string // absolute folder that relative paths start from
	Services []*Service
	Tests    []*Test
	Warnings []string // "file:line:col: text"
}

// Service looks a service up by name; nil if there is none.
func (s *Spec) Service(name string) *Service {
	for _, svc := range s.Services {
		if svc.Name == name {
			return svc
		}
	}
	return nil
}

// Service is one part of the system under test.
type Service struct {
	Name string
	Pos  string // where the spec declares it, file:line:col

	// Exactly one of these is set.
	Binary    string // path of a local program, absolute, or a name to look up in PATH
	Image     string
	Build     string // absolute folder with a Dockerfile
	Container string // of one that runs already

	Args       []string
	Env        []string // KEY=value, in the order of the spec
	CA         []byte   // certificates (PEM) to trust on top of its own; set by the runner
	Workdir    string
	User       string
	Interfaces []*Interface
	DependsOn  []string
	Conditions map[string]Condition // of DependsOn; none: Ready
	Health     *Health              // nil: ready when the declared TCP ports accept
	Restart    string               // when it is started again after its end: "always", "on-failure", "on-failure:3"; "": never
	Settings   *Settings            // nil: none; for containers
	Volumes    []Bind
	Ports      []PortMap
	Observe    []Observer
	Reuse      bool
	Seed       func(*T) error // after first readiness; nil: nothing
	Reset      func(*T) error // between tests that share the service
}

// Local reports whether the service is a program on this machine.
func (s *Service) Local() bool { return s.Binary != "" }

// Interface looks an interface up by name; nil if there is none.
func (s *Service) Interface(name string) *Interface {
	for _, i := range s.Interfaces {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// Getenv returns the service's environment variable key, or what the file holds
// that key_FILE names, as images of databases have it; or "".
func (s *Service) Getenv(key string) string {
	for i := len(s.Env) - 1; i >= 0; i-- {
		if k := s.Env[i]; len(k) > len(key) && k[:len(key)] == key && k[len(key)] == '=' {
			return k[len(key)+1:]
		}
	}
	if !strings.HasSuffix(key, "_FILE") {
		return s.secret(s.Getenv(key + "_FILE"))
	}
	return ""
}

// Interface is a port on which a service speaks a protocol.
type Interface struct {
	Name     string
	Protocol *protocols.Protocol
	Port     int
	TLS      bool
	Pos      string
	// Descriptors are files of compiled protobuf descriptors (gRPC), absolute.
	Descriptors []string
}

// Health says how to tell that a service is ready. Addresses are seen from the
// service's own network namespace.
type Health struct {
	Kind    string        // "tcp", "http", "ready", "command" (the container's own check), "done" (exit code 0)
	Addr    string        // host:port, or the URL
	Timeout time.Duration // 0: DefaultHealthTimeout
}

// DefaultHealthTimeout is how long a service may take to become ready.
const DefaultHealthTimeout = 60 * time.Second

// Bind is a folder or file of the host inside a container.
type Bind struct{ Host, Container, Mode string }

// PortMap publishes a container's port on the host.
type PortMap struct{ Host, Container int }

// Observer turns a service's output lines into events.
type Observer struct {
	Stream string // "stdout", "stderr"
	// Decode returns the fields of a line, or false if it is not of its form.
	Decode func(line string) (map[string]any, bool)
}

// Test is one thing to run and judge.
type Test struct {
	Name    string
	Pos     string
	Timeout time.Duration // of Body; 0: the run's default
	// Rules are armed from the start of Body until it returns.
	Rules []intercept.Rule
	// Faults names the assumptions that Rules come from, for the report.
	Faults []string
	// Dynamic: Body arms rules of its own, so every edge is intercepted.
	Dynamic bool
	// Calls are the system calls, and families of them, that rules and traces
	// of a Dynamic body may be about.
	Calls []string
	// Traced edges are intercepted without a rule. An empty From is any service.
	Traced []intercept.Edge
	// Body runs the test. It ends soon after t.Context() does. A returned
	// *Failure is a check that did not hold; other errors are a body that raised.
	Body func(t *T) error
}

// Failure is a check that did not hold.
type Failure struct {
	Pos     string // file:line:col of the check
	Message string
	Stack   []string // calls that led there, innermost last
}

func (f *Failure) Error() string { return f.Message }
