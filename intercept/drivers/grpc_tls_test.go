package drivers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	testpb "google.golang.org/grpc/interop/grpc_testing"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols"
	fbgrpc "faultbox/protocols/grpc"
	h2 "faultbox/protocols/http2"
)

// overTLS is Front for a server that speaks TLS. roots trust what clients see.
func overTLS(t testing.TB, p *protocols.Protocol, server string, rules ...intercept.Rule) (addr string, log *Log, roots *x509.CertPool) {
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	addr, log = FrontLink(t, proxy.Link{
		Protocol: p, TLS: true, TLSConfig: &proxy.TLS{CA: ca},
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
	}, rules...)
	return addr, log, roots
}

// TestGRPCOverTLS: calls and faults below TLS, where ALPN has agreed on h2.
func TestGRPCOverTLS(t *testing.T) {
	file, key := selfSigned(t, folder(t, ""))
	cert, err := tls.LoadX509KeyPair(file, key)
	if err != nil {
		t.Fatal(err)
	}
	server, _ := GRPC(t, grpc.Creds(credentials.NewServerTLSFromCert(&cert)))
	addr, log, roots := overTLS(t, fbgrpc.Protocol, server,
		intercept.Rule{Match: Match(t, fbgrpc.Protocol, "method", "*/EmptyCall"), Fault: grpcError(protocols.Reply{Status: 14})})
	Struck(t, fbgrpc.Protocol, server, "grpc-go", "error below TLS")
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, "127.0.0.1")))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := testpb.NewTestServiceClient(conn)
	for range 3 {
		if got := grpcCalls["empty unary"](t.Context(), c); got != `Unavailable "unavailable" []` {
			t.Errorf("the call that fails: %s", got)
		}
		if got := grpcCalls["large unary"](t.Context(), c); got != `3000000OK "" []` {
			t.Errorf("a call beside it: %s", got)
		}
	}
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// TestHTTP2OverTLS: a client that offers HTTP/1.1 as well gets HTTP/2.
func TestHTTP2OverTLS(t *testing.T) {
	file, key := selfSigned(t, folder(t, ""))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto, r.URL) })}
	go s.ServeTLS(ln, file, key)
	t.Cleanup(func() { s.Close() })
	serves(ln.Addr().String(), webProduct, "")
	Struck(t, h2.Protocol, ln.Addr().String(), "net/http", "error below TLS, ALPN")
	addr, log, roots := overTLS(t, h2.Protocol, ln.Addr().String(),
		intercept.Rule{Match: Match(t, h2.Protocol, "path", "/bad"), Fault: httpError(503, "x")})
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	for path, want := range map[string]string{"/good": "200 OK HTTP/2.0/good", "/bad": `503 Service Unavailable {"error":"x"}`} {
		res, err := (&http.Client{Transport: tr}).Get("https://" + addr + path)
		if err != nil {
			t.Fatal(err, log.Notes())
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := res.Status + " " + string(b); strings.TrimSpace(got) != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
