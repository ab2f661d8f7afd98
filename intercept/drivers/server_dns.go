//go:build linux

package drivers

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"faultbox/intercept/redirect"
)

// DNSPort is the port of the name server that DNS starts.
const DNSPort = 53

// DNS starts a name server for the domain shop. in a place, on 127.0.0.1 and
// ::1, over UDP and TCP. It refuses what is outside its domain.
func DNS(t testing.TB, p *Place) {
	t.Helper()
	bin := lookPath(t, "dnsmasq", "dnsmasq-base")
	args := []string{"--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root",
		"--listen-address=127.0.0.1,::1", "--bind-interfaces", "--log-facility=-", "--local=/shop/",
		"--host-record=db.shop,10.1.2.3,fd00::3", "--host-record=cache.shop,10.1.2.4", "--cname=sql.shop,db.shop",
		"--mx-host=shop,mail.shop,10", "--srv-host=_pg._tcp.shop,db.shop,5432,1,2"}
	for i := range 40 { // more than a datagram of 1232 bytes holds
		args = append(args, fmt.Sprintf("--txt-record=big.shop,%02d %s", i, strings.Repeat("x", 60)))
	}
	enter := exec.Command(lookPath(t, "nsenter", "util-linux"), append([]string{"--net=/proc/self/fd/3", bin}, args...)...)
	enter.ExtraFiles = []*os.File{p.NS}
	run(t, enter, syscall.SIGTERM, func() error {
		c, err := redirect.Dial(t.Context(), p.NS, "tcp", net.JoinHostPort("::1", fmt.Sprint(DNSPort)))
		if err == nil {
			c.Close()
		}
		return err
	})
	serves("dns", "dnsmasq", bin, "--version")
}
