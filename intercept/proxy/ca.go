package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// CA is the certificate authority of one run. It signs, for each server, a
// certificate that says what the server's own says.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey

	mu    sync.Mutex
	known map[string]*tls.Certificate // by the server's certificate
}

// NewCA makes an authority whose key exists in memory only and which is valid
// for a day.
func NewCA() (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the run's CA: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{Organization: []string{"faultbox"}, CommonName: "faultbox CA of one run"},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the run's CA: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the run's CA: %w", err)
	}
	return &CA{cert: cert, key: key, known: map[string]*tls.Certificate{}}, nil
}

// PEM returns the CA's certificate as services take it.
func (ca *CA) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw})
}

// certificate returns the server's certificate as this CA would have signed
// it: same names, same validity, a key of ours.
func (ca *CA) certificate(server *x509.Certificate) (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if c := ca.known[string(server.Raw)]; c != nil {
		return c, nil
	}
	template := &x509.Certificate{
		SerialNumber: server.SerialNumber, Subject: server.Subject,
		NotBefore: server.NotBefore, NotAfter: server.NotAfter,
		DNSNames: server.DNSNames, IPAddresses: server.IPAddresses,
		EmailAddresses: server.EmailAddresses, URIs: server.URIs,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, &ca.key.PublicKey, ca.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate for %s: %w", server.Subject, err)
	}
	c := &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: ca.key}
	ca.known[string(server.Raw)] = c
	return c, nil
}
