//go:build linux

package redirect

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"faultbox/bpf"
)

// The programs go direct when the heartbeat is older than 500 ms (STALE_NS in
// bpf/redirect.c). A beat later than late may have let connections through.
const (
	beat = 50 * time.Millisecond
	late = 400 * time.Millisecond
)

// startHeartbeat returns the function that ends it.
func (k *kernel) startHeartbeat() (stop func(), err error) {
	last, err := k.beat()
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(beat)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			now, err := k.beat()
			if err == nil && now-last > late {
				k.reportBypassed(now - last)
			}
			last = now
		}
	})
	return func() { close(done); wg.Wait() }, nil
}

// beat writes the programs' clock to the variable they share with us.
func (k *kernel) beat() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	if err := k.objs.Heartbeat.Set(uint64(ts.Nano())); err != nil {
		return 0, fmt.Errorf("write heartbeat: %w", err)
	}
	return time.Duration(ts.Nano()), nil
}

// reportBypassed tells every handler whose cgroup made connections that went
// direct while we were not heard.
func (k *kernel) reportBypassed(gap time.Duration) {
	notes := map[*attachment]string{}
	k.mu.Lock()
	for _, h := range k.hooks {
		var s bpf.RedirectService
		if k.objs.Services.Lookup(h.cgroup, &s) != nil || s.Bypassed == h.bypassed {
			continue
		}
		for _, a := range h.users {
			notes[a] = fmt.Sprintf("%d connections of %s went direct: faultbox did not run for %s; give the machine less to do",
				s.Bypassed-h.bypassed, a.name, gap.Round(time.Millisecond))
		}
		h.bypassed = s.Bypassed
	}
	k.mu.Unlock()
	for a, note := range notes {
		a.note(note)
	}
}
