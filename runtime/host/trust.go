package host

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// RootFiles are where distributions keep the roots that programs trust, one PEM
// file each; KeyStoreFile is where Debian keeps them for JVMs.
var RootFiles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

const KeyStoreFile = "/etc/ssl/certs/java/cacerts"

// KeyStorePassword is the one that JVMs try when they are told none.
const KeyStorePassword = "changeit"

// bundleEnv are the variables by which programs are told of a bundle: Go,
// OpenSSL and Ruby; Node; Python's requests; curl; the AWS SDKs.
var bundleEnv = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"}

// TrustEnv returns env with the files of a bundle and a JVM's key store told to
// whom they concern. Options that env has for JVMs stay in force.
func TrustEnv(env []string, bundle, keyStore string) []string {
	env = slices.Clone(env)
	for _, name := range bundleEnv {
		env = append(env, name+"="+bundle)
	}
	options := "-Djavax.net.ssl.trustStore=" + keyStore + " -Djavax.net.ssl.trustStorePassword=" + KeyStorePassword
	for _, kv := range slices.Backward(env) {
		if own, ok := strings.CutPrefix(kv, "JAVA_TOOL_OPTIONS="); ok {
			options += " " + own
			break
		}
	}
	return append(env, "JAVA_TOOL_OPTIONS="+options)
}

// Bundle returns roots, which may be empty, with ca among them; both are PEM.
func Bundle(roots, ca []byte) []byte {
	return slices.Concat(roots, []byte("\n"), ca)
}

// KeyStore returns a bundle as a PKCS #12 trust store, in the form that every
// JVM since Java 8 reads. What is no certificate in it is left out.
func KeyStore(bundle []byte) ([]byte, error) {
	var entries []pkcs12.TrustStoreEntry
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			entries = append(entries, pkcs12.TrustStoreEntry{Cert: cert, FriendlyName: fmt.Sprintf("%d %s", len(entries), cert.Subject)})
		}
	}
	store, err := pkcs12.LegacyDES.EncodeTrustStoreEntries(entries, KeyStorePassword)
	if err != nil {
		return nil, fmt.Errorf("make a JVM's key store: %w", err)
	}
	return store, nil
}
