package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

// serve answers on port 8080 until ctx ends.
func serve(ctx context.Context) error {
	db, err := openDatabase(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.pool.Close()
	a := &api{db: db}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("POST /users", a.createUser)
	mux.HandleFunc("GET /users/{id}", a.getUser)
	mux.HandleFunc("POST /data/{key}", a.writeData)
	mux.HandleFunc("GET /data/{key}", a.readData)
	mux.HandleFunc("POST /orders", a.createOrder)
	mux.HandleFunc("POST /login", a.login)
	server := &http.Server{Addr: ":8080", Handler: mux}
	go db.prepare(ctx)
	context.AfterFunc(ctx, func() { server.Close() })
	log.Print("listening on :8080")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

type api struct {
	db     *database
	mirror mirror
	cache  cache
}

func (a *api) health(w http.ResponseWriter, r *http.Request) {
	if err := a.db.ready(r.Context()); err != nil {
		fail(w, http.StatusServiceUnavailable, err)
		return
	}
	fmt.Fprintln(w, "ok")
}

// fail answers with an error and logs it.
func fail(w http.ResponseWriter, status int, err error) {
	log.Printf("%d: %s", status, err)
	http.Error(w, err.Error(), status)
}

// lookUpLimit bounds the search for a host that may not exist.
const lookUpLimit = 500 * time.Millisecond

// around reports whether there is a host of that name: the chapter's services
// come and go, and nothing tells the api which of them there are.
func around(ctx context.Context, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, lookUpLimit)
	defer cancel()
	_, err := net.DefaultResolver.LookupHost(ctx, host)
	return err == nil
}
