//go:build linux

package drivers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"faultbox/intercept"
	"faultbox/protocols"
	"faultbox/protocols/dns"
	"faultbox/protocols/udp"
)

// dnsClient asks for names, "type:name", and returns what it has to say of each.
type dnsClient struct {
	name  string
	types []string // that it can ask for, besides ip
	ask   func(t *testing.T, p *Place, queries ...string) string
}

var dnsClients = []dnsClient{
	{"dig", []string{"ip4", "ip6", "txt", "mx", "srv"}, func(t *testing.T, p *Place, queries ...string) string {
		return dig(t, p, nil, queries...)
	}},
	{"glibc (Python)", nil, func(t *testing.T, p *Place, queries ...string) string {
		return p.resolving(t, lookPath(t, "python3", "python3"), append([]string{"-c", pythonLookup}, queries...)...)
	}},
	{"Go", []string{"ip4", "ip6", "txt"}, func(t *testing.T, p *Place, queries ...string) string {
		return p.resolving(t, goResolver(t), queries...)
	}},
	{"c-ares (Node)", []string{"ip4", "ip6", "txt", "mx", "srv"}, func(t *testing.T, p *Place, queries ...string) string {
		return p.resolving(t, lookPath(t, "node", "nodejs"), append([]string{"-e", nodeLookup, "--"}, queries...)...)
	}},
}

const pythonLookup = `
import socket, sys
for q in sys.argv[1:]:
    name = q.split(":")[1]
    try:
        print(q, sorted({a[4][0] for a in socket.getaddrinfo(name, None)}))
    except socket.gaierror as e:
        print(q, "error", {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}[e.errno])
`

const nodeLookup = `
const dns = require("dns").promises;
const r = new dns.Resolver({timeout: 1000, tries: 2});
r.setServers(["127.0.0.1"]);
const how = {ip4: "resolve4", ip: "resolve4", ip6: "resolve6", txt: "resolveTxt", mx: "resolveMx", srv: "resolveSrv"};
(async () => {
  for (const q of process.argv.slice(1)) {
    const [kind, name] = q.split(":");
    try { console.log(q, JSON.stringify((await r[how[kind]](name)).sort())); } catch (e) { console.log(q, "error", e.code); }
  }
})();`

// goResolver builds testdata/resolve.
func goResolver(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "resolve")
	if out, err := exec.Command("go", "build", "-o", bin, "./testdata/resolve").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// resolving runs a client to which /etc/resolv.conf names the place's server.
