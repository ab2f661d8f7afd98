package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"faultbox/runtime"
)

// kafkaSteps starts with the interface's address and connects to whatever
// addresses the brokers advertise, as every Kafka client does.
type kafkaSteps struct{}

func (kafkaSteps) Methods() []runtime.Method {
	topic := runtime.Param{Name: "topic", Kind: runtime.String, Required: true}
	timeout := runtime.Param{Name: "timeout", Kind: runtime.Duration, Default: 10 * time.Second}
	return []runtime.Method{
		{Name: "publish", Doc: "Produces a message, acknowledged by all replicas: data is {partition, offset}. A dict or list is sent as JSON.",
			Params: []runtime.Param{topic, {Name: "data", Kind: runtime.Any, Required: true}, {Name: "key", Kind: runtime.String},
				{Name: "partition", Kind: runtime.Int}, {Name: "headers", Kind: runtime.Dict}, timeout}},
		{Name: "consume", Doc: "Reads messages: data is a list of {topic, partition, offset, key, value, json, headers}. With count it waits for so many and fails with \"timeout\" if fewer come; " +
			"without, it takes what there is. With a group it goes on where the group stopped, and commits.",
			Params: []runtime.Param{topic, {Name: "group", Kind: runtime.String}, {Name: "count", Kind: runtime.Int}, timeout}},
	}
}

func (kafkaSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &kafkaSession{e: e}, nil
}

// Ping succeeds when the broker knows the brokers of its cluster.
func (kafkaSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &kafkaSession{e: e}
	defer s.Close()
	c, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("ping kafka: %w", err)
	}
	resp, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, c)
	switch {
	case err != nil:
		return fmt.Errorf("ping kafka: %w", err)
	case len(resp.Brokers) == 0:
		return errors.New("ping kafka: the cluster has no broker yet")
	}
	return nil
}

type kafkaSession struct {
	e      runtime.Endpoint
	client *kgo.Client               // for all but groups; nil: none yet
	groups map[[2]string]*kgo.Client // by group and topic

	mu    sync.Mutex
	conns []net.Conn
	lost  error // how a connection ended, or could not be made
}

// leaving is how long a consumer may take to leave its group.
const leaving = time.Second

func (s *kafkaSession) Close() error {
	for _, c := range s.groups {
		ctx, cancel := context.WithTimeout(context.Background(), leaving)
		c.LeaveGroupContext(ctx)
		cancel()
	}
	s.hangUp() // a client waits for answers before it closes
	for _, c := range s.groups {
		c.Close()
	}
	if s.client != nil {
		s.client.Close()
	}
	s.client, s.groups = nil, nil
	return nil
}

// hangUp ends all connections.
func (s *kafkaSession) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func (s *kafkaSession) Do(ctx context.Context, method string, args runtime.Args) (resp runtime.Response) {
	ctx, cancel := withTimeout(ctx, args)
	defer cancel()
	s.fail(nil)
	defer context.AfterFunc(ctx, s.hangUp)()
	if method == "publish" {
		return s.publish(ctx, args)
	}
	return s.consume(ctx, args)
}

// fail notes how a connection ended.
func (s *kafkaSession) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = err
}

// OnBrokerRead implements kgo.HookBrokerRead.
func (s *kafkaSession) OnBrokerRead(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err != nil {
		s.fail(err)
	}
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (s *kafkaSession) OnBrokerWrite(_ kgo.BrokerMetadata, _ int16, _ int, _, _ time.Duration, err error) {
	if err != nil {
		s.fail(err)
	}
}

// newClient returns a client that tries everything once.
func (s *kafkaSession) newClient(opts ...kgo.Opt) (*kgo.Client, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(s.e.Addr),
		kgo.Dialer(s.dial), kgo.WithHooks(s),
		kgo.RequestRetries(0), kgo.RecordRetries(0), kgo.DisableIdempotentWrite(),
		kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(int(creation / kafkaBackoff)),
		kgo.ProducerLinger(0),
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return kafkaBackoff }),
	}
	return kgo.NewClient(append(options, opts...)...)
}

// dial makes a connection of the client's; with TLS if the interface speaks it.
func (s *kafkaSession) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	e := s.e
	e.Addr = addr
	c, err := connect(ctx, e, true)
	if err != nil {
		s.fail(err)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c)
	return c, nil
}

