//go:build linux

package syscalls

import (
	"time"

	"golang.org/x/sys/unix"

	"faultbox/intercept"
)

const proceed = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE

// act carries a verdict out.
func (s *supervisor) act(v *verdict) {
	f := v.ev.Decision.Fault
	switch f.Do {
	case intercept.Deny:
		v.ev.Err = ErrnoName(f.Errno)
		s.conclude(v, response{err: -int32(f.Errno)}, intercept.Denied)
	case intercept.Lie:
		n, ok := s.claim(v)
		if !ok {
			s.conclude(v, response{flags: proceed}, intercept.Untouched)
			return
		}
		s.conclude(v, response{val: n}, intercept.LiedTo)
	case intercept.Short:
		s.beside(v, func() { s.shorten(v, f.Bytes) })
	case intercept.Kill:
		s.kill(v)
	default:
		s.settle(&v.n, v.ev.Op, v.ev.Key)
		s.lead(v, v.ev.Op, func(r response) { s.conclude(v, r, intercept.Answered) })
	}
}

// conclude answers a call and tells how it ended.
func (s *supervisor) conclude(v *verdict, r response, how intercept.Outcome) {
	switch s.answer(v, r, how) {
	case answerLost:
		v.ev.Err, how = "", intercept.Broken
	case answerKept:
		return
	case answerDue:
		s.resume(v, r, how)
		return
	}
	s.arena.drop(v.slot)
	v.slot = -1
	s.tell(v, how)
}

func (s *supervisor) tell(v *verdict, how intercept.Outcome) {
	v.ev.Outcome = how
	v.ev.Took = time.Since(v.since)
	s.handler.Done(v.ev)
}
