//go:build linux

package redirect

import (
	"context"
	"fmt"
	"net"
	"sync"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
)

// Interceptor is an intercept.Interceptor for the services of this machine. One
// per process is enough: it loads the programs once, whatever the number of
// targets and of worlds. Its methods may be called by many goroutines at once.
type Interceptor struct {
	// TLS is terminated like this; nil: it is relayed unread. Set before use.
	TLS *proxy.TLS

	serve func(context.Context, net.Conn, proxy.Link) error

	mu     sync.Mutex
	kernel *kernel // loaded by the first Attach or Supported
}

var _ intercept.Interceptor = (*Interceptor)(nil)

// New returns an Interceptor. It costs nothing before Supported or Attach.
func New() *Interceptor { return &Interceptor{serve: proxy.Serve} }

// Supported returns nil, or an error that names what this machine lacks. To
// know, it loads the programs.
func (i *Interceptor) Supported() error {
	if err := checkMachine(); err != nil {
		return err
	}
	if _, err := i.load(); err != nil {
		return explain(err)
	}
	return nil
}

// Attach redirects the target's connections to its peers. It works for a
// service that has not started yet as for one that runs; connections that
// exist already stay as they are. The target's cgroup must exist. A cgroup and
// a network namespace together have one attachment at a time.
func (i *Interceptor) Attach(ctx context.Context, t intercept.Target, h intercept.Handler) (intercept.Attachment, error) {
	if t.NetNS == nil || t.Cgroup == "" {
		return nil, fmt.Errorf("intercept %s: target has no network namespace or no cgroup", t.Name)
	}
	k, err := i.load()
	if err != nil {
		return nil, fmt.Errorf("intercept %s: %w", t.Name, explain(err))
	}
	a, err := attach(ctx, k, t, h, i.relay)
	if err != nil {
		return nil, fmt.Errorf("intercept %s: %w", t.Name, err)
	}
	return a, nil
}

// Close unloads the programs. It fails, and does nothing, while there are
// attachments.
func (i *Interceptor) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kernel == nil {
		return nil
	}
	if err := i.kernel.close(); err != nil {
		return err
	}
	i.kernel = nil
	return nil
}

func (i *Interceptor) load() (*kernel, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.kernel != nil {
		return i.kernel, nil
	}
	k, err := load()
	if err != nil {
		return nil, err
	}
	i.kernel = k
	return k, nil
}

// relay serves a redirected connection.
func (i *Interceptor) relay(ctx context.Context, client net.Conn, l proxy.Link) error {
	l.TLSConfig = i.TLS
	return i.serve(ctx, client, l)
}
