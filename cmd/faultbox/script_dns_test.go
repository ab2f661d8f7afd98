package main

import (
	"context"
	"fmt"
	"net"
	"os"
)

// askAt has this program look names up at a name server of its own.
func askAt(server string) {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, server)
	}}
}

// udpEcho sends each datagram back.
func udpEcho() {
	c, err := net.ListenPacket("udp", "localhost:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buf := make([]byte, 64<<10)
	for {
		if n, from, err := c.ReadFrom(buf); err == nil {
			c.WriteTo(buf[:n], from)
		}
	}
}
