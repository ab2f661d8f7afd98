package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Server is the API.
type Server struct {
	store Store
	cache cache
	buggy bool
	log   *slog.Logger
}

// New connects to the database, which must be up, and to the cache, which need
// not be. Close the server when done.
func New(ctx context.Context, cfg Config, log *slog.Logger) (*Server, error) {
	client, err := openRedis(cfg.RedisURL)
	if err != nil {
		return nil, err
	}
	s := &Server{cache: cache{client}, buggy: cfg.Buggy, log: log}
	if strings.HasPrefix(cfg.DatabaseURL, "redis") {
		db, err := openRedis(cfg.DatabaseURL)
		if err != nil {
			return nil, err
		}
		s.store = &redisStore{db}
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if s.store, err = openPostgres(ctx, cfg.DatabaseURL); err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

// Close closes the connections to database and cache.
func (s *Server) Close() {
	s.store.Close()
	s.cache.client.Close()
}

// Handler returns the routes.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("POST /orders", s.create)
	mux.HandleFunc("GET /orders/{id}", s.show)
	return mux
}

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	var in struct{ Item, Key string }
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&in)
	if err != nil || in.Item == "" || in.Key == "" {
		fail(w, http.StatusBadRequest, `send {"item": …, "key": …}, both not empty`)
		return
	}
	o, created, err := s.place(r.Context(), in.Item, in.Key)
	if err != nil {
		s.log.Error("place order", "key", in.Key, "err", err)
		fail(w, http.StatusServiceUnavailable, "the order could not be stored, try again with the same key")
		return
	}
	s.remember(r.Context(), o)
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	reply(w, status, o)
}

func (s *Server) show(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if o, ok := s.cache.get(r.Context(), id); ok {
		reply(w, http.StatusOK, o)
		return
	}
	o, err := s.read(r.Context(), id)
	switch {
	case errors.Is(err, errNotFound):
		fail(w, http.StatusNotFound, err.Error())
	case err != nil:
		s.log.Error("read order", "id", id, "err", err)
		fail(w, http.StatusServiceUnavailable, "the order could not be read, try again")
	default:
		s.remember(r.Context(), o)
		reply(w, http.StatusOK, o)
	}
}

// remember puts an order into the cache, if the cache will have it.
func (s *Server) remember(ctx context.Context, o Order) {
	if err := s.cache.put(ctx, o); err != nil {
		s.log.Warn("cache order", "id", o.ID, "err", err)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

func fail(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}
