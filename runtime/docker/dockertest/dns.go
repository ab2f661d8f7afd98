//go:build linux

package dockertest

import (
	"fmt"
	"net"
	"os/exec"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver is an address of the namespace's own, TEST-NET-1.
const nameserver = "192.0.2.53"

// serveNames answers every question for a name with "there is none", as a name
// server does for names that only the engine knows. Without an answer clients
// would wait.
func serveNames() error {
	if out, err := exec.Command("ip", "address", "add", nameserver+"/32", "dev", "lo").CombinedOutput(); err != nil {
		return fmt.Errorf("add address %s: %w: %s", nameserver, err, out)
	}
	conn, err := net.ListenPacket("udp4", nameserver+":53")
	if err != nil {
		return fmt.Errorf("serve names: %w", err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := noSuchName(buf[:n]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	return nil
}

func noSuchName(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil
	}
	questions, err := p.AllQuestions()
	if err != nil {
		return nil
	}
	answer := dnsmessage.Message{Questions: questions, Header: dnsmessage.Header{
		ID: header.ID, Response: true, RecursionDesired: header.RecursionDesired, RecursionAvailable: true,
		RCode: dnsmessage.RCodeNameError,
	}}
	packed, err := answer.Pack()
	if err != nil {
		return nil
	}
	return packed
}