func (p *Place) resolving(t *testing.T, name string, args ...string) string {
	t.Helper()
	conf := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(conf, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	script := `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	out, _ := p.Client(t, exec.Command(lookPath(t, "unshare", "util-linux"), append([]string{"-m", "sh", "-c", script, conf, name}, args...)...))
	return out
}

var (
	digVaries = regexp.MustCompile(`(?m), id: \d+|^; COOKIE.*\n|^;; (Query time|WHEN|MSG SIZE).*\n`)
	digTypes  = map[string]string{"ip": "A", "ip4": "A", "ip6": "AAAA"}
)

func dig(t *testing.T, p *Place, options []string, queries ...string) string {
	t.Helper()
	var all strings.Builder
	for _, q := range queries {
		kind, name, _ := strings.Cut(q, ":")
		if long := digTypes[kind]; long != "" {
			kind = long
		}
		args := append([]string{"+tries=2", "+time=1", "@127.0.0.1"}, options...)
		out, _ := p.Client(t, exec.Command(lookPath(t, "dig", "bind9-dnsutils"), append(args, name, kind)...))
		lines := strings.SplitAfter(digVaries.ReplaceAllString(out, ""), "\n")
		slices.Sort(lines) // of several records, in any order
		all.WriteString(strings.Join(lines, ""))
	}
	return all.String()
}

// noSuchName is a rule that matches nothing.
func noSuchName(t *testing.T, p *protocols.Protocol) intercept.Rule {
	return intercept.Rule{Match: Match(t, p, "name", "no.such.name"), Fault: intercept.Fault{Do: intercept.Lose}}
}

// TestDNSUntouched: every client hears through an armed edge what it hears
// directly.
func TestDNSUntouched(t *testing.T) {
	p := NewPlace(t)
	DNS(t, p)
	for _, c := range dnsClients {
		t.Run(c.name, func(t *testing.T) {
			queries := []string{"ip:db.shop", "ip:cache.shop", "ip:sql.shop", "ip:none.shop", "ip:other.example"}
			for _, kind := range c.types {
				name := map[string]string{"txt": "big.shop", "mx": "shop", "srv": "_pg._tcp.shop"}[kind]
				if name == "" {
					name = "db.shop"
				}
				queries = append(queries, kind+":"+name)
			}
			for _, proto := range []*protocols.Protocol{dns.Protocol, udp.Protocol} {
				Compared(t, proto, "dns", c.name, append([]string{"names", "no such name", "refused", "over TCP when truncated"}, c.types...)...)
				direct := c.ask(t, p, queries...)
				log, disarm := p.Arm(t, proto, DNSPort, noSuchName(t, proto))
				armed := c.ask(t, p, queries...)
				disarm()
				if armed != direct {
					t.Errorf("%s: armed:\n%s\ndirect:\n%s", proto.Name, armed, direct)
				}
				if !strings.Contains(direct, "10.1.2.3") {
					t.Errorf("the client found nothing:\n%s", direct)
				}
				if n := len(log.Some(len(queries))); n < len(queries) {
					t.Errorf("%d events of %d queries, notes %q", n, len(queries), log.Notes())
				}
			}
		})
	}
	t.Run("options of dig", func(t *testing.T) {
		for _, options := range [][]string{{"+noedns"}, {"+dnssec"}, {"+bufsize=512", "+ignore"}, {"+norecurse"}, {"+nocookie", "+subnet=10.0.0.0/8"}, {"@::1"}, {"-b", "127.0.0.9"}} {
			direct := dig(t, p, options, "ip4:db.shop", "txt:big.shop", "ip4:none.shop")
			_, disarm := p.Arm(t, dns.Protocol, DNSPort, noSuchName(t, dns.Protocol))
			armed := dig(t, p, options, "ip4:db.shop", "txt:big.shop", "ip4:none.shop")
			disarm()
			if armed != direct {
				t.Errorf("%v: armed:\n%s\ndirect:\n%s", options, armed, direct)
			}
		}
	})
}

// TestDNSFaults: what each client reports of each fault.
func TestDNSFaults(t *testing.T) {
	p := NewPlace(t)
	DNS(t, p)
	reply := func(r protocols.Reply) intercept.Fault { return intercept.Fault{Do: intercept.Answer, Reply: &r} }
	after := func(f intercept.Fault) intercept.Fault { f.When = intercept.After; return f }
	const found = `10\.1\.2\.3`
	failure := []string{"status: SERVFAIL", "error EAI_AGAIN", "error server misbehaving temporary true", "error ESERVFAIL"}
	nothing := []string{"no servers could be reached", "error EAI_AGAIN", `i/o timeout temporary true timeout true`, "error ETIMEOUT"}
	nxdomain := []string{"status: NXDOMAIN", "error EAI_NONAME", "error no such host temporary false timeout false notfound true", "error ENOTFOUND"}
	all := func(want string) []string { return []string{want, want, want, want} }
	for _, f := range []struct {
		name  string
		times int
		fault intercept.Fault
		want  []string // by client, what it says of db.shop
	}{
		{"SERVFAIL", 0, reply(protocols.Reply{Error: true, Message: "disk full"}), failure},
		{"SERVFAIL after", 0, after(reply(protocols.Reply{Error: true})), failure},
		{"NXDOMAIN", 0, reply(protocols.Reply{Error: true, Message: "no such host"}), nxdomain},
		{"REFUSED", 0, reply(protocols.Reply{Error: true, Code: "REFUSED"}), []string{"status: REFUSED", "error EAI_AGAIN", "error server misbehaving", "error EREFUSED"}},
		{"truncated", 0, reply(protocols.Reply{Error: true, Code: "TRUNCATED"}), all(found)}, // asks again over TCP
		{"response", 0, reply(protocols.Reply{Value: []any{"192.0.2.7", "2001:db8::7"}}), all(`192\.0\.2\.7`)},
		{"response, no address", 0, reply(protocols.Reply{}), []string{"ANSWER: 0", "error EAI_NODATA", "error no such host temporary false timeout false notfound true", "error ENODATA"}},
		{"delay", 0, intercept.Fault{Delay: 100 * time.Millisecond}, all(found)},
		{"drop of the first", 1, intercept.Fault{Do: intercept.Lose}, all(found)},
		{"drop", 0, intercept.Fault{Do: intercept.Lose}, nothing},
		{"drop after", 0, after(intercept.Fault{Do: intercept.Close}), nothing},
		{"duplicate", 0, intercept.Fault{Do: intercept.Twice}, all(found)},
		{"cut to 10 bytes", 0, intercept.Fault{Do: intercept.Cut, Bytes: 10, When: intercept.After}, append(nothing[:3:3], "error EBADRESP")},
		{"reset", 0, intercept.Fault{Do: intercept.Reset}, []string{"connection refused", "error EAI_AGAIN", "connection refused", "error ECONNREFUSED"}},
	} {
		for i, c := range dnsClients {
			t.Run(f.name+"/"+c.name, func(t *testing.T) {
				rule := intercept.Rule{Match: Match(t, dns.Protocol, "name", "*B.shop."), Trigger: intercept.Trigger{Times: f.times, Prob: 1}, Fault: f.fault}
				log, disarm := p.Arm(t, dns.Protocol, DNSPort, rule)
				Struck(t, dns.Protocol, "dns", c.name, f.name)
				out := c.ask(t, p, "ip:db.shop", "ip:cache.shop")
				disarm()
				other := out[strings.Index(out, "cache.shop"):]
				if c.name == "dig" {
					other = out
				}
				if !regexp.MustCompile(f.want[i]).MatchString(out) || !strings.Contains(other, "10.1.2.4") {
					t.Errorf("the client says\n%s\nand not %q of db.shop", out, f.want[i])
				}
				if log.Tally()[0].Acted() == 0 {
					t.Errorf("the rule acted on nothing: %+v", log.Events())
				}
			})
		}
	}
}

// TestDNSOverTCP: the same interface, for clients that connect.
func TestDNSOverTCP(t *testing.T) {
	p := NewPlace(t)
	DNS(t, p)
	queries := []string{"ip4:db.shop", "txt:big.shop", "ip4:none.shop"}
	direct := dig(t, p, []string{"+tcp"}, queries...)
	if !strings.Contains(direct, "10.1.2.3") {
		t.Fatal(direct)
	}
	log, disarm := p.Arm(t, dns.Protocol, DNSPort, noSuchName(t, dns.Protocol))
	Compared(t, dns.Protocol, "dns", "dig", "TCP")
	if armed := dig(t, p, []string{"+tcp"}, queries...); armed != direct {
		t.Errorf("armed:\n%s\ndirect:\n%s", armed, direct)
	}
	disarm()
	if n := len(log.Some(len(queries))); n != len(queries) {
		t.Errorf("events %+v", log.Events())
	}
	for _, f := range []struct {
		fault intercept.Fault
		want  string
	}{
		{intercept.Fault{Do: intercept.Answer, Reply: &protocols.Reply{Error: true}}, "status: SERVFAIL"},
		{intercept.Fault{Do: intercept.Answer, When: intercept.After, Reply: &protocols.Reply{Value: "192.0.2.7"}}, "192.0.2.7"},
		{intercept.Fault{Do: intercept.Reset}, "connection reset"},
		{intercept.Fault{Do: intercept.Lose}, "timed out"},
		{intercept.Fault{Do: intercept.Close, When: intercept.After}, "end of file"},
	} {
		log, disarm := p.Arm(t, dns.Protocol, DNSPort, intercept.Rule{Match: Match(t, dns.Protocol, "name", "db.*"), Fault: f.fault})
		Struck(t, dns.Protocol, "dns", "dig", "TCP: "+f.fault.Do.String())
		out := dig(t, p, []string{"+tcp"}, "ip4:db.shop")
		disarm()
		if !strings.Contains(out, f.want) || log.Tally()[0].Acted() == 0 {
			t.Errorf("%+v: dig says\n%s\nand not %q", f.fault, out, f.want)
		}
	}
}
