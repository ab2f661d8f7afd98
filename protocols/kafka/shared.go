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
