//go:build linux

package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"faultbox/runtime"
	"faultbox/runtime/host"
)

// overlay is a file of the run that a service sees in place of the machine's.
type overlay struct{ file, at string }

// trusting returns s told, by its environment, of files in dir by which it
// trusts its CA on top of what it trusts anyway, and what of the machine's own
// files those take the place of.
func trusting(s *runtime.Service, dir string) (*runtime.Service, []overlay, error) {
	if len(s.CA) == 0 {
		return s, nil, nil
	}
	machine := machineRoots()
	store, err := host.KeyStore(host.Bundle(machine, s.CA))
	if err != nil {
		return nil, nil, err
	}
	own, err := ownRoots(s)
	if err != nil {
		return nil, nil, err
	}
	if own == nil {
		own = machine
	}
	file := func(suffix string) string { return filepath.Join(dir, "trust-"+s.Name+suffix) }
	for suffix, content := range map[string][]byte{
		".pem": host.Bundle(own, s.CA), ".p12": store, "-system.pem": host.Bundle(machine, s.CA),
	} {
		if err := os.WriteFile(file(suffix), content, 0o644); err != nil {
			return nil, nil, fmt.Errorf("write what service %s is to trust: %w", s.Name, err)
		}
	}
	told := *s
	told.Env = host.TrustEnv(s.Env, file(".pem"), file(".p12"))
	if os.Geteuid() != 0 {
		return &told, nil, nil // mounts need root, if only in a user namespace
	}
	return &told, systemStore(file("-system.pem"), file(".p12")), nil
}

// ownRoots reads the bundle that the environment of s names; nil: none.
func ownRoots(s *runtime.Service) ([]byte, error) {
	file := s.Getenv("SSL_CERT_FILE")
	if file == "" {
		return nil, nil
	}
	if !filepath.IsAbs(file) && s.Workdir != "" {
		file = filepath.Join(s.Workdir, file)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read SSL_CERT_FILE of service %s: %w", s.Name, err)
	}
	return b, nil
}

func machineRoots() []byte {
	for _, file := range host.RootFiles {
		if b, err := os.ReadFile(file); err == nil {
			return b
		}
	}
	return nil
}

// systemStore lays the files over those of the machine, where it has them.
func systemStore(bundle, store string) (over []overlay) {
	files := map[string]string{}
	for _, at := range host.RootFiles {
		files[at] = bundle
	}
	files[host.KeyStoreFile] = store
	for at, file := range files {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			over = append(over, overlay{file, real})
		}
	}
	slices.SortFunc(over, func(a, b overlay) int { return strings.Compare(a.at, b.at) })
	return slices.CompactFunc(over, func(a, b overlay) bool { return a.at == b.at })
}
