//go:build linux

package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
)

var raceDetector bool

// childVar makes a copy of the test binary serve ("server") or relay to the
// address it holds.
const childVar = "FAULTBOX_PROXY_TEST_CHILD"

func TestMain(m *testing.M) {
	if role := os.Getenv(childVar); role != "" {
		beChild(role)
		return
	}
	new(relay).enter() // starts the loops, which stay
	before := runtime.NumGoroutine()
	code := m.Run()
	for try := 0; code == 0 && runtime.NumGoroutine() > before; try++ {
		if try == 500 {
			stacks := make([]byte, 1<<20)
			fmt.Printf("goroutines are left:\n%s\n", stacks[:runtime.Stack(stacks, true)])
			code = 1
		}
		time.Sleep(10 * time.Millisecond)
	}
	os.Exit(code)
}

// beChild listens, prints its address, and, for each line it reads, its memory
// in KB.
func beChild(role string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := forget{intercept.NewRules(1)}
	rule := never
	rule.To, rule.Proto, rule.Trigger = "server", ordered.Name, intercept.Always
	h.Arm(rule)
	serve := func(c net.Conn) {
		Serve(context.Background(), c, Link{From: "a", To: "server", Protocol: ordered, Handler: h,
			Dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", role) }})
	}
	if role == "server" {
		serve = func(c net.Conn) {
			for buf := make([]byte, 64); ; {
				if _, err := c.Read(buf); err != nil {
					c.Close()
					return
				}
				io.WriteString(c, "1 ok\n")
			}
		}
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	fmt.Println(ln.Addr())
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		status, _ := os.ReadFile("/proc/self/status")
		_, rss, _ := strings.Cut(string(status), "VmRSS:")
		fmt.Println(strings.Fields(rss)[0])
	}
}

// child starts a copy of the test binary; ask has it tell its memory in KB.
func child(t *testing.T, role string) (addr string, ask func() int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+role)
	cmd.Stderr = os.Stderr
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	out := bufio.NewScanner(stdout)
	out.Scan()
	return out.Text(), func() int {
		fmt.Fprintln(stdin)
		out.Scan()
		kb, err := strconv.Atoi(out.Text())
		if err != nil {
			t.Fatal(err)
		}
		return kb
	}
}

// 10,000 connections that have made an exchange and idle take at most 400 MB.
// Two processes share them, for the sake of the limit on open files.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if raceDetector {
		t.Skip("the race detector takes memory of its own")
	}
	const count, relays, limit = 10_000, 2, 400 << 10
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur < count+1000 {
		t.Skipf("needs %d open files: ulimit -n is %d", count+1000, files.Cur)
	}
	server, _ := child(t, "server")
	var clients []net.Conn
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	total := 0
	buf := make([]byte, 64)
	for range relays {
		addr, rss := child(t, server)
		for i := range count / relays {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatalf("connection %d to %q: %v", i, addr, err)
			}
			clients = append(clients, c)
			io.WriteString(c, "1 get key\n")
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != "1 ok\n" {
				t.Fatalf("connection %d: client reads %q, %v", i, buf[:n], err)
			}
		}
		total += rss()
	}
	t.Logf("%d idle connections: %d MB", count, total>>10)
	if total > limit {
		t.Errorf("%d idle connections take %d KB, more than %d", count, total, limit)
	}
}

// A GB passes each way in constant memory, in one message.
func TestLargeMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const size = 1 << 30
	b := newBed(t, ordered, func(b *bed, c *net.TCPConn) {
		in := bufio.NewReader(c)
		in.ReadString('\n')
		io.CopyN(io.Discard, struct{ io.Reader }{in}, size)
		fmt.Fprintf(c, "1 blob %d\n", size)
		writeZeros(c, size)
		c.Close()
	}, never)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.say("1 blob %d", size)
	if err := writeZeros(b.client, size); err != nil {
		t.Fatal(err)
	}
	b.expect(fmt.Sprintf("1 blob %d", size))
	b.client.SetReadDeadline(time.Time{})
	if _, err := io.CopyN(io.Discard, struct{ io.Reader }{b.in}, size); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
	b.finish(fmt.Sprintf("blob %d", size))
}

func writeZeros(w io.Writer, n int) error {
	block := make([]byte, 1<<20)
	for ; n > 0; n -= len(block) {
		if _, err := w.Write(block); err != nil {
			return err
		}
	}
	return nil
}

// requests is an endless stream of them.
type requests struct {
	op string
	id int
}

