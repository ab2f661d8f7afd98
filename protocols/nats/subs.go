package nats

import "strings"

// subscription is one of the client's.
type subscription struct {
	sid, subject, queue string
	max                 int // messages after which it ends; 0: none
	got                 int
}

// subscriptions are those of one connection.
type subscriptions struct {
	bySID     map[string]*subscription
	bySubject map[string][]*subscription // those without wildcards
	wild      map[string][]*subscription // by pattern
}

func (s *subscriptions) add(n *subscription) {
	if s.bySID == nil {
		s.bySID = map[string]*subscription{}
		s.bySubject, s.wild = map[string][]*subscription{}, map[string][]*subscription{}
	}
	if s.bySID[n.sid] != nil {
		return // as the server has it
	}
	s.bySID[n.sid] = n
	of := s.of(n.subject)
	of[n.subject] = append(of[n.subject], n)
}

func (s *subscriptions) of(subject string) map[string][]*subscription {
	if isPattern(subject) {
		return s.wild
	}
	return s.bySubject
}

// end removes a subscription, once it has got max messages if max is not 0.
func (s *subscriptions) end(sid []byte, max int) {
	n := s.bySID[string(sid)]
	if n == nil {
		return
	}
	if n.max = max; max > n.got {
		return
	}
	s.remove(n)
}

func (s *subscriptions) remove(n *subscription) {
	delete(s.bySID, n.sid)
	of := s.of(n.subject)
	same := of[n.subject]
	for i, other := range same {
		if other == n {
			same[i] = same[len(same)-1]
			same = same[:len(same)-1]
			break
		}
	}
	if len(same) == 0 {
		delete(of, n.subject)
	} else {
		of[n.subject] = same
	}
}

// deliver counts a message and returns its subscription, nil if there is none.
func (s *subscriptions) deliver(sid []byte) *subscription {
	n := s.bySID[string(sid)]
	if n != nil {
		if n.got++; n.got == n.max {
			s.remove(n)
		}
	}
	return n
}

// taking returns a subscription that takes subject, nil if there is none.
func (s *subscriptions) taking(subject []byte) *subscription {
	if same := s.bySubject[string(subject)]; len(same) > 0 {
		return same[0]
	}
	for pattern, same := range s.wild {
		if wild(pattern, string(subject)) {
			return same[0]
		}
	}
	return nil
}

func isPattern(subject string) bool {
	for token := range strings.SplitSeq(subject, ".") {
		if token == "*" || token == ">" {
			return true
		}
	}
	return false
}

// wild matches by the wildcards of NATS: * is one token, > at the end is one or
// more.
func wild(pattern, subject string) bool {
	for {
		p, patternRest, more := strings.Cut(pattern, ".")
		if p == ">" && !more {
			return subject != ""
		}
		s, subjectRest, left := strings.Cut(subject, ".")
		if p != s && (p != "*" || s == "") || more != left {
			return false
		}
		if !more {
			return true
		}
		pattern, subject = patternRest, subjectRest
	}
}
