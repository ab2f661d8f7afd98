package kafka

// shared is what the connections of one system know together: a client learns
// of topics on one connection and fetches on another, and an idempotent producer
// that connects again goes on with its numbers.
type shared struct {
	names     book
	sequences ledger
}

func newShared() *shared {
	s := &shared{names: newBook(), sequences: make(ledger, 1)}
	s.sequences <- map[producer]*sequence{}
	return s
}

// ledger is a channel of one map: who has it may read and write, the sequences
// too. It holds producers that a fault has left something of out, or doubled.
type ledger chan map[producer]*sequence

// any reports whether there are such producers.
func (l ledger) any() bool {
	m := <-l
	n := len(m)
	l <- m
	return n > 0
}
