//go:build linux

package docker_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols"
	"faultbox/protocols/http1"
	"faultbox/runtime"
	"faultbox/runtime/docker"
	"faultbox/runtime/docker/dockertest"
	"faultbox/runtime/world"
)

// bed is a world with containers, in this process.
type bed struct {
	*dockertest.Engine
	driver *docker.Engine
	worlds runtime.Worlds
	world  runtime.World
	wire   *redirect.Interceptor
}

// newBed makes a world for services. Images must be there.
func newBed(tb testing.TB, services ...*runtime.Service) *bed {
	tb.Helper()
	b := &bed{Engine: dockertest.Start(tb), wire: redirect.New()}
	id := world.NewRunID()
	b.driver = docker.New(docker.Options{RunID: id, Live: world.Live, Join: world.Join, Services: services, Program: dockertest.Faultbox(tb)})
	b.worlds = b.driver.Worlds(world.New(world.Options{RunID: id, Root: filepath.Join(tb.TempDir(), "worlds")}))
	var err error
	if b.world, err = b.worlds.New(context.Background(), tb.Name()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.world.Close(); err != nil {
			tb.Error(err)
		}
		b.driver.Close()
		b.wire.Close()
	})
	return b
}

// start starts a service whose traffic to peers is intercepted.
func (b *bed) start(tb testing.TB, s *runtime.Service, h intercept.Handler, peers ...intercept.Peer) runtime.Instance {
	tb.Helper()
	i, err := b.driver.Start(context.Background(), b.world, s, func(t intercept.Target) error {
		if h == nil {
			return nil
		}
		t.Peers = peers
		a, err := b.wire.Attach(context.Background(), t, h)
		if err == nil {
			tb.Cleanup(func() { a.Close() })
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { i.Stop(context.Background()) })
	return i
}

// name is what a service's container is called.
func (b *bed) name(tb testing.TB, s *runtime.Service) string {
	tb.Helper()
	return b.Must(tb, "ps", "--all", "--filter", "label=faultbox.service="+s.Name, "--format", "{{.Names}}")
}

// ready waits until a service of probe listens.
func ready(tb testing.TB, i runtime.Instance) {
	tb.Helper()
	listens(tb, i, 8080)
}

// listens waits until a service accepts connections at a port.
func listens(tb testing.TB, i runtime.Instance, port int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		c, err := i.Dial(ctx, "tcp", fmt.Sprintf("localhost:%d", port))
		if err == nil {
			c.Close()
			return
		}
		if ctx.Err() != nil {
			tb.Fatalf("not ready: %v; it wrote %q", err, i.Tail(20))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func probe(name string) *runtime.Service {
	return &runtime.Service{Name: name, Image: "faultbox/probe", Interfaces: []*runtime.Interface{{Name: "main", Protocol: http1.Protocol, Port: 8080}}}
}

// witness is a handler that changes nothing and remembers who asked whom.
type witness struct {
	mu   sync.Mutex
	seen []string
}

func (w *witness) Decide(ev *intercept.Event, _ *protocols.Item) intercept.Decision {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, ev.From+" → "+ev.To+" "+ev.Op+" "+ev.Key)
	return intercept.Decision{}
}

func (w *witness) Done(intercept.Event) {}

func (w *witness) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.seen = nil }()
	return strings.Join(w.seen, "; ")
}

// peerOf is a service of probe as others reach it.
func peerOf(b *bed, s *runtime.Service) intercept.Peer {
	return intercept.Peer{To: s.Name, Interface: "main", Protocol: http1.Protocol, Addr: b.world.Peer(s, s.Interfaces[0])}
}
