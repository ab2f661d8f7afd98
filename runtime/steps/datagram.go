package steps

import (
	"context"
	"errors"
	"time"

	"faultbox/runtime"
)

// exchangeDatagram sends out and returns the first datagram that comes back and
// that fits says is the answer; nil fits: any. limit 0: none is waited for.
func exchangeDatagram(ctx context.Context, e runtime.Endpoint, out []byte, limit time.Duration, fits func([]byte) bool) ([]byte, error) {
	conn, err := e.Dial(ctx, "udp", e.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer (&link{Conn: conn}).closeWith(ctx)()
	if _, err := conn.Write(out); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil
	}
	conn.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		switch {
		case timedOut(err):
			return nil, &timeoutError{limit}
		case err != nil:
			return nil, err
		case fits == nil || fits(buf[:n]):
			return buf[:n], nil
		}
	}
}

// pingTime is how long a silent port is looked at.
const pingTime = 50 * time.Millisecond

// Ping succeeds when nothing refuses an empty datagram, which is all that can be
// known about a port of which the protocol is not.
func (udpSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	_, err := exchangeDatagram(ctx, e, nil, pingTime, nil)
	if silent := new(timeoutError); errors.As(err, &silent) {
		return nil
	}
	return err
}
