//go:build linux

package drivers

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/intercept/redirect"
	"faultbox/protocols"
	"faultbox/protocols/udp"
)

// memcached answers over UDP as well; to the relay it is just datagrams.

const memcachedPort = 11211

// memcachedUDP starts one in a place.
func memcachedUDP(t *testing.T, p *Place) {
	t.Helper()
	port := fmt.Sprint(memcachedPort)
	enter := exec.Command(lookPath(t, "nsenter", "util-linux"), "--net=/proc/self/fd/3", lookPath(t, "memcached", "memcached"),
		"-l", "127.0.0.1", "-p", port, "-U", port, "-u", "nobody")
	enter.ExtraFiles = append(enter.ExtraFiles, p.NS)
	run(t, enter, syscall.SIGTERM, func() error {
		c, err := redirect.Dial(t.Context(), p.NS, "tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
		}
		return err
	})
	serves("memcached/udp", "memcached (UDP)", "memcached", "--version")
}

// udpClient sends commands one by one and prints what comes back of each. A
// request's frame is number, sequence, count, 0 (memcached's protocol.txt).
const udpClient = `
import socket, struct, sys
how, *commands = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(1)
to = ("127.0.0.1", 11211)
if how == "connected":
    s.connect(to)
for n, command in enumerate(commands):
    frame = struct.pack("!HHHH", n, 0, 1, 0) + command.encode() + b"\r\n"
    try:
        s.send(frame) if how == "connected" else s.sendto(frame, to)
        while True:
            answer, sender = s.recvfrom(65536)
            text = answer[8:].decode() if answer[:2] == frame[:2] else repr(answer)
            print(command.split()[0], repr(text), sender)
            s.settimeout(0.1)
    except TimeoutError:
        print(command.split()[0], "no more")
    except OSError as e:
        print(command.split()[0], type(e).__name__)
    s.settimeout(1)
`

func askMemcached(t *testing.T, p *Place, how string, commands ...string) string {
	t.Helper()
	out, _ := p.Client(t, exec.Command(lookPath(t, "python3", "python3"), append([]string{"-c", udpClient, how}, commands...)...))
	return out
}

func TestUDPUntouched(t *testing.T) {
	p := NewPlace(t)
	memcachedUDP(t, p)
	for _, how := range []string{"connected", "unconnected"} {
		t.Run(how, func(t *testing.T) {
			Compared(t, udp.Protocol, "memcached/udp", "Python", how+" socket", "several datagrams in answer")
			// What does not fit into a datagram comes in several.
			commands := []string{"set a 0 0 3\r\nabc", "get a", "get b", "set big 0 0 1000\r\n" + strings.Repeat("x", 1000), "get big big big", "version"}
			direct := askMemcached(t, p, how, commands...)
			log, disarm := p.Arm(t, udp.Protocol, memcachedPort, intercept.Rule{
				Match: Match(t, udp.Protocol, "bytes", "*no such bytes*"), Fault: intercept.Fault{Do: intercept.Lose},
			})
			armed := askMemcached(t, p, how, commands...)
			disarm()
			if armed != direct || !strings.Contains(direct, "STORED") || !strings.Contains(direct, "VALUE a 0 3") {
				t.Errorf("armed:\n%s\ndirect:\n%s", armed, direct)
			}
			if n := log.Tally()[0].Matched(); n != 0 || len(log.Some(2*len(commands))) < 2*len(commands) {
				t.Errorf("the rule matched %d times; events %+v", n, log.Events())
			}
		})
	}
}

func TestUDPFaults(t *testing.T) {
	p := NewPlace(t)
	memcachedUDP(t, p)
	const value = `get 'VALUE a 0 3\r\nabc\r\nEND\r\n' ('127.0.0.1', 11211)`
	for _, c := range []struct {
		name  string
		match []string
		fault intercept.Fault
		want  string // what is said of the get; "no more" ends each
	}{
		{"delay", []string{"bytes", "*get*"}, intercept.Fault{Delay: 100 * time.Millisecond}, value},
		{"drop to", []string{"bytes", "*get a*"}, intercept.Fault{Do: intercept.Lose}, ""},
		{"drop from", []string{"bytes", "*VALUE*", "direction", "from"}, intercept.Fault{Do: intercept.Lose}, ""},
		{"duplicate to", []string{"bytes", "*get a*", "direction", "to"}, intercept.Fault{Do: intercept.Twice}, value + "\n" + value},
		{"duplicate from", []string{"bytes", "*VALUE*", "direction", "both"}, intercept.Fault{Do: intercept.Twice}, value + "\n" + value},
		{"truncate", []string{"bytes", "*VALUE*"}, intercept.Fault{Do: intercept.Cut, Bytes: 15, When: intercept.After}, `get 'VALUE a' ('127.0.0.1', 11211)`},
		{"truncate to", []string{"bytes", "*get a*"}, intercept.Fault{Do: intercept.Cut, Bytes: 4, When: intercept.After}, ""},
		{"response", []string{"bytes", "*get a*"}, intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: "hello"}}, `get "b'hello'" ('127.0.0.1', 11211)`},
		{"response from", []string{"bytes", "*VALUE*"}, intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Value: ""}}, `get "b''" ('127.0.0.1', 11211)`},
		{"reset", []string{"bytes", "*get a*"}, intercept.Fault{Do: intercept.Reset}, "get ConnectionRefusedError"},
		{"reset from", []string{"bytes", "*VALUE*"}, intercept.Fault{Do: intercept.Reset}, "get ConnectionRefusedError"},
	} {
		for _, how := range []string{"connected", "unconnected"} {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				Struck(t, udp.Protocol, "memcached/udp", "Python, "+how, c.name)
				log, disarm := p.Arm(t, udp.Protocol, memcachedPort, intercept.Rule{Match: Match(t, udp.Protocol, c.match...), Fault: c.fault})
				got := askMemcached(t, p, how, "set a 0 0 3\r\nabc", "get a", "get b")
				disarm()
				want := c.want + "\nget no more\n"
				switch {
				case c.want == "", c.fault.Do == intercept.Reset && how == "unconnected": // nobody is told
					want = "get no more\n"
				case c.fault.Do == intercept.Reset:
					want = c.want + "\n"
				}
				const before, after = "set 'STORED\\r\\n' ('127.0.0.1', 11211)\nset no more\n", "get 'END\\r\\n' ('127.0.0.1', 11211)\nget no more\n"
				if got != before+want+after {
					t.Errorf("the client says\n%s\nand not\n%s", got, before+want+after)
				}
				if n := log.Tally()[0].Acted(); n == 0 {
					t.Errorf("the rule acted on nothing: %+v", log.Events())
				}
			})
		}
	}
}
