// Command worker is the worker of the published chapter: it consumes the
// orders that the api sends to Kafka, and tells on port 8081 how many it did.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := work(ctx, os.Getenv("BROKER")); err != nil {
		log.Fatal(err)
	}
}

func work(ctx context.Context, broker string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumerGroup("workers"), kgo.ConsumeTopics("orders.events"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AllowAutoTopicCreation())
	if err != nil {
		return fmt.Errorf("connect to BROKER: %w", err)
	}
	var done atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /processed", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, done.Load()) })
	server := &http.Server{Addr: ":8081", Handler: mux}
	go consume(ctx, client, &done)
	context.AfterFunc(ctx, func() { server.Close() })
	log.Print("listening on :8081")
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	client.CloseAllowingRebalance()
	return nil
}

func consume(ctx context.Context, client *kgo.Client, done *atomic.Int64) {
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, _ int32, err error) { log.Printf("consume %s: %s", topic, err) })
		fetches.EachRecord(func(r *kgo.Record) {
			log.Printf("order %s", r.Value)
			done.Add(1)
		})
	}
}
