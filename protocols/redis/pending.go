package redis

// exchange is a command whose answer is outstanding.
type exchange struct {
	id   uint64 // 0: a second copy, whose answer nobody is to hear
	cmd  *command
	args int32 // arguments, the name included
	// n is, for SUBSCRIBE and its kin, how many confirmations are still to
	// come (-1: as many as there are subscriptions); for HELLO, the version.
	n int32
	// slot is the place in EXEC's answer of a queued command, else -1.
	slot int32
	kind kind // plain for a command that MULTI has queued
	// ends: this EXEC, DISCARD or RESET ends a transaction.
	ends bool
	// rewritten: the client hears codec.rewrites[id] instead of the answer.
	rewritten bool
}

// queue is a ring of exchanges, oldest first.
type queue struct {
	ring []exchange // length zero or a power of two
	head int
	n    int
}

func (q *queue) push(e *exchange) {
	if q.n == len(q.ring) {
		grown := make([]exchange, max(16, 2*q.n))
		n := copy(grown, q.ring[q.head:])
		copy(grown[n:], q.ring[:q.head])
		q.ring, q.head = grown, 0
	}
	q.ring[(q.head+q.n)&(len(q.ring)-1)] = *e
	q.n++
}

// front returns the oldest exchange, nil if there is none. It is valid until
// the next push.
func (q *queue) front() *exchange {
	if q.n == 0 {
		return nil
	}
	return &q.ring[q.head]
}

// back returns the newest exchange, nil if there is none.
func (q *queue) back() *exchange {
	if q.n == 0 {
		return nil
	}
	return &q.ring[(q.head+q.n-1)&(len(q.ring)-1)]
}

func (q *queue) pop() {
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	if q.n == 0 && len(q.ring) > 4096 {
		*q = queue{} // a burst is over
	}
}

func (q *queue) dropBack() { q.n-- }
