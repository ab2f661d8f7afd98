package dns

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"faultbox/protocols"
)

// Protocol is DNS.
var Protocol = &protocols.Protocol{
	Name: "dns",
	Doc:  "DNS over UDP and TCP: BIND, Unbound, dnsmasq, CoreDNS, Knot, PowerDNS",
	Port: 53,
	Fields: map[string]protocols.Field{
		"name": {Of: "key", Fold: true, Normalize: TrimDot},
		"type": protocols.OpField,
	},
	Faults:      []string{"error", "response", "delay", "drop", "duplicate", "truncate", "reset"},
	Datagram:    true,
	Multiplexed: true,
	Lossy:       true,
	Check:       Check,
	New:         func() protocols.Codec { return new(Codec) },
	Stream: &protocols.Protocol{
		Name: "dns", Multiplexed: true, Window: prefix + 1<<16, New: func() protocols.Codec { return new(stream) },
	},
}

// TrimDot takes the root's dot off a name.
func TrimDot(name string) string { return strings.TrimSuffix(name, ".") }

// Check completes a reply: an error gets its response code, the addresses of a
// response are looked at.
func Check(r *protocols.Reply) error {
	if r.Status != 0 || len(r.Headers) > 0 || len(r.Details) > 0 {
		return errors.New("an answer has no status, headers or details: error(code=…) takes a response code, response(value=…) addresses")
	}
	if !r.Error {
		_, err := addresses(r.Value)
		return err
	}
	name, ok := codeOf(r)
	if !ok {
		return fmt.Errorf("there is no response code %q; there are %s, and TRUNCATED for the TC bit", r.Code, strings.Join(codeNames(), ", "))
	}
	r.Code = name
	return nil
}

// addresses returns the addresses of a response.
func addresses(value any) (list []netip.Addr, err error) {
	values, isList := value.([]any)
	if !isList && value != nil {
		values = []any{value}
	}
	for _, v := range values {
		s, ok := v.(string)
		ip, err := netip.ParseAddr(s)
		if !ok || err != nil || ip.Zone() != "" {
			return nil, fmt.Errorf("a response holds IP addresses, one or a list (none: the name has no record), and not %#v", v)
		}
		list = append(list, ip.Unmap())
	}
	return list, nil
}
