package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// keeper starts a service again when it has ended by itself.
type keeper struct {
	stop context.CancelFunc
	done chan struct{}
}

// The pause before a new start, as Docker makes it: it doubles each time, until
// the service has run for a while.
const (
	firstPause = 100 * time.Millisecond
	longPause  = time.Minute
	lastsAfter = 10 * time.Second
)

// keep sees to it that a service is started again as its policy says.
func (s *stage) keep(t *T, a *actor) {
	if a.svc.Restart == "" {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &keeper{stop: stop, done: make(chan struct{})}
	s.mu.Lock()
	if s.keepers == nil {
		s.keepers = make(map[string]*keeper)
	}
	s.keepers[a.svc.Name] = k
	s.mu.Unlock()
	go func() {
		defer close(k.done)
		if err := s.revive(ctx, t, a); err != nil && ctx.Err() == nil {
			s.life(a.svc, "failed", err.Error(), 0)
		}
	}()
}

// unkeep ends the keeping of a service and waits until it has ended.
func (s *stage) unkeep(name string) {
	s.mu.Lock()
	k := s.keepers[name]
	delete(s.keepers, name)
	s.mu.Unlock()
	if k != nil {
		k.stop()
		<-k.done
	}
}

// revive starts a service anew each time that it has ended.
func (s *stage) revive(ctx context.Context, t *T, a *actor) error {
	pause := firstPause
	for tries := 0; ; tries++ {
		begin := time.Now()
		select {
		case <-a.instance.Exited():
		case <-ctx.Done():
			return nil
		}
		if !restarts(a.svc.Restart, tries, a.instance.Err()) {
			return nil
		}
		s.life(a.svc, "ended", orClean(a.instance.Err()).Error()+"; it is started again", time.Since(begin))
		if time.Since(begin) > lastsAfter {
			pause = firstPause
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(2*pause, longPause)
		var err error
		if a, err = s.renew(ctx, t, a); err != nil {
			return err
		}
	}
}

// renew starts a service anew in place of one that has ended or is ended here.
func (s *stage) renew(ctx context.Context, t *T, old *actor) (*actor, error) {
	s.vanish(old)
	if err := old.halt(ctx); err != nil {
		return nil, err
	}
	a, err := s.start(ctx, t, old.svc)
	if err != nil {
		return nil, err
	}
	return a, s.refresh(t)
}

// refresh lets what impairs the network find the services again.
func (s *stage) refresh(t *T) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, i := range t.impaired {
		err = errors.Join(err, i.Refresh())
	}
	return err
}

// restarts reports whether a service that has been started again so many times
// and has ended now is to be started once more.
func restarts(policy string, tries int, err error) bool {
	name, limit, limited := strings.Cut(policy, ":")
	if name == "on-failure" && err == nil {
		return false
	}
	if n, bad := strconv.Atoi(limit); limited && bad == nil && n > 0 {
		return tries < n
	}
	return name != ""
}

// successor waits for the actor that takes the place of one that has ended; nil
// if none is to.
func (s *stage) successor(ctx context.Context, a *actor) *actor {
	for last := false; ; {
		s.mu.Lock()
		k, now := s.keepers[a.svc.Name], s.actors[a.svc.Name]
		s.mu.Unlock()
		if now != a && now != nil {
			return now
		}
		if k == nil || last {
			return nil
		}
		select {
		case <-k.done:
			last = true // it may have ended after it had made one
		case <-ctx.Done():
			return nil
		case <-time.After(readyPoll):
		}
	}
}

// guard watches a container that was there before: when it ends by itself, or
// somebody ends it, the faults on it end too, and the test says nothing.
func (s *stage) guard(a *actor) {
	<-a.instance.Exited()
	t := s.now.Load()
	if a.leaving.Load() || t == nil {
		return
	}
	err := fmt.Errorf("container %s of service %s ended while the test ran (%w): the faults on it ended with it; see that it is up and stays so, then repeat",
		a.svc.Container, a.svc.Name, orClean(a.instance.Err()))
	s.life(a.svc, "ended", err.Error(), 0)
	t.fail(err)
}
