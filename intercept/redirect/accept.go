//go:build linux

package redirect

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// accept gives each connection that name's services make to relay, on a
// goroutine of wg, until l is closed.
func accept(l net.Listener, name string, wg *sync.WaitGroup, relay func(*net.TCPConn), note func(text string)) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			note(fmt.Sprintf("accept connection of %s: %v", name, err))
			time.Sleep(50 * time.Millisecond) // out of file descriptors: let some close
			continue
		}
		wg.Go(func() { relay(conn.(*net.TCPConn)) })
	}
}
