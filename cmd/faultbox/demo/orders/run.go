package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Config says where the API listens and what it stands on.
type Config struct {
	Port        string // on localhost; 0 picks one
	DatabaseURL string // postgres://… or redis://…
	RedisURL    string // the cache, redis://…
	Buggy       bool   // run a transaction again when its acknowledgement is lost
}

// FromEnv reads PORT, DATABASE_URL, REDIS_URL and BUGGY.
func FromEnv() (Config, error) {
	cfg := Config{Port: os.Getenv("PORT"), DatabaseURL: os.Getenv("DATABASE_URL"), RedisURL: os.Getenv("REDIS_URL")}
	if cfg.Port == "" {
		cfg.Port = "8080"
	}
	if v := os.Getenv("BUGGY"); v != "" {
		buggy, err := strconv.ParseBool(v)
		if err != nil {
			return cfg, fmt.Errorf("read BUGGY=%q: write 1 or 0", v)
		}
		cfg.Buggy = buggy
	}
	for name, v := range map[string]string{"DATABASE_URL": cfg.DatabaseURL, "REDIS_URL": cfg.RedisURL} {
		if v == "" {
			return cfg, fmt.Errorf("read the configuration: the environment variable %s is missing", name)
		}
	}
	return cfg, nil
}

// Run serves the API until ctx ends, then lets the requests in flight finish.
func Run(ctx context.Context, cfg Config) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	s, err := New(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer s.Close()
	ln, err := net.Listen("tcp", net.JoinHostPort("localhost", cfg.Port))
	if err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	log.Info("orders API ready", "addr", ln.Addr().String())
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	closed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(closed)
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("serve HTTP: %w", err)
	}
	<-closed
	return nil
}
