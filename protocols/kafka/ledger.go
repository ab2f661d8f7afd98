package kafka

// ledger holds the sequences of idempotent producers. It is a channel of one
// map: who has it may read and write, the sequences too.
type ledger chan map[producer]*sequence

// maxProducers is how many sequences without points a ledger holds.
const maxProducers = 10_000

// of returns the sequence of a producer, a new one that begins with number if
// there is none.
func (l ledger) of(known map[producer]*sequence, p producer, number int32) *sequence {
	s := known[p]
	if s != nil {
		return s
	}
	if len(known) >= maxProducers {
		for key, s := range known {
			if len(s.points) == 0 && s.base == 0 {
				delete(known, key)
			}
		}
	}
	s = &sequence{next: number}
	known[p] = s
	return s
}

// enrol notes that the batches of p are sent: how much of each for the first
// time. It reports whether the broker knows their numbers as others.
func (l ledger) enrol(batches []batch, p *part) (shifted bool) {
	p.known = len(batches) > 0
	for i := range batches {
		b := &batches[i]
		if b.producerID() < 0 {
			p.known = false
			continue
		}
		known := <-l
		s := l.of(known, b.producerOf(p), b.sequence())
		x := s.enrol(b)
		shifted = shifted || len(s.points) > 0 || s.base != 0
		l <- known
		if x.n > 0 {
			x.of = b.producerOf(p)
			p.known, p.sent = false, x
		}
	}
	return shifted
}

// back takes back what enrol and faults have noted of p: the broker has not
// got it.
func (l ledger) back(p *part) {
	if p.sent.n == 0 {
		return
	}
	known := <-l
	if s := known[p.sent.of]; s != nil {
		s.back(&p.sent)
	}
	l <- known
}

// stored notes that the broker has got p, although it should have missed what
// comes before.
func (l ledger) stored(p *part) {
	if p.sent.n == 0 || !p.sent.gap {
		return
	}
	known := <-l
	if s := known[p.sent.of]; s != nil && before(s.next, p.sent.end()) {
		s.next = p.sent.end()
	}
	l <- known
}

// Codes with which a broker answers although it may have stored the batch, and
// the one with which it says that it knows nothing of the producer.
const (
	requestTimedOut               = 7
	networkException              = 13
	notEnoughReplicasAfter        = 20
	duplicateSequenceNumber       = 46
	kafkaStorageError             = 56
	unknownProducerID             = 59
	unknownServerError      int16 = -1
)

// refused follows the broker's error about p.
func (l ledger) refused(p *part, code int16) {
	switch code {
	case requestTimedOut, networkException, notEnoughReplicasAfter, duplicateSequenceNumber, kafkaStorageError, unknownServerError:
	case unknownProducerID: // which begins anew
		known := <-l
		delete(known, p.sent.of)
		l <- known
	default:
		l.back(p)
	}
}
