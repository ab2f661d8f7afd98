package kafka

import "encoding/base64"

// book maps topic ids to names, as metadata tells them. Fetch and Produce name a
// topic by its id alone, often on another connection than the one that learnt
// its name; ids are random and never used again, so what one connection learns
// is true on all, and those of one system share a book. It is a channel of one
// map: who has it may read and write.
type book chan map[[16]byte]string

// maxBook is how many topics a book holds.
const maxBook = 100_000

func newBook() book {
	b := make(book, 1)
	b <- map[[16]byte]string{}
	return b
}

// of returns the name of a topic; of one that is not known its id, as Kafka
// writes it.
func (b book) of(id [16]byte) string {
	m := <-b
	name, ok := m[id]
	b <- m
	if !ok {
		return base64.RawURLEncoding.EncodeToString(id[:])
	}
	return name
}

// learn notes the name of a topic.
func (b book) learn(id [16]byte, name string) {
	m := <-b
	if _, known := m[id]; !known {
		if len(m) >= maxBook {
			clear(m)
		}
		m[id] = name
	}
	b <- m
}
