//go:build linux

package docker

import (
	"net/netip"
	"strings"
	"testing"
)

// Addresses come from the range, and are none that somebody has.
func TestFree(t *testing.T) {
	addr := netip.MustParseAddr
	b := &bridge{
		name: "n", subnet: netip.MustParsePrefix("10.5.0.0/29"), router: addr("10.5.0.2"),
		reserved: map[netip.Addr]bool{addr("10.5.0.3"): true},
	}
	taken := map[netip.Addr]bool{addr("10.5.0.4"): true}
	for _, c := range []struct{ pool, want string }{
		{"", "10.5.0.5 10.5.0.6"}, // neither .0 to .4 nor .7, which is for broadcasts
		{"10.5.0.4/31", "10.5.0.5"},
		{"10.5.0.6/31", "10.5.0.6"},
	} {
		b.pool = netip.Prefix{}
		if c.pool != "" {
			b.pool = netip.MustParsePrefix(c.pool)
		}
		next := map[*bridge]uint32{}
		var got []string
		for {
			a, err := free(b, next, taken)
			if err != nil {
				if !strings.Contains(err.Error(), "has no more") {
					t.Error(err)
				}
				break
			}
			got = append(got, a.String())
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("of %q: %s, want %s", c.pool, s, c.want)
		}
	}
}
