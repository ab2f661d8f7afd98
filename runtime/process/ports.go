//go:build linux

package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"faultbox/runtime"
)

// portsFree checks that nobody listens where a service is going to, in a world
// whose network is the machine's own: a test would talk to whoever does.
func portsFree(w runtime.World, s *runtime.Service) error {
	if host, ok := w.(interface{ OnHost() bool }); !ok || !host.OnHost() {
		return nil
	}
	for _, itf := range s.Interfaces {
		err := portFree(itf)
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("start on port %d: another program has it, and services share the machine's own network here: end that (`ss -lntup 'sport = :%d'` names it), or give interface %s another port", itf.Port, itf.Port, itf.Name)
		case errors.Is(err, syscall.EACCES):
			return &runtime.LacksError{What: fmt.Sprintf("listen on port %d: below 1024 that needs root on the machine's own network: run `sudo faultbox test …`, or give interface %s another port", itf.Port, itf.Name)}
		}
	}
	return nil
}

// portFree takes a port for a moment, on every address.
func portFree(itf *runtime.Interface) error {
	address := ":" + strconv.Itoa(itf.Port)
	if itf.Protocol != nil && itf.Protocol.Datagram {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return err
	}
	return l.Close()
}