func (r *requests) Read(b []byte) (n int, err error) {
	for n+64 < len(b) {
		r.id++
		n += copy(b[n:], fmt.Sprintf("%d %s\n", r.id, r.op))
	}
	return n, nil
}

// zeros is an endless stream of zero bytes.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// writeUntilStuck writes until the peer has taken nothing for a while, and
// returns how many bytes it took.
func writeUntilStuck(c net.Conn, from io.Reader) (n int, err error) {
	block := make([]byte, 64<<10)
	for {
		k, _ := from.Read(block)
		for rest := block[:k]; len(rest) > 0; {
			c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
			k, err := c.Write(rest)
			n, rest = n+k, rest[k:]
			if err != nil && !(errors.Is(err, os.ErrDeadlineExceeded) && k > 0) {
				return n, err
			}
		}
	}
}

// A client that doesn't read stops the server from writing, and costs nothing.
func TestSlowReader(t *testing.T) {
	for _, p := range []*protocols.Protocol{ordered, multiplexed} {
		stuck := make(chan error, 1)
		var before, after runtime.MemStats
		b := newBed(t, p, func(b *bed, c *net.TCPConn) {
			runtime.GC()
			runtime.ReadMemStats(&before)
			fmt.Fprintf(c, "1 blob %d\n", 1<<40)
			_, err := writeUntilStuck(c, zeros{})
			stuck <- err
		})
		if err := <-stuck; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if after.HeapAlloc > before.HeapAlloc+(8<<20) {
			t.Errorf("%d bytes more are in use", after.HeapAlloc-before.HeapAlloc)
		}
		b.cancel()
		<-b.served
	}
}

// A client that asks for what a fault answers, or delays, and doesn't read is
// stopped, too.
func TestSlowReaderOfFaults(t *testing.T) {
	long := &protocols.Reply{Message: strings.Repeat("no", 500)}
	for _, c := range []struct {
		name  string
		p     *protocols.Protocol
		fault intercept.Fault
		head  string
	}{
		{"answered", ordered, intercept.Fault{Do: intercept.Answer, Reply: long}, ""},
		{"answered, multiplexed", multiplexed, intercept.Fault{Do: intercept.Answer, Reply: long}, ""},
		{"answered behind one that hangs", ordered, intercept.Fault{Do: intercept.Answer, Reply: long}, "1 mute\n"},
		{"delayed", ordered, intercept.Fault{Delay: time.Hour}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBed(t, c.p, func(b *bed, c *net.TCPConn) { io.Copy(io.Discard, c) }, on("bad", c.fault))
			io.WriteString(b.client, c.head)
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			n, err := writeUntilStuck(b.client, &requests{op: "bad", id: 1})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if after.HeapAlloc > before.HeapAlloc+(24<<20) {
				t.Errorf("%d bytes more are in use after %d bytes of requests", after.HeapAlloc-before.HeapAlloc, n)
			}
			b.cancel()
			<-b.served
		})
	}
}

// Connections that come and go, in every way at once, all end and are closed.
func TestManyConnections(t *testing.T) {
	files := func() int {
		open, _ := os.ReadDir("/proc/self/fd")
		return len(open)
	}
	before := files()
	t.Run("all", func(t *testing.T) {
		for i := range 120 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				comeAndGo(t, i)
			})
		}
	})
	for try := 0; files() > before; try++ {
		if try == 500 {
			t.Fatalf("%d files are open, %d were before", files(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func comeAndGo(t *testing.T, i int) {
	p := []*protocols.Protocol{ordered, multiplexed}[i%2]
	b := newBed(t, p, answer, on("bad", intercept.Fault{
		Do:    []intercept.Do{intercept.Answer, intercept.Close, intercept.Reset}[i%3],
		Reply: &protocols.Reply{Message: "no"},
		When:  []intercept.When{intercept.Before, intercept.After}[i/2%2],
	}))
	for id := range 1 + i%7 {
		fmt.Fprintf(b.client, "%d get\n", id+1)
	}
	fmt.Fprintf(b.client, "100 bad\n101 multi\n")
	switch i % 5 {
	case 0:
		b.client.Close()
	case 1:
		b.client.SetLinger(0)
		b.client.Close()
	case 2:
		b.cancel()
	case 3:
		b.client.CloseWrite()
		io.Copy(io.Discard, b.in)
	case 4:
		b.client.CloseWrite() // and reads nothing
	}
	<-b.served
}
