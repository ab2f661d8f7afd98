//go:build linux

package process_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"faultbox/runtime"
)

func TestTail(t *testing.T) {
	w := newWorld(t)
	i := start(t, w, sh("api", "for i in $(seq 20000); do echo line $i; echo err $i >&2; done; printf unfinished"))
	within(t, "exit", i.Exited())
	if got, want := i.Tail(3), []string{"line 20000", "err 20000", "unfinished"}; !slices.Equal(got, want) {
		t.Errorf("last lines %q, want %q", got, want)
	}
	if n := len(i.Tail(1 << 30)); n < 1000 {
		t.Errorf("only %d lines are kept", n)
	}
	quiet := start(t, w, sh("quiet", ":"))
	within(t, "exit", quiet.Exited())
	if got := quiet.Tail(3); len(got) != 0 {
		t.Errorf("a silent service wrote %q", got)
	}
}

// liner is what an instance offers beyond runtime.Instance.
type liner interface {
	Lines(fn func(stream, line string))
}

func TestLines(t *testing.T) {
	w := newWorld(t)
	s := sh("api", `i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo "line $i"; done; echo oops >&2; sleep 0.05; printf 'crlf\r\nlast'`)
	s.Observe = []runtime.Observer{{Stream: "stdout"}}
	i := start(t, w, s)
	var mu sync.Mutex
	var got []string
	i.(liner).Lines(func(stream, line string) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, stream+":"+line)
	})
	within(t, "exit", i.Exited())
	mu.Lock()
	defer mu.Unlock()
	var want []string
	for n := range 2000 {
		want = append(want, fmt.Sprintf("stdout:line %d", n+1))
	}
	want = append(want, "stdout:crlf", "stdout:last")
	if !slices.Equal(got, want) {
		t.Errorf("got %d lines, last %q; want %d", len(got), got[max(0, len(got)-3):], len(want))
	}
	tail := i.Tail(1 << 20)
	if len(tail) != 2003 || !slices.Contains(tail, "oops") || !slices.Contains(tail, "last") {
		t.Errorf("tail has %d lines, want all 2003 of both streams", len(tail))
	}
}

// TestLinesLive: a line is delivered while the service runs.
func TestLinesLive(t *testing.T) {
	w := newWorld(t)
	s := sh("api", `echo ready >&2; sleep 1000`)
	s.Observe = []runtime.Observer{{Stream: "stdout"}, {Stream: "stderr"}}
	i := start(t, w, s)
	line := make(chan struct{})
	i.(liner).Lines(func(stream, text string) {
		if stream == "stderr" && text == "ready" {
			close(line)
		}
	})
	within(t, "line", line)
	if err := i.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
