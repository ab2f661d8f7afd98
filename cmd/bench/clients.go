package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	mongooptions "go.mongodb.org/mongo-driver/v2/mongo/options"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
)

// parallel is how many callers each loop has.
const parallel = 8

// self is this program as a service of the lab: serve grpc PORT, or
// load PROTOCOL PORT REQUESTS.
func self(args []string) error {
	switch {
	case len(args) == 3 && args[0] == "serve" && args[1] == "grpc":
		return serveGRPC(args[2])
	case len(args) == 4 && args[0] == "load":
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return fmt.Errorf("load %s: %w", args[1], err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
		defer cancel()
		each := map[string]func(context.Context, string) (caller, error){"kafka": kafkaCaller, "amqp": amqpCaller, "mongodb": mongodbCaller}[args[1]]
		if each == nil {
			return fmt.Errorf("load %s: there is no such loop", args[1])
		}
		return loop(ctx, n, "127.0.0.1:"+args[2], each)
	}
	return fmt.Errorf("self %q: this is for the bench's own use", args)
}

// caller makes one request and waits for its answer.
type caller func(ctx context.Context) error

// loop has callers make n requests in all and prints how many they made in a
// second, connecting left out.
func loop(ctx context.Context, n int, addr string, connect func(ctx context.Context, addr string) (caller, error)) error {
	callers := make([]caller, parallel)
	for i := range callers {
		var err error
		if callers[i], err = connect(ctx, addr); err != nil {
			return err
		}
		if err := callers[i](ctx); err != nil { // warm
			return err
		}
	}
	began := time.Now()
	ended := make(chan error)
	for _, call := range callers {
		go func() {
			for range n / parallel {
				if err := call(ctx); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for range callers {
		if err := <-ended; err != nil {
			return err
		}
	}
	fmt.Printf("%g req/s\n", float64(n)/time.Since(began).Seconds())
	return nil
}

// kafkaCaller produces a record of 100 bytes at a time. All brokers are dialled
// at addr, whatever they advertise.
func kafkaCaller(_ context.Context, addr string) (caller, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(0),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}))
	if err != nil {
		return nil, err
	}
	value := make([]byte, 100)
	return func(ctx context.Context) error {
		return c.ProduceSync(ctx, &kgo.Record{Topic: "bench", Value: value}).FirstErr()
	}, nil
}

// amqpCaller publishes a message of 100 bytes and waits until it is delivered
// back. It waits for a server that is not up yet.
func amqpCaller(ctx context.Context, addr string) (caller, error) {
	var c *amqp.Connection
	for {
		var err error
		if c, err = amqp.Dial("amqp://guest:guest@" + addr + "/"); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	ch, err := c.Channel()
	if err != nil {
		return nil, err
	}
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	if err != nil {
		return nil, err
	}
	got, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 100)
	return func(ctx context.Context) error {
		if err := ch.PublishWithContext(ctx, "", q.Name, false, false, amqp.Publishing{Body: body}); err != nil {
			return err
		}
		if _, ok := <-got; !ok {
			return errors.New("the channel was closed")
		}
		return nil
	}, nil
}

// mongodbCaller finds a document by its _id.
func mongodbCaller(ctx context.Context, addr string) (caller, error) {
	c, err := mongo.Connect(mongooptions.Client().ApplyURI("mongodb://" + addr + "/?directConnection=true"))
	if err != nil {
		return nil, err
	}
	docs := c.Database("bench").Collection("docs")
	id := bson.D{{Key: "_id", Value: 1}}
	_, err = docs.UpdateOne(ctx, id, bson.D{{Key: "$set", Value: bson.D{{Key: "v", Value: "some text in it"}}}}, mongooptions.UpdateOne().SetUpsert(true))
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return docs.FindOne(ctx, id).Err() }, nil
}

// serveGRPC is grpc-go's interoperability test server, with reflection.
func serveGRPC(port string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	testpb.RegisterTestServiceServer(s, interop.NewTestServer())
	reflection.Register(s)
	return s.Serve(ln)
}
