package kvstore

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
)

// version is the Redis version whose answers these are.
const version = "7.0.0"

// client is one connection.
type client struct {
	id   int64
	data *data
	w    writer
	quit bool
}

// Serve answers clients on ln until ctx ends, then closes ln and every
// connection and returns nil.
func Serve(ctx context.Context, ln net.Listener) error {
	store := newData()
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	context.AfterFunc(ctx, func() { ln.Close() })
	for id := int64(1); ; id++ {
		conn, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
		c := &client{id: id, data: store}
		clients.Go(func() { c.serve(ctx, conn) })
	}
}

// serve answers commands in their order until the client leaves.
func (c *client) serve(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	c.w.Writer = bufio.NewWriter(conn)
	defer c.w.Flush()
	r := bufio.NewReaderSize(flushingReader{conn, c.w.Writer}, maxInline)
	for !c.quit {
		args, err := readCommand(r)
		var mistake protocolError
		switch {
		case errors.As(err, &mistake):
			c.w.fail(mistake.Error())
			return
		case err != nil:
			return
		}
		c.handle(args)
	}
}

// flushingReader sends the answers written so far before it waits for more, so
// that those to a pipeline go out together.
type flushingReader struct {
	net.Conn
	answers *bufio.Writer
}

func (r flushingReader) Read(p []byte) (int, error) {
	if err := r.answers.Flush(); err != nil {
		return 0, err
	}
	return r.Conn.Read(p)
}