// connect returns the client for all but groups, after it has reached the broker.
func (s *kafkaSession) connect(ctx context.Context) (*kgo.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	c, err := s.newClient()
	if err != nil {
		return nil, err
	}
	if err := c.Ping(ctx); err != nil {
		s.hangUp()
		c.Close()
		return nil, err
	}
	s.client = c
	return c, nil
}

func (s *kafkaSession) publish(ctx context.Context, args runtime.Args) runtime.Response {
	record := &kgo.Record{Topic: args.Str("topic")}
	value, ok := text(args["data"])
	if !ok && args["data"] != nil {
		encoded, err := encodeJSON(args["data"])
		if err != nil {
			return failed(context.Background(), err)
		}
		value = encoded
	}
	if args["data"] != nil {
		record.Value = []byte(value)
	}
	if key, has := args["key"].(string); has {
		record.Key = []byte(key)
	}
	headers, _ := args["headers"].(map[string]any)
	for name, v := range headers {
		h, ok := text(v)
		if !ok {
			return failed(context.Background(), misused("publish: header %q is a string, number or bool, not %s", name, kindOf(v)))
		}
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(h)})
	}
	c, err := s.connect(ctx)
	if err != nil {
		return s.failed(ctx, err)
	}
	created, err := kafkaCreate(ctx, c, record.Topic)
	if err != nil {
		return s.failed(ctx, err)
	}
	if p, has := args["partition"].(int64); has {
		record.Partition = int32(p)
		if c, err = s.newClient(kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
			return s.failed(ctx, err)
		}
		defer c.Close()
	}
	var sent *kgo.Record
	settling := time.Duration(0)
	if created { // one broker knows of the topic; its leader may hear of it later
		settling = creation
	}
	err = await(ctx, settling, func() error {
		sent, err = c.ProduceSync(ctx, record).First()
		return err
	}, kerr.NotLeaderForPartition)
	if err != nil {
		return s.failed(ctx, err)
	}
	return kafkaOK(map[string]any{"partition": int64(sent.Partition), "offset": sent.Offset})
}

// kafkaOK is the response of a step that succeeded.
func kafkaOK(data any) runtime.Response {
	body, _ := encodeJSON(data)
	return runtime.Response{OK: true, Data: data, Body: body}
}

// failed is the response to a step that did not: a broker's error has its name
// as code.
func (s *kafkaSession) failed(ctx context.Context, err error) runtime.Response {
	var answered *kerr.Error
	if errors.As(err, &answered) {
		name := answered.Message
		if answered.Code == kerr.NotLeaderForPartition.Code {
			name = "NOT_LEADER_OR_FOLLOWER" // its name since Kafka 2.6
		}
		return runtime.Response{Error: name + ": " + answered.Description, ErrorCode: name}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		err = s.lost
	}
	return failed(ctx, err)
}

// creation is how long brokers may take to create a topic.
const creation = 5 * time.Second

// election is how long they may take to find the coordinator of the cluster's
// first group: its own topic, of many partitions, is created for that.
const election = 20 * time.Second

// kafkaBackoff is the time between two tries.
const kafkaBackoff = 20 * time.Millisecond

// kafkaCreate asks for a topic until a broker leads it, and reports whether there
// was none at first: brokers may create the topics that they are asked for.
func kafkaCreate(ctx context.Context, c *kgo.Client, topic string) (created bool, err error) {
	asked := 0
	err = await(ctx, creation, func() error {
		asked++
		_, err := kafkaPartitions(ctx, c, topic, true)
		return err
	})
	return asked > 1, err
}

// await calls f, and for a while again if it fails because of what a cluster has
// yet to create, or with one of also.
func await(ctx context.Context, limit time.Duration, f func() error, also ...error) error {
	for began := time.Now(); ; {
		err := f()
		soon := errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.LeaderNotAvailable) ||
			slices.ContainsFunc(also, func(e error) bool { return errors.Is(err, e) }) || uncoordinated(err)
		if !soon || ctx.Err() != nil || time.Since(began) > limit {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(kafkaBackoff):
		}
	}
}

// uncoordinated reports whether an error says that a group has no coordinator yet.
func uncoordinated(err error) bool {
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
}

// kafkaPartitions returns the partitions of a topic.
func kafkaPartitions(ctx context.Context, c *kgo.Client, topic string, create bool) (ids []int32, err error) {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics, req.AllowAutoTopicCreation = append(req.Topics, t), create
	resp, err := req.RequestWith(ctx, c)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); errors.Is(err, kerr.LeaderNotAvailable) {
				return nil, err
			}
			ids = append(ids, p.Partition)
		}
	}
	return ids, nil
}
