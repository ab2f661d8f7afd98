package drivers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols"
	"faultbox/protocols/http1"
	"faultbox/protocols/postgres"
	"faultbox/protocols/redis"
)

// tlsClient is a client that verifies its server by a file of certificates.
type tlsClient struct {
	name string
	run  func(addr, ca string) []string
}

// tlsCompare has clients speak TLS with a server that they trust, with an edge
// of whose CA they know, and with one that strikes below TLS.
func tlsCompare(t *testing.T, p *protocols.Protocol, server, cert string, clients []tlsClient, rule intercept.Rule, code string) {
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder(t, ""), "ca.pem")
	if err := os.WriteFile(file, ca.PEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	front := func(t *testing.T, rule intercept.Rule) (addr string, log *Log) {
		return FrontLink(t, proxy.Link{
			Protocol: p, TLS: !p.UpgradesTLS, TLSConfig: &proxy.TLS{CA: ca},
			Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
		}, rule)
	}
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			Compared(t, p, server, c.name, "TLS, with the CA of the run")
			Struck(t, p, server, c.name, "error below TLS")
			quietRule := rule
			quietRule.Trigger = intercept.Trigger{Nth: 1 << 30}
			addr, log := front(t, quietRule)
			direct := c.run(server, cert)
			equalLines(t, direct, c.run(addr, file))
			if notes := log.Notes(); len(notes) > 0 || len(log.Some(1)) == 0 {
				t.Errorf("%d events, notes %q", len(log.Events()), notes)
			}
			addr, log = front(t, rule)
			struck := strings.Join(c.run(addr, file), "\n")
			if !strings.Contains(struck, code) || strings.Contains(strings.Join(direct, "\n"), code) {
				t.Errorf("with a fault the client sees\n%s\nand not %s; directly\n%q", struck, code, direct)
			}
			if log.Tally()[0].Acted() == 0 {
				t.Errorf("the rule has not acted; notes %q", log.Notes())
			}
			if without := c.run(addr, cert); slices.Equal(without, direct) {
				t.Error("a client that does not know the CA went on")
			}
		})
	}
}

