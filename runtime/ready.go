package runtime

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// readyPoll bounds how long a service that became ready goes unnoticed.
const readyPoll = 10 * time.Millisecond

// awaitReady waits until the service's health check holds, it exits, its
// timeout runs out, or ctx ends. The check is made from the service's own
// network namespace and is never faulted.
func (s *stage) awaitReady(ctx context.Context, a *actor) error {
	h := a.svc.Health
	if h == nil {
		h = &Health{Kind: "ports"}
	}
	timeout := h.Timeout
	if timeout == 0 {
		timeout = DefaultHealthTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for wait := time.Millisecond; ; wait = min(2*wait, readyPoll) {
		err := s.probe(ctx, a, h)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // an attempt that the end cut short says nothing about the service
			last = err
		}
		select {
		case <-a.instance.Exited():
			if h.Kind == "done" && a.instance.Err() == nil {
				return nil
			}
			if next := s.successor(ctx, a); next != nil {
				a = next
				continue
			}
			return &StartError{a.svc.Name, fmt.Errorf("exited before it was ready: %w", orClean(a.instance.Err())), a.instance.Tail(15)}
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &StartError{a.svc.Name, fmt.Errorf("not ready within %s: %w", timeout, last), a.instance.Tail(15)}
			}
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

func orClean(err error) error {
	if err == nil {
		return errors.New("exit code 0")
	}
	return err
}

// StartError says that a service did not come up, with its last lines.
type StartError struct {
	Service string
	Err     error
	Tail    []string
}

func (e *StartError) Error() string {
	msg := fmt.Sprintf("service %s: %s", e.Service, e.Err)
	if len(e.Tail) == 0 {
		return msg + " (it wrote nothing)"
	}
	return msg + "; its last lines:\n    " + strings.Join(e.Tail, "\n    ")
}

func (e *StartError) Unwrap() error { return e.Err }

// probe makes one attempt of a health check.
func (s *stage) probe(ctx context.Context, a *actor, h *Health) error {
	if c, ok := a.instance.(Checker); ok && h.Kind == "command" {
		return c.Check(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	switch h.Kind {
	case "tcp":
		return dialOnce(ctx, a, h.Addr)
	case "http":
		return getOnce(ctx, a, h.Addr)
	case "done":
		return errors.New("it has not ended yet")
	case "ready":
		for _, itf := range a.svc.Interfaces {
			knock := func(addr string) error { return dialOnce(ctx, a, addr) }
			if p, ok := s.runner.Steppers[itf.Protocol.Name].(Pinger); ok {
				knock = func(addr string) error {
					return p.Ping(ctx, Endpoint{Service: a.svc, Interface: itf, Addr: addr, Dial: a.instance.Dial})
				}
			}
			if err := s.atHome(a, itf, knock); err != nil {
				return err
			}
		}
		return nil
	}
	for _, itf := range a.svc.Interfaces {
		if itf.Protocol.Datagram {
			continue
		}
		if err := s.atHome(a, itf, func(addr string) error { return dialOnce(ctx, a, addr) }); err != nil {
			return err
		}
	}
	return nil
}

// atHome knocks at an interface from its own namespace: at localhost, and then
// at its own address, if it has one, for a server may listen there alone.
func (s *stage) atHome(a *actor, itf *Interface, knock func(addr string) error) error {
	err := knock("localhost:" + strconv.Itoa(itf.Port))
	if own := s.world.Peer(a.svc, itf); err != nil && !a.svc.Local() && knock(own.String()) == nil {
		return nil
	}
	return err
}

func dialOnce(ctx context.Context, a *actor, addr string) error {
	c, err := a.instance.Dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	return c.Close()
}

func getOnce(ctx context.Context, a *actor, rawURL string) error {
	if !strings.Contains(rawURL, "://") {
		rawURL = "http://" + rawURL
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("read health check URL: %w", err)
	}
	// Whether the service is up is asked, not who it is.
	tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return a.instance.Dial(ctx, network, addr)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fmt.Errorf("make health check request: %w", err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s answered %s", rawURL, resp.Status)
	}
	return nil
}
