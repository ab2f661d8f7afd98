//go:build linux

package syscalls

import (
	"errors"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

// Before Linux 5.19 a signal handler interrupts a call that waits for its answer.
// When the handler is done, the kernel makes the call again (SA_RESTART), with a
// notification of its own, or it fails with EINTR. Made again it is one call
// still: what was decided holds, a delay goes on, and it is counted once.

// unheard is an answer that reached nobody.
type unheard struct {
	response response
	how      intercept.Outcome
}

// begin keeps in mind what was decided on a call until it has its answer.
func (s *supervisor) begin(v *verdict) {
	if !s.fragile {
		return
	}
	s.mu.Lock()
	old := s.open[v.n.tid]
	s.open[v.n.tid] = v
	s.mu.Unlock()
	if old != nil && old.unheard != nil { // it failed with EINTR
		s.tell(old, intercept.Broken)
	}
}

// repeated reports whether a call is one that was decided on before: then it is
// answered as that was, or will be.
func (s *supervisor) repeated(n *notification) bool {
	if !s.fragile {
		return false
	}
	s.mu.Lock()
	v := s.open[n.tid]
	if v == nil || v.n.nr != n.nr || v.n.args != n.args || v.n.ip != n.ip {
		s.mu.Unlock()
		return false
	}
	answer := v.unheard
	_, delayed := s.pending[v]
	if answer != nil || delayed {
		v.n.id, v.unheard = n.id, nil
	} else {
		v.again = n.id // whoever carries it out reads n.id
	}
	s.arena.set(v.slot, n.id)
	s.mu.Unlock()
	if answer != nil {
		s.resume(v, answer.response, answer.how)
	}
	return true
}

// resume answers a call that was made again as it would have been answered before.
func (s *supervisor) resume(v *verdict, r response, how intercept.Outcome) {
	if r.flags == proceed { // nothing was done yet
		s.act(v)
		return
	}
	s.conclude(v, r, how)
}

// What can become of an answer.
type answered int

const (
	answerTaken answered = iota // by the caller
	answerLost                  // the caller is gone, or its call is over
	answerKept                  // until the call is made again
	answerDue                   // once more: the call has been made again, v.n.id is the new one
)

// answer sends the answer to a call that was decided on.
func (s *supervisor) answer(v *verdict, r response, how intercept.Outcome) answered {
	if s.fragile { // once it is sent, the caller may make its next call, which is another
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	r.id = v.n.id
	gone := errors.Is(s.l.send(r), unix.ENOENT)
	last := s.fragile && s.open[v.n.tid] == v
	switch {
	case gone && v.again != 0:
		v.n.id, v.again = v.again, 0
		return answerDue
	case gone && last && !s.passing.Load():
		v.unheard = &unheard{r, how}
		return answerKept
	case last:
		delete(s.open, v.n.tid)
	}
	if gone {
		return answerLost
	}
	return answerTaken
}

// ended forgets a call that needs no answer.
func (s *supervisor) ended(v *verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[v.n.tid] == v {
		delete(s.open, v.n.tid)
	}
}

// giveUp tells of the calls that were not made again.
func (s *supervisor) giveUp() {
	s.mu.Lock()
	open := s.open
	s.open = make(map[uint32]*verdict)
	s.mu.Unlock()
	for _, v := range open {
		if v.unheard != nil {
			s.tell(v, intercept.Broken)
		}
	}
}
