package runtime

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

// deaf refuses once, then lets whoever asks wait.
type deaf struct {
	fakeInstance
	asked int
}

func (d *deaf) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if d.asked++; d.asked == 1 {
		return nil, errors.New("connection refused")
	}
	<-ctx.Done()
	return nil, errors.New("i/o timeout")
}

// What a service answered is told, not that the last attempt was cut short by
// the health check's own timeout.
func TestNotReadySaysWhatTheServiceSaid(t *testing.T) {
	d := &deaf{fakeInstance: fakeInstance{exited: make(chan struct{})}}
	svc := &Service{Name: "a", Health: &Health{Kind: "tcp", Addr: "localhost:1", Timeout: 30 * time.Millisecond}}
	err := (&stage{}).awaitReady(context.Background(), &actor{svc: svc, instance: d})
	if err == nil || !strings.Contains(err.Error(), "not ready within 30ms: connection refused") || d.asked < 2 {
		t.Errorf("got %v after %d attempts; want the refusal, after two", err, d.asked)
	}
}
