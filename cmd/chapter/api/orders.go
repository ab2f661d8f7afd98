package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ordersTopic is where orders go.
const ordersTopic = "orders.events"

var openOrders = sync.OnceValues(func() (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers("kafka:9092"), kgo.AllowAutoTopicCreation(), kgo.RecordDeliveryTimeout(20*time.Second))
})

func (a *api) createOrder(w http.ResponseWriter, r *http.Request) {
	order, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	client, err := openOrders()
	if err == nil {
		err = client.ProduceSync(r.Context(), &kgo.Record{Topic: ordersTopic, Value: order}).FirstErr()
	}
	if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("create order: %w", err))
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
