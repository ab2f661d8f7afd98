package orders

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// Order is what a client bought. Key is the client's own idempotency key: two
// requests with the same key mean the same purchase.
type Order struct {
	ID   string `json:"id"`
	Key  string `json:"key"`
	Item string `json:"item"`
}

// Store keeps orders for good.
type Store interface {
	// Insert stores an order, whole or not at all. An error that is neither
	// errExists nor errRefused means that nobody knows whether it is stored.
	Insert(ctx context.Context, o Order) error
	// Get returns the order with that id, or errNotFound.
	Get(ctx context.Context, id string) (Order, error)
	Close()
}

var (
	errNotFound = errors.New("no such order")
	errExists   = errors.New("an order with that id is stored already")
	errRefused  = errors.New("the database refused the order, nothing is stored")
)

// idOf derives an order's id from its idempotency key, so that the same
// purchase has the same id however often it is tried.
func idOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:8])
}

// freshID is a new id at each call.
func freshID() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
