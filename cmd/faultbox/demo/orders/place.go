package orders

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	attempts     = 3
	writeTimeout = 2 * time.Second // of one attempt
	readTimeout  = time.Second
)

// place stores an order once, whatever happens to the database's answers. It
// reports whether this call, not an earlier one, created it.
//
// When the connection breaks around COMMIT, nobody on this side can know
// whether the database did it. So the next step is not to try again but to
// look: the order's id follows from the client's key, and if it is there, the
// COMMIT was done and only the news of it got lost.
func (s *Server) place(ctx context.Context, item, key string) (o Order, created bool, err error) {
	if s.buggy {
		return s.placeBlindly(ctx, item, key)
	}
	o = Order{ID: idOf(key), Key: key, Item: item}
	for range attempts {
		err = s.insert(ctx, o)
		if err == nil || errors.Is(err, errRefused) {
			return o, err == nil, err
		}
		stored, getErr := s.read(ctx, o.ID)
		if getErr == nil {
			return stored, !errors.Is(err, errExists), nil
		}
		if !errors.Is(getErr, errNotFound) {
			return o, false, fmt.Errorf("look whether the order is stored: %w", getErr)
		}
	}
	return o, false, err
}

// placeBlindly is the mistake: after any lost answer it runs the transaction
// again, under a fresh id, as if nothing had been stored.
func (s *Server) placeBlindly(ctx context.Context, item, key string) (o Order, created bool, err error) {
	for range attempts {
		o = Order{ID: freshID(), Key: key, Item: item}
		err = s.insert(ctx, o)
		if err == nil || errors.Is(err, errRefused) {
			break
		}
	}
	return o, err == nil, err
}

func (s *Server) insert(ctx context.Context, o Order) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return s.store.Insert(ctx, o)
}

func (s *Server) read(ctx context.Context, id string) (Order, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return s.store.Get(ctx, id)
}