// certificate makes one that this user may read.
func certificate(t *testing.T, owner string) (cert, key string) {
	dir := folder(t, owner)
	cert, key = selfSigned(t, dir)
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if owner != "" && os.Getuid() == 0 {
		uid, gid := ids(t, owner)
		if err := os.Chown(key, int(uid), int(gid)); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// said runs a program and returns what it printed and how it ended.
func said(t *testing.T, env []string, name string, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return append(strings.Split(strings.TrimSpace(string(out)), "\n"), fmt.Sprint(err))
}

func TestPostgresOverTLS(t *testing.T) {
	cert, key := certificate(t, "postgres")
	server := Postgres(t, "ssl=on", "ssl_cert_file="+cert, "ssl_key_file="+key)
	url := func(addr, ca string) string {
		return strings.Replace(pgURL(addr), "sslmode=prefer", "sslmode=verify-full&channel_binding=disable&sslrootcert="+ca, 1)
	}
	script, err := os.ReadFile("testdata/postgres/client.js")
	if err != nil {
		t.Fatal(err)
	}
	const task = "current_database,version"
	modules := npm(t, "postgres", "pg")
	tlsCompare(t, postgres.Protocol, server, cert, []tlsClient{
		{"pgx", func(addr, ca string) []string {
			c, err := pgx.Connect(t.Context(), url(addr, ca))
			if err != nil {
				return []string{"no connection"}
			}
			defer c.Close(context.Background())
			var version string
			err = c.QueryRow(t.Context(), "SELECT version()").Scan(&version)
			return []string{version, errorText(err)}
		}},
		{"psql", func(addr, ca string) []string {
			return said(t, nil, lookPath(t, "psql", "postgresql-client"), "-X", "-v", "VERBOSITY=verbose", "-c", "SELECT version()", url(addr, ca))
		}},
		{"psycopg2", func(addr, ca string) []string {
			return said(t, nil, "/usr/bin/python3", "testdata/postgres/client.py", task, url(addr, ca))
		}},
		{"node-postgres", func(addr, ca string) []string {
			return said(t, []string{"NODE_PATH=" + modules}, lookPath(t, "node", "nodejs"), "-e", string(script), "--", "script", task, url(addr, ca))
		}},
		{"JDBC", func(addr, ca string) []string {
			jdbc := fmt.Sprintf("jdbc:postgresql://%s/postgres?user=postgres&password=%s&sslmode=verify-full&sslrootcert=%s", addr, PostgresPassword, ca)
			return said(t, nil, lookPath(t, "java", "default-jdk-headless"), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/postgresql.jar", "testdata/postgres/Client.java", task, jdbc)
		}},
	}, pgRule(t, "SELECT version()*", pgError("disk full", intercept.Before)), "53100")

	// Left to itself libpq binds its login to the server's certificate.
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	addr, log := FrontLink(t, proxy.Link{
		Protocol: postgres.Protocol, TLSConfig: &proxy.TLS{CA: ca},
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
	}, never(t, postgres.Protocol, "query"))
	said(t, nil, lookPath(t, "psql", "postgresql-client"), "-X", "-c", "SELECT 1", strings.Replace(pgURL(addr), "prefer", "require", 1))
	if notes := log.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "channel_binding=disable") {
		t.Errorf("notes: %q", notes)
	}
}

func TestRedisOverTLS(t *testing.T) {
	cert, key := certificate(t, "")
	port := FreePort(t)
	Redis(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no")
	server := "127.0.0.1:" + port
	serves(server, "Redis", lookPath(t, "redis-server", "redis-server"), "--version")
	modules := npm(t, "redis", "ioredis", "redis")
	const script = `
const Redis = require('ioredis'), fs = require('fs');
const [host, port, ca] = process.argv.slice(2);
const c = new Redis({ host, port: +port, retryStrategy: null, maxRetriesPerRequest: 0, tls: { ca: fs.readFileSync(ca) } });
c.on('error', e => console.log('error', e.code));
(async () => { for (const k of ['a', 'b']) console.log(await c.set(k, 1).catch(e => e.message)); c.disconnect(); })();`
	tlsCompare(t, redis.Protocol, server, cert, []tlsClient{
		{"go-redis", func(addr, ca string) []string {
			pem, err := os.ReadFile(ca)
			if err != nil {
				t.Fatal(err)
			}
			roots := x509.NewCertPool()
			roots.AppendCertsFromPEM(pem)
			c := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, TLSConfig: &tls.Config{RootCAs: roots}})
			defer c.Close()
			return []string{c.Set(t.Context(), "a", 1, 0).String(), c.Set(t.Context(), "b", 1, 0).String()}
		}},
		{"redis-cli", func(addr, ca string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return said(t, nil, lookPath(t, "redis-cli", "redis-tools"), "-h", host, "-p", port, "--tls", "--cacert", ca, "SET", "b", "1")
		}},
		{"ioredis", func(addr, ca string) []string {
			host, port, _ := net.SplitHostPort(addr)
			return said(t, []string{"NODE_PATH=" + modules}, lookPath(t, "node", "nodejs"), "-e", script, "--", "script", host, port, ca)
		}},
	}, intercept.Rule{Match: Match(t, redis.Protocol, "key", "b"), Fault: redisError("", "READONLY")}, "READONLY")
}

func TestHTTPOverTLS(t *testing.T) {
	cert, key := certificate(t, "")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.Proto, r.URL) })}
	s.Protocols.SetHTTP1(true)
	go s.ServeTLS(ln, cert, key)
	t.Cleanup(func() { s.Close() })
	server := ln.Addr().String()
	serves(server, webProduct, "")
	tlsCompare(t, http1.Protocol, server, cert, []tlsClient{
		{"curl", func(addr, ca string) []string {
			return said(t, nil, lookPath(t, "curl", "curl"), "-sS", "--cacert", ca, "-w", "%{http_code}", "https://"+addr+"/bad")
		}},
		{"urllib (Python)", func(addr, ca string) []string {
			return said(t, []string{"SSL_CERT_FILE=" + ca}, "/usr/bin/python3", "-c", "import sys, urllib.request, urllib.error\n"+
				"try: print(urllib.request.urlopen(sys.argv[1]).read())\nexcept urllib.error.HTTPError as e: print(e.code)\nexcept urllib.error.URLError as e: print('not trusted')", "https://"+addr+"/bad")
		}},
		{"https (Node)", func(addr, ca string) []string {
			return said(t, []string{"NODE_EXTRA_CA_CERTS=" + ca}, lookPath(t, "node", "nodejs"), "-e",
				"require('https').get(process.argv[1], r => { console.log(r.statusCode); r.pipe(process.stdout) }).on('error', e => console.log(e.code))", "https://"+addr+"/bad")
		}},
	}, intercept.Rule{Match: Match(t, http1.Protocol, "path", "/bad"), Fault: httpError(503, "x")}, "503")
}
