// Command resolve looks names up with Go's own resolver and prints what it says.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
)

func main() {
	r := &net.Resolver{PreferGo: true}
	ctx := context.Background()
	for _, q := range os.Args[1:] {
		kind, name, _ := strings.Cut(q, ":")
		var found []string
		var err error
		switch kind {
		case "ip", "ip4", "ip6":
			var ips []net.IP
			ips, err = r.LookupIP(ctx, kind, name)
			for _, ip := range ips {
				found = append(found, ip.String())
			}
		case "txt":
			found, err = r.LookupTXT(ctx, name)
		}
		slices.Sort(found)
		var e *net.DNSError
		if errors.As(err, &e) {
			fmt.Println(q, "error", e.Err, "temporary", e.IsTemporary, "timeout", e.IsTimeout, "notfound", e.IsNotFound)
			continue
		}
		fmt.Println(q, found)
	}
}
