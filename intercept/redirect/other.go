//go:build !linux

package redirect

import (
	"context"

	"github.com/cilium/ebpf"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
)

var errLinux = &intercept.LacksError{What: "leading connections through a proxy needs Linux"}

// Interceptor redirects connections, on Linux only.
type Interceptor struct{ TLS *proxy.TLS }

// New returns an Interceptor that can do nothing here.
func New() *Interceptor { return &Interceptor{} }

// Supported says what is lacking.
func (*Interceptor) Supported() error { return errLinux }

// Attach says what is lacking.
func (*Interceptor) Attach(context.Context, intercept.Target, intercept.Handler) (intercept.Attachment, error) {
	return nil, errLinux
}

// Sockets says what is lacking.
func (*Interceptor) Sockets() (*ebpf.Map, error) { return nil, errLinux }

// Close does nothing.
func (*Interceptor) Close() error { return nil }

// ByCall redirects connections without BPF, on Linux only.
type ByCall struct{ Interceptor }

// NewByCall returns a ByCall that can do nothing here.
func NewByCall() *ByCall { return &ByCall{} }
