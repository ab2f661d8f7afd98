package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// openRedis connects lazily. The driver's own retries are off: it would repeat
// a command whose answer got lost, which is for the caller to decide.
func openRedis(url string) (*redis.Client, error) {
	opts, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("read the Redis address: %w", err)
	}
	opts.MaxRetries = -1
	opts.DialerRetries = 1
	opts.ContextTimeoutEnabled = true
	return redis.NewClient(opts), nil
}

// redisStore keeps orders in a Redis, for where there is no PostgreSQL.
type redisStore struct{ client *redis.Client }

func (s *redisStore) Insert(ctx context.Context, o Order) error {
	value, err := json.Marshal(o)
	if err != nil {
		return err
	}
	stored, err := s.client.SetNX(ctx, "order:"+o.ID, value, 0).Result()
	var server redis.Error
	switch {
	case errors.As(err, &server):
		return fmt.Errorf("%w: %w", errRefused, err)
	case err != nil:
		return err
	case !stored:
		return errExists
	}
	return nil
}

func (s *redisStore) Get(ctx context.Context, id string) (Order, error) {
	return getOrder(ctx, s.client, id)
}

func (s *redisStore) Close() { s.client.Close() }

func getOrder(ctx context.Context, client *redis.Client, id string) (o Order, err error) {
	value, err := client.Get(ctx, "order:"+id).Bytes()
	if errors.Is(err, redis.Nil) {
		return o, errNotFound
	}
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(value, &o)
}

const (
	cacheTimeout = 250 * time.Millisecond
	cacheFor     = time.Minute
)

// cache holds copies of orders. It may forget, fail or be slow at any time: no
// request depends on it, and none waits for it longer than cacheTimeout.
type cache struct{ client *redis.Client }

func (c cache) get(ctx context.Context, id string) (Order, bool) {
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	o, err := getOrder(ctx, c.client, id)
	return o, err == nil
}

// put reports an error for the log only.
func (c cache) put(ctx context.Context, o Order) error {
	value, err := json.Marshal(o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, cacheTimeout)
	defer cancel()
	return c.client.Set(ctx, "order:"+o.ID, value, cacheFor).Err()
}
