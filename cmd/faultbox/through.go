package main

import (
	"context"
	"net"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
)

// stepProxy relays the test's own steps.
type stepProxy struct{ tls *proxy.TLS }

// through connects a step of the test to a peer through the same proxy that
// services go through: a loopback pair of sockets whose far end is relayed.
func (p stepProxy) through(ctx context.Context, from string, peer intercept.Peer, h intercept.Handler, dial func(context.Context) (net.Conn, error)) (net.Conn, error) {
	upstream, err := dial(ctx) // so that a refused connection is refused here too
	if err != nil {
		return nil, err
	}
	if peer.Protocol.Datagram {
		return throughDatagrams(upstream, proxy.Link{From: from, To: peer.To, Interface: peer.Interface, Protocol: peer.Protocol, Handler: h})
	}
	near, far, err := loopbackPair(ctx)
	if err != nil {
		upstream.Close()
		return nil, err
	}
	link := proxy.Link{
		From: from, To: peer.To, Interface: peer.Interface, Protocol: peer.Protocol, TLS: peer.TLS, TLSConfig: p.tls, Handler: h,
		Dial: func(context.Context) (net.Conn, error) { return upstream, nil },
	}
	go proxy.Serve(context.WithoutCancel(ctx), far, link)
	return near, nil
}

// loopbackPair returns the two ends of a new TCP connection.
func loopbackPair(ctx context.Context) (near, far net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	var d net.Dialer
	near, err = d.DialContext(ctx, "tcp", l.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	for {
		far, err = l.Accept()
		if err != nil {
			near.Close()
			return nil, nil, err
		}
		if far.RemoteAddr().String() == near.LocalAddr().String() {
			return near, far, nil
		}
		far.Close() // somebody else's connection
	}
}
