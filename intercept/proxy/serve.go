package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

// Link is what a connection belongs to.
type Link struct {
	From, To, Interface string
	Protocol            *protocols.Protocol
	// TLS: the client speaks TLS from the first byte.
	TLS bool
	// TLSConfig says how TLS is terminated, here and after an in-band upgrade.
	// nil: it is relayed without looking inside, and a note says so.
	TLSConfig *TLS
	// Dial connects to the server that the client means. The relay closes
	// what it returns.
	Dial    func(ctx context.Context) (net.Conn, error)
	Handler intercept.Handler
}

// connections numbers the connections of this process.
var connections atomic.Uint64

// linger is how long a connection that a fault closed takes in what the
// client still sends: closing at once would turn the FIN into a reset.
const linger = 500 * time.Millisecond

// Serve relays client until both sides have ended, a fault ends the
// connection, or ctx is done. It closes client and the connection it dials,
// and returns when all its goroutines have ended. The error says why there was
// nothing to relay to; the client has then been reset.
func Serve(ctx context.Context, client net.Conn, l Link) error {
	server, err := l.Dial(ctx)
	if err != nil {
		reset(client)
		err = fmt.Errorf("dial %s for %s: %w", l.To, l.From, err)
		if ctx.Err() == nil {
			ev := l.event()
			ev.Kind, ev.Note = intercept.Note, err.Error()
			l.Handler.Done(ev)
		}
		return err
	}
	r := newRelay(client, server, l)
	defer context.AfterFunc(ctx, r.cancel)()
	r.serve()
	return nil
}

// event is what all events of a new connection have in common.
func (l *Link) event() intercept.Event {
	return intercept.Event{
		Conn: connections.Add(1), From: l.From, To: l.To, Interface: l.Interface, Proto: l.Protocol.Name,
	}
}

// relay is one connection.
type relay struct {
	teller

	mu        sync.Mutex
	changed   sync.Cond // something that a lane waits for may have come true
	codec     protocols.Codec
	streams   protocols.StreamCodec // codec, if it is one
	lanes     [2]lane               // by direction
	loop      *loop                 // moves the bytes; nil: the lanes' goroutines do
	work      sync.WaitGroup
	opaque    bool // relayed without the codec
	upgrading bool // TLS is being set up: nothing is read or written
	stopped   bool // the connection is over; both sides are closed or about to be
	linger    bool // the client has been sent a FIN by a fault

	inFlight ring        // requests
	loose    []*exchange // pushed messages, and requests without ID
	owed     int         // bytes of injected answers whose turn has not come
}

func newRelay(client, server net.Conn, l Link) *relay {
	r := &relay{teller: newTeller(l), codec: l.Protocol.New()}
	r.streams, _ = r.codec.(protocols.StreamCodec)
	r.changed.L = &r.mu
	r.lanes[protocols.ToServer].init(r, protocols.ToServer, client, server)
	r.lanes[protocols.ToClient].init(r, protocols.ToClient, server, client)
	return r
}

func (r *relay) serve() {
	if r.link.TLS {
		r.beginTLS()
		r.pump()
	} else if !r.enter() || r.stay() {
		r.pump()
	}

	r.mu.Lock()
	for !r.over() {
		r.changed.Wait()
	}
	r.stop()
	r.mu.Unlock()
	r.work.Wait()
	bare(r.lanes[protocols.ToServer].src).Close()
	r.abandon()
}

// pump has a goroutine relay each lane.
func (r *relay) pump() {
	r.work.Add(1)
	go func() {
		defer r.work.Done()
		r.lanes[protocols.ToClient].pump()
	}()
	r.lanes[protocols.ToServer].pump()
}

// over reports whether nothing more is to be relayed. The mutex is held.
func (r *relay) over() bool {
	return r.stopped || r.lanes[protocols.ToServer].shut && r.lanes[protocols.ToClient].shut
}

// stay waits while the connection is in a loop, and reports whether it goes on
// without.
func (r *relay) stay() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.loop != nil && !r.over() {
		r.changed.Wait()
	}
	switch {
	case r.loop != nil:
		r.leave()
	case !r.over():
		r.rejoin()
	}
	return !r.over()
}

// cancel ends the connection because the run ends.
func (r *relay) cancel() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.linger = false
	r.stop()
}

// stop closes both sides, the client's after it lingered if a fault asked for
// that. The mutex is held.
func (r *relay) stop() {
	r.stopped = true
	client, server := bare(r.lanes[protocols.ToServer].src), bare(r.lanes[protocols.ToClient].src)
	server.Close()
	if r.linger {
		client.SetReadDeadline(longAgo) // its lane goes on to drain
	} else {
		client.Close()
	}
	r.changed.Broadcast()
}

// abort ends the connection with resets to both sides. The mutex is held.
func (r *relay) abort() {
	if !r.stopped {
		reset(r.lanes[protocols.ToServer].src)
		reset(r.lanes[protocols.ToClient].src)
		r.stop()
	}
}

// abandon tells the Handler of the exchanges that the end of the connection
// cut off. No goroutine is left.
func (r *relay) abandon() {
	now := r.now()
	var left []*exchange
	for r.inFlight.n > 0 {
		if x := r.inFlight.pop(); !x.told {
			left = append(left, x)
		}
	}
	left = append(left, r.loose...)
	for i := range r.lanes {
		left = append(left, r.lanes[i].done...)
	}
	for _, x := range left {
		if p := x.plan; p != nil {
			for _, h := range p.hold {
				if h != nil {
					h.timer.Stop()
				}
			}
		}
		x.broken = !x.replaced || x.plan.holds > 0
		r.report(x, now)
	}
}

// longAgo as a read deadline ends a read that waits; noDeadline lifts it.
var (
	longAgo    = time.Unix(1, 0)
	noDeadline time.Time
)

// bare returns the connection below TLS.
func bare(c net.Conn) net.Conn {
	for {
		t, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = t.NetConn()
	}
}

// reset closes c with an RST where the transport has one.
func reset(c net.Conn) {
	c = bare(c)
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// closeWrite sends a FIN, or closes c where it can't be half-closed.
func closeWrite(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		t.CloseWrite() // close_notify
	}
	if t, ok := bare(c).(interface{ CloseWrite() error }); ok {
		return t.CloseWrite()
	}
	return c.Close()
}

// isTimeout reports whether a read ended because somebody set its deadline.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
