package dns

import (
	"strconv"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"faultbox/protocols"
)

// truncated is the code of an answer with the TC bit, which is no RCODE.
const truncated = "TRUNCATED"

// rcodes are the names of the response codes, by number (RFC 1035, RFC 2136).
var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

func codeNames() []string { return rcodes[1:] }

// messages are texts that imply a code.
var messages = []struct{ text, code string }{
	{"nxdomain", "NXDOMAIN"}, {"no such", "NXDOMAIN"}, {"not found", "NXDOMAIN"}, {"does not exist", "NXDOMAIN"},
	{"non-existent", "NXDOMAIN"}, {"unknown host", "NXDOMAIN"}, {"not known", "NXDOMAIN"},
	{"refused", "REFUSED"}, {"not allowed", "REFUSED"}, {"denied", "REFUSED"},
	{"truncated", truncated}, {"too large", truncated},
	{"format error", "FORMERR"}, {"formerr", "FORMERR"}, {"malformed", "FORMERR"},
	{"not implemented", "NOTIMP"}, {"notimp", "NOTIMP"}, {"not supported", "NOTIMP"},
}

// codeOf returns the name of a reply's code, as it is given or else implied by
// its message. An answer without error is no error.
func codeOf(r *protocols.Reply) (name string, ok bool) {
	if r.Code == "" {
		lower := strings.ToLower(r.Message)
		for _, m := range messages {
			if strings.Contains(lower, m.text) {
				return m.code, true
			}
		}
		return "SERVFAIL", true
	}
	if n, err := strconv.Atoi(r.Code); err == nil && n > 0 && n < len(rcodes) {
		return rcodes[n], true
	}
	upper := strings.ToUpper(r.Code)
	for _, name := range append(codeNames(), truncated) {
		if upper == name {
			return name, true
		}
	}
	return "", false
}

// rcode is the number of a code's name.
func rcode(name string) dnsmessage.RCode {
	for n, have := range rcodes {
		if have == name {
			return dnsmessage.RCode(n)
		}
	}
	return dnsmessage.RCodeSuccess
}

// codeIn is the code that an answer carries, "" for success.
func codeIn(h *dnsmessage.Header) string {
	switch n := int(h.RCode); {
	case n == 0 && h.Truncated:
		return truncated
	case n == 0:
		return ""
	case n < len(rcodes):
		return rcodes[n]
	default:
		return "RCODE" + strconv.Itoa(n)
	}
}
