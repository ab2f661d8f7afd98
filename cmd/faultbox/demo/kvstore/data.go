package kvstore

import (
	"sync"
	"time"
)

// data holds the keys of one store. Expired keys go when they are touched, or
// with the next sweep.
type data struct {
	mu     sync.Mutex
	values map[string]entry
	swept  time.Time
}

type entry struct {
	value   string
	expires time.Time // zero: never
}

const sweepEvery = time.Minute

func newData() *data { return &data{values: map[string]entry{}, swept: time.Now()} }

// do runs f with the keys to itself. Within it, now is the time of the command.
func (d *data) do(f func(now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if now.Sub(d.swept) > sweepEvery {
		d.sweep(now)
	}
	f(now)
}

func (d *data) sweep(now time.Time) {
	d.swept = now
	for k, e := range d.values {
		if e.gone(now) {
			delete(d.values, k)
		}
	}
}

func (d *data) get(key string, now time.Time) (entry, bool) {
	e, ok := d.values[key]
	if ok && e.gone(now) {
		delete(d.values, key)
		return entry{}, false
	}
	return e, ok
}

func (e entry) gone(now time.Time) bool { return !e.expires.IsZero() && !now.Before(e.expires) }
