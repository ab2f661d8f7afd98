package runtime

import (
	"fmt"
	"os"
	"path/filepath"
)

// trustEnv are the variables by which programs are told of a CA bundle: Go,
// OpenSSL and Ruby; Node; Python's requests; curl; the AWS SDKs.
var trustEnv = []string{"SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE"}

// systemRoots are where distributions keep the real roots, as one file.
var systemRoots = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}

// trusting returns svc with the run's CA among those that it trusts, if the
// tests fault an edge of it that uses TLS; else svc itself. The bundle keeps the
// roots that the service would have trusted.
func (s *stage) trusting(tests []*Test, svc *Service) (*Service, error) {
	if !s.speaksTLS(tests, svc) || len(s.runner.CA) == 0 || !svc.Local() {
		return svc, nil
	}
	roots := systemRoots
	if own := svc.Getenv("SSL_CERT_FILE"); own != "" {
		roots = []string{own}
	}
	var bundle []byte
	for _, file := range roots {
		if b, err := os.ReadFile(file); err == nil {
			bundle = append(b, '\n')
			break
		}
	}
	file := filepath.Join(s.world.Dir(), "trust-"+svc.Name+".pem")
	if err := os.WriteFile(file, append(bundle, s.runner.CA...), 0o644); err != nil {
		return nil, fmt.Errorf("write the CA bundle of service %s: %w", svc.Name, err)
	}
	told := *svc
	told.Env = append([]string(nil), svc.Env...)
	for _, name := range trustEnv {
		told.Env = append(told.Env, name+"="+file)
	}
	return &told, nil
}

func (s *stage) speaksTLS(tests []*Test, svc *Service) bool {
	for _, to := range s.runner.Spec.Services {
		for _, itf := range to.Interfaces {
			if itf.TLS && to != svc && edgeNamed(tests, svc.Name, to.Name, itf.Name) {
				return true
			}
		}
	}
	return false
}
