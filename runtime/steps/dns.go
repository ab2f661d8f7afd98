package steps

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"faultbox/runtime"
)

// dnsSteps asks a name server.
type dnsSteps struct{}

func (dnsSteps) Methods() []runtime.Method {
	return []runtime.Method{{
		Name: "query",
		Doc: "Asks for the records of a name, of type A unless type says AAAA, CNAME, MX, NS, PTR, SOA, SRV or TXT. " +
			"data is the list of their values (addresses, names, texts), in the order of the answer; body has one a line. " +
			"An answer with another response code than NOERROR is a failure with that as error_code (\"NXDOMAIN\", \"SERVFAIL\"); " +
			"an answer with the TC bit has the error_code \"TRUNCATED\" and is not asked for over TCP; " +
			"none within timeout (default 5s) has \"timeout\".",
		Params: []runtime.Param{
			{Name: "name", Kind: runtime.String, Required: true},
			{Name: "type", Kind: runtime.String, Default: "A"},
			{Name: "timeout", Kind: runtime.Duration},
		},
	}}
}

var dnsTypes = map[string]dnsmessage.Type{
	"A": dnsmessage.TypeA, "AAAA": dnsmessage.TypeAAAA, "CNAME": dnsmessage.TypeCNAME, "MX": dnsmessage.TypeMX, "NS": dnsmessage.TypeNS,
	"PTR": dnsmessage.TypePTR, "SOA": dnsmessage.TypeSOA, "SRV": dnsmessage.TypeSRV, "TXT": dnsmessage.TypeTXT,
}

var dnsCodes = map[dnsmessage.RCode]string{
	dnsmessage.RCodeFormatError: "FORMERR", dnsmessage.RCodeServerFailure: "SERVFAIL", dnsmessage.RCodeNameError: "NXDOMAIN",
	dnsmessage.RCodeNotImplemented: "NOTIMP", dnsmessage.RCodeRefused: "REFUSED",
}

func (dnsSteps) Open(_ context.Context, e runtime.Endpoint) (runtime.Session, error) {
	return dnsSession{e}, nil
}

// Ping succeeds when the server answers, whatever it says.
func (dnsSteps) Ping(ctx context.Context, e runtime.Endpoint) error {
	_, err := dnsSession{e}.ask(ctx, dnsmessage.Question{Name: dnsmessage.MustNewName("."), Type: dnsmessage.TypeNS, Class: dnsmessage.ClassINET}, time.Second)
	return err
}

type dnsSession struct{ e runtime.Endpoint }

func (dnsSession) Close() error { return nil }

func (s dnsSession) Do(ctx context.Context, _ string, args runtime.Args) runtime.Response {
	kind, ok := dnsTypes[strings.ToUpper(args.Str("type"))]
	if !ok {
		return failed(context.Background(), misused("query type %q: there are A, AAAA, CNAME, MX, NS, PTR, SOA, SRV and TXT", args.Str("type")))
	}
	name, err := dnsmessage.NewName(strings.TrimSuffix(args.Str("name"), ".") + ".")
	if err != nil {
		return failed(context.Background(), misused("query name %q: %v", args.Str("name"), err))
	}
	limit := answerTimeout
	if d, given := args["timeout"].(time.Duration); given {
		limit = d
	}
	m, err := s.ask(ctx, dnsmessage.Question{Name: name, Type: kind, Class: dnsmessage.ClassINET}, limit)
	if err != nil {
		return failed(ctx, err)
	}
	resp := runtime.Response{OK: true}
	values := []any{}
	for _, r := range m.Answers {
		values = append(values, recordValue(r.Body))
		resp.Body += recordValue(r.Body) + "\n"
	}
	resp.Data = values
	switch {
	case m.RCode != dnsmessage.RCodeSuccess:
		resp.ErrorCode = dnsCodes[m.RCode]
		if resp.ErrorCode == "" {
			resp.ErrorCode = fmt.Sprintf("RCODE%d", m.RCode)
		}
	case m.Truncated:
		resp.ErrorCode = "TRUNCATED"
	}
	if resp.ErrorCode != "" {
		resp.OK, resp.Error = false, fmt.Sprintf("%s %s: the server answered %s", args.Str("type"), args.Str("name"), resp.ErrorCode)
	}
	return resp
}

// ask sends a query and returns the answer to it.
func (s dnsSession) ask(ctx context.Context, q dnsmessage.Question, limit time.Duration) (m dnsmessage.Message, err error) {
	id := uint16(rand.Uint32())
	out := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true}, Questions: []dnsmessage.Question{q}}
	b, err := out.Pack()
	if err != nil {
		return m, err
	}
	_, err = exchangeDatagram(ctx, s.e, b, limit, func(answer []byte) bool {
		return m.Unpack(answer) == nil && m.Response && m.ID == id
	})
	return m, err
}

// recordValue is the value of a record as master files write it, names without
// the dot at the end.
func recordValue(body dnsmessage.ResourceBody) string {
	plain := func(n dnsmessage.Name) string { return strings.TrimSuffix(n.String(), ".") }
	switch r := body.(type) {
	case *dnsmessage.AResource:
		return netip.AddrFrom4(r.A).String()
	case *dnsmessage.AAAAResource:
		return netip.AddrFrom16(r.AAAA).String()
	case *dnsmessage.CNAMEResource:
		return plain(r.CNAME)
	case *dnsmessage.MXResource:
		return fmt.Sprintf("%d %s", r.Pref, plain(r.MX))
	case *dnsmessage.NSResource:
		return plain(r.NS)
	case *dnsmessage.PTRResource:
		return plain(r.PTR)
	case *dnsmessage.SOAResource:
		return fmt.Sprintf("%s %s %d", plain(r.NS), plain(r.MBox), r.Serial)
	case *dnsmessage.SRVResource:
		return fmt.Sprintf("%d %d %d %s", r.Priority, r.Weight, r.Port, plain(r.Target))
	case *dnsmessage.TXTResource:
		return strings.Join(r.TXT, "")
	}
	return ""
}
