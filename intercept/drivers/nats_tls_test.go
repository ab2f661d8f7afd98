package drivers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"

	"faultbox/intercept"
	"faultbox/intercept/proxy"
	"faultbox/protocols/nats"
)

// selfSigned writes a certificate for 127.0.0.1 and its key into dir.
func selfSigned(t testing.TB, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "faultbox tests"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestNATSOverTLS: the server asks for TLS in its INFO, and faults act below it.
func TestNATSOverTLS(t *testing.T) {
	cert, key := selfSigned(t, folder(t, ""))
	server := NATS(t, "--tls", "--tlscert", cert, "--tlskey", key)
	ca, err := proxy.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	addr, log := FrontLink(t, proxy.Link{
		Protocol: nats.Protocol, TLSConfig: &proxy.TLS{CA: ca},
		Dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", server) },
	}, intercept.Rule{Match: Match(t, nats.Protocol, "topic", "svc.broken"), Fault: natsError("", "")})
	Compared(t, nats.Protocol, server, "nats.go", "TLS, in-band")
	Struck(t, nats.Protocol, server, "nats.go", "error below TLS")
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.PEM())
	through := goNATS(t, addr, gonats.Secure(&tls.Config{RootCAs: roots}))
	if _, err := through.Request("svc.broken", nil, 10*time.Second); err != gonats.ErrNoResponders {
		t.Errorf("the client saw %v", err)
	}
	own := x509.NewCertPool()
	text, _ := os.ReadFile(cert)
	own.AppendCertsFromPEM(text)
	equalLines(t, goNATSCore(t, goNATS(t, server, gonats.Secure(&tls.Config{RootCAs: own}))), goNATSCore(t, through))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}

// TestNATSHandshakeFirst: TLS begins with the first byte, and the INFO within
// still says that it is required.
func TestNATSHandshakeFirst(t *testing.T) {
	dir := folder(t, "")
	cert, key := selfSigned(t, dir)
	conf := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("tls { cert_file: %q, key_file: %q, handshake_first: true }", cert, key)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	server := startNATS(t, cached(t, "bin/nats-server", ".ci/deps.d/nats.sh"), "-c", conf)
	Compared(t, nats.Protocol, server, "nats.go", "TLS, handshake first")
	Struck(t, nats.Protocol, server, "nats.go", "error below TLS, handshake first")
	addr, log, roots := overTLS(t, nats.Protocol, server, intercept.Rule{Match: Match(t, nats.Protocol, "topic", "svc.broken"), Fault: natsError("", "")})
	connect := func(addr string, roots *x509.CertPool) *gonats.Conn {
		return goNATS(t, addr, gonats.Secure(&tls.Config{RootCAs: roots}), gonats.TLSHandshakeFirst())
	}
	through := connect(addr, roots)
	if _, err := through.Request("svc.broken", nil, 10*time.Second); err != gonats.ErrNoResponders {
		t.Errorf("the client saw %v", err)
	}
	own := x509.NewCertPool()
	pemText, _ := os.ReadFile(cert)
	own.AppendCertsFromPEM(pemText)
	equalLines(t, goNATSCore(t, connect(server, own)), goNATSCore(t, through))
	if notes := log.Notes(); len(notes) > 0 {
		t.Errorf("notes: %q", notes)
	}
}
