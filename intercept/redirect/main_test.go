//go:build linux

package redirect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"faultbox/intercept"
	"faultbox/intercept/syscalls"
)

// TestMain also plays the parts that need a process of their own: arguments
// that begin with "part:" name one.
func TestMain(m *testing.M) {
	syscalls.Helper()
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "part:faultbox":
			partFaultbox(os.Args[2], os.Args[3])
			return
		case "part:storm":
			partStorm()
			return
		}
	}
	os.Exit(m.Run())
}

// partFaultbox intercepts as another faultbox would: service "api" in a cgroup
// and in the network namespace at descriptor 3, with a peer "db" and, for datagrams, a peer
// "stats" at the same address. It prints a line for each connection, datagram
// and note, until its standard input ends.
func partFaultbox(cgroup, db string) {
	out := &lines{}
	i := &Interceptor{serve: out.serve}
	addr, err := net.ResolveTCPAddr("tcp", db)
	if err == nil {
		_, err = i.Attach(context.Background(), intercept.Target{
			Name: "api", Cgroup: cgroup, NetNS: os.NewFile(3, "netns"),
			Peers: []intercept.Peer{peer("db", addr.IP.String(), addr.Port), datagramPeer("stats", addr.IP.String(), addr.Port)},
		}, out)
	}
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

// storm is what partStorm is to do: N connections, Parallel at a time, to the
// addresses in turn, each ended by RST if Reset.
type storm struct {
	N, Parallel int
	To          []string
	Reset       bool
}

// partStorm reads storms from standard input and answers each with a line:
// "ok", or what went wrong first. A connection is right if the server's banner
// names the address that was asked for.
func partStorm() {
	for in := json.NewDecoder(os.Stdin); ; {
		var s storm
		if in.Decode(&s) != nil {
			return
		}
		var (
			wg    sync.WaitGroup
			once  sync.Once
			first = "ok"
		)
		for p := range s.Parallel {
			wg.Go(func() {
				for n := p; n < s.N; n += s.Parallel {
					if err := stormOne(s.To[n%len(s.To)], s.Reset); err != nil {
						once.Do(func() { first = fmt.Sprintf("connection %d: %v", n, err) })
						return
					}
				}
			})
		}
		wg.Wait()
		fmt.Println(first)
	}
}

func stormOne(to string, reset bool) error {
	c, err := net.Dial("tcp", to)
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 128)
	n, err := c.Read(buf)
	if err != nil {
		return fmt.Errorf("read from %s: %w", to, err)
	}
	if got, _, _ := strings.Cut(string(buf[:n]), " "); got != to {
		return fmt.Errorf("connect to %s: reached %s", to, got)
	}
	if reset {
		return c.(*net.TCPConn).SetLinger(0)
	}
	return nil
}
