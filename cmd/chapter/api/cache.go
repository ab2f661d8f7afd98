package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// cacheLimit bounds how long the cache may take before it is read around.
const cacheLimit = 500 * time.Millisecond

// cache is Redis.
type cache struct{}

var openCache = sync.OnceValue(func() *redis.Client {
	return redis.NewClient(&redis.Options{Addr: "redis:6379", MaxRetries: -1, DialTimeout: cacheLimit, ReadTimeout: cacheLimit, WriteTimeout: cacheLimit})
})

func (cache) set(ctx context.Context, key, value string) error {
	return openCache().Set(ctx, key, value, time.Hour).Err()
}

// get returns errNone for what is not cached.
func (cache) get(ctx context.Context, key string) (string, error) {
	value, err := openCache().Get(ctx, key).Result()
	if errors.Is(err, redis.Nil) {
		return "", errNone
	}
	return value, err
}

func (a *api) writeData(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	value, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = a.db.setData(r.Context(), key, string(value))
	}
	if err == nil { // a cache that keeps the old value would lie
		err = a.cache.set(r.Context(), key, string(value))
	}
	if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("write %s: %w", key, err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (a *api) readData(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	value, err := a.cache.get(r.Context(), key)
	if err != nil {
		if !errors.Is(err, errNone) {
			log.Printf("read %s around the cache: %s", key, err)
		}
		value, err = a.db.data(r.Context(), key)
	}
	switch {
	case errors.Is(err, errNone):
		fail(w, http.StatusNotFound, fmt.Errorf("read %s: %w", key, err))
	case err != nil:
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("read %s: %w", key, err))
	default:
		fmt.Fprint(w, value)
	}
}
