package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// What ends a connection may come together with the last bytes.
func TestEndRightBehindData(t *testing.T) {
	for _, rst := range []bool{false, true} {
		t.Run(fmt.Sprintf("server, reset %v", rst), func(t *testing.T) {
			t.Parallel()
			for range 200 {
				b := newBed(t, ordered, func(_ *bed, c *net.TCPConn) {
					bufio.NewReader(c).ReadString('\n')
					io.WriteString(c, "1 ok get\n")
					end(c, rst)
				})
				b.say("1 get a")
				if rst { // what was on its way may be lost, as it is without a relay
					b.client.SetReadDeadline(time.Now().Add(20 * time.Second))
					if _, err := io.ReadAll(b.in); !isReset(err) {
						t.Fatalf("client reads %v; want a reset", err)
					}
					<-b.served
					continue
				}
				b.expectEnd("1 ok get\n", false)
				b.finish("get a")
			}
		})
		t.Run(fmt.Sprintf("client, reset %v", rst), func(t *testing.T) {
			t.Parallel()
			for range 200 {
				heard := make(chan error, 1)
				b := newBed(t, ordered, func(_ *bed, c *net.TCPConn) {
					c.SetReadDeadline(time.Now().Add(20 * time.Second))
					got, err := io.ReadAll(c)
					if !rst && string(got) != "1 mute\n" {
						err = fmt.Errorf("read %q, %v", got, err)
					}
					end(c, false)
					heard <- err
				})
				b.say("1 mute")
				end(b.client, rst)
				if err := <-heard; rst && !isReset(err) || !rst && err != nil {
					t.Fatalf("server reads %v; want reset %v", err, rst)
				}
				<-b.served
			}
		})
	}
}

// end sends an RST, or a FIN.
func end(c *net.TCPConn, rst bool) {
	if rst {
		c.SetLinger(0)
		c.Close()
		return
	}
	c.CloseWrite()
}

// A receiver that does not read at first gets every byte in its place, and the
// other direction goes on meanwhile.
func TestReceiverStartsLate(t *testing.T) {
	const size = 32 << 20
	blob := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz_"), size/37+1)[:size]
	heard := make(chan string, 1)
	b := newBed(t, ordered, func(_ *bed, c *net.TCPConn) {
		in := bufio.NewReader(c)
		in.ReadString('\n')
		go func() {
			line, _ := in.ReadString('\n')
			heard <- line
		}()
		fmt.Fprintf(c, "1 blob %d\n", size)
		c.Write(blob)
	})
	b.say("1 get a")
	if _, err := b.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // until the relay can write no more
	b.say("2 mute")
	if line := <-heard; line != "2 mute\n" {
		t.Fatalf("server reads %q", line)
	}
	got := make([]byte, size)
	if _, err := io.ReadFull(b.in, got); err != nil || !bytes.Equal(got, blob) {
		t.Fatalf("what arrives is not what was sent (%v)", err)
	}
	b.cancel()
	<-b.served
}

// Connections whose receivers don't read hold up no other.
func TestStuckNeighbours(t *testing.T) {
	for range 8 {
		stuck := make(chan error, 1)
		b := newBed(t, ordered, func(_ *bed, c *net.TCPConn) {
			fmt.Fprintf(c, "1 blob %d\n", 1<<40)
			_, err := writeUntilStuck(c, zeros{})
			stuck <- err
		})
		defer func() { b.cancel(); <-b.served }()
		<-stuck
	}
	for range 8 {
		b := newBed(t, ordered, answer)
		b.say("1 get a")
		b.expect("1 ok get")
		b.finish("get a")
	}
}
