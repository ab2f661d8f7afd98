package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"faultbox/runtime"
)

// memcachedSteps speaks the text protocol.
type memcachedSteps struct{}

func (memcachedSteps) Methods() []runtime.Method {
	key := runtime.Param{Name: "key", Kind: runtime.String, Required: true}
	return []runtime.Method{
		{Name: "get", Doc: "get: data is the value, None if there is none.", Params: []runtime.Param{key}},
		{Name: "set", Doc: "set: stores a string or a number, for ttl (no end by default).",
			Params: []runtime.Param{key, {Name: "value", Kind: runtime.Any, Required: true}, {Name: "ttl", Kind: runtime.Duration}}},
		{Name: "delete", Doc: "delete: data is whether there was one.", Params: []runtime.Param{key}},
		{Name: "incr", Doc: "incr, or decr for a negative value: data is the new number, None if there is none.",
			Params: []runtime.Param{key, {Name: "value", Kind: runtime.Int, Default: int64(1)}}},
	}
}

func (memcachedSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return &memcachedSession{e: e}, nil
}

// Ping succeeds when the server tells its version.
func (memcachedSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	s := &memcachedSession{e: e}
	defer s.Close()
	_, err := s.run(ctx, func(c *memcache.Client) (any, error) { return nil, c.Ping() })
	if err != nil {
		return fmt.Errorf("ping memcached: %w", err)
	}
	return nil
}

type memcachedSession struct {
	e      runtime.Endpoint
	client *memcache.Client // of link alone; nil: none yet
	link   *link
}

func (s *memcachedSession) Close() error {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
	if s.link != nil {
		s.link.Close()
		s.link = nil
	}
	return nil
}

func (s *memcachedSession) Do(ctx context.Context, method string, args runtime.Args) runtime.Response {
	key := args.Str("key")
	var do func(c *memcache.Client) (any, error)
	switch method {
	case "get":
		do = func(c *memcache.Client) (any, error) {
			item, err := c.Get(key)
			if err != nil {
				return nil, err
			}
			return string(item.Value), nil
		}
	case "set":
		value, ok := text(args["value"])
		if !ok {
			return failed(context.Background(), misused("set %q: want a string or a number", key))
		}
		item := &memcache.Item{Key: key, Value: []byte(value), Expiration: seconds(args.Duration("ttl"))}
		do = func(c *memcache.Client) (any, error) { return nil, c.Set(item) }
	case "delete":
		do = func(c *memcache.Client) (any, error) {
			err := c.Delete(key)
			if errors.Is(err, memcache.ErrCacheMiss) {
				return false, nil
			}
			return true, err
		}
	case "incr":
		by, _ := args["value"].(int64)
		do = func(c *memcache.Client) (any, error) {
			change := c.Increment
			if by < 0 {
				change, by = c.Decrement, -by
			}
			n, err := change(key, uint64(by))
			if err != nil {
				return nil, err
			}
			return number(fmt.Sprint(n)), nil
		}
	}
	data, err := s.run(ctx, do)
	if errors.Is(err, memcache.ErrCacheMiss) {
		data, err = nil, nil
	}
	if err != nil {
		return memcachedFailed(ctx, err)
	}
	body, _ := text(data)
	return runtime.Response{OK: true, Data: data, Body: body}
}

// seconds is a time to live: at least one second if it is not 0.
func seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

// run does something on the session's connection, a new one if there is none that lives.
func (s *memcachedSession) run(ctx context.Context, do func(*memcache.Client) (any, error)) (any, error) {
	if s.link != nil {
		if alive, first := s.link.idle(); !alive || first != 0 {
			s.Close()
		}
	}
	if s.link == nil {
		l, err := connect(ctx, s.e, true)
		if err != nil {
			return nil, err
		}
		used := false
		s.link, s.client = l, memcache.New(s.e.Addr)
		s.client.Timeout = 24 * time.Hour // the context ends a step
		s.client.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if used {
				return nil, net.ErrClosed
			}
			used = true
			return l, nil
		}
	}
	stop := s.link.closeWith(ctx)
	l := s.link
	data, err := do(s.client)
	if kept := err == nil || errors.Is(err, memcache.ErrCacheMiss); !stop() || !kept {
		s.Close() // the client has given the connection up
	}
	if end := l.end.Load(); end != nil && err != nil {
		err = *end
	}
	return data, err
}

// memcachedLine finds the server's error line in what the client makes of it.
var memcachedLine = regexp.MustCompile(`(SERVER_ERROR|CLIENT_ERROR|ERROR|client error:)(?: (.*?))?(?:\\r\\n|\r\n|"|$)`)

// memcachedFailed tells the server's error if there is one.
func memcachedFailed(ctx context.Context, err error) runtime.Response {
	m := memcachedLine.FindStringSubmatch(err.Error())
	switch {
	case m == nil && errors.Is(err, memcache.ErrMalformedKey):
		return failed(context.Background(), misused("%v", err))
	case m == nil:
		return failed(ctx, err)
	case m[1] == "client error:": // the client's words for it
		m[1] = "CLIENT_ERROR"
	case m[2] == "":
		m[2] = m[1]
	}
	return runtime.Response{Error: m[2], ErrorCode: m[1], Body: m[1] + " " + m[2]}
}
