package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// shop is a service of the scripts: HTTP in front, PostgreSQL and Redis behind.
// POST /put inserts a row and sets a key, and answers with a line for each:
// "db: ok", "cache: …the error…". POST /big sends Redis a megabyte. POST /begin
// begins a transaction and inserts a row, which POST /commit commits.
func shop() {
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", MaxRetries: -1, ReadTimeout: 2 * time.Second, DialTimeout: 2 * time.Second})
	var mu sync.Mutex
	var conn *pgx.Conn
	exec := func(ctx context.Context, statements ...string) (err error) {
		mu.Lock()
		defer mu.Unlock()
		if conn == nil || conn.IsClosed() {
			if conn, err = pgx.Connect(ctx, "postgres://postgres@127.0.0.1:5432/postgres?connect_timeout=2"); err != nil {
				return err
			}
		}
		for _, sql := range statements {
			if _, err = conn.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	}
	const insert = "INSERT INTO t VALUES (1)"
	for path, statements := range map[string][]string{"/begin": {"BEGIN", insert}, "/commit": {"COMMIT"}} {
		http.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
			defer cancel()
			if err := exec(ctx, statements...); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		})
	}
	http.HandleFunc("POST /put", func(w http.ResponseWriter, r *http.Request) {
		out, code := []string{"db: ok", "cache: ok"}, http.StatusOK
		if err := exec(r.Context(), insert); err != nil {
			out[0], code = "db: "+err.Error(), http.StatusServiceUnavailable
		}
		if err := rdb.Set(r.Context(), "k", "v", 0).Err(); err != nil {
			out[1], code = "cache: "+err.Error(), http.StatusServiceUnavailable
		}
		w.WriteHeader(code)
		fmt.Fprint(w, strings.Join(out, "\n"))
	})
	http.HandleFunc("POST /big", func(w http.ResponseWriter, r *http.Request) {
		for range 20 {
			if err := rdb.Set(r.Context(), "k", strings.Repeat("v", 50_000), 0).Err(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
			}
		}
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe(":8080", nil))
	os.Exit(1)
}
