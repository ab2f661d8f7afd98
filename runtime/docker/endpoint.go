//go:build linux

package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"
)

// endpoint is where an engine is, and how that was found out.
type endpoint struct {
	host, origin string
	options      []client.Opt
}

func (e endpoint) unix() bool { return strings.HasPrefix(e.host, "unix://") }

// podmanSockets are where Podman listens as if it were Docker.
var podmanSockets = []string{"/run/podman/podman.sock", "/var/run/podman/podman.sock"}

// findEndpoint finds the engine as the docker command does: DOCKER_HOST,
// DOCKER_CONTEXT, the current context of the user's configuration, the default
// socket; and Podman's where there is no other.
func findEndpoint() (endpoint, error) {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		if strings.HasPrefix(host, "ssh://") {
			return endpoint{}, fmt.Errorf("use DOCKER_HOST=%s: the engine must be on this machine for its traffic to be intercepted: run faultbox there", host)
		}
		return endpoint{host, "DOCKER_HOST", []client.Opt{client.FromEnv}}, nil
	}
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, _ := os.UserHomeDir()
		dir = filepath.Join(home, ".docker")
	}
	name, origin := os.Getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	if name == "" {
		origin = "the current context in " + filepath.Join(dir, "config.json")
		var config struct{ CurrentContext string }
		if err := readJSON(filepath.Join(dir, "config.json"), &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return endpoint{}, err
		}
		name = config.CurrentContext
	}
	if name != "" && name != "default" {
		return fromContext(dir, name, origin)
	}
	if !exists(client.DefaultDockerHost) {
		for _, path := range podmanSockets {
			if exists(path) {
				return endpoint{"unix://" + path, "Podman's socket", []client.Opt{client.WithHost("unix://" + path)}}, nil
			}
		}
	}
	return endpoint{client.DefaultDockerHost, "the default socket", []client.Opt{client.WithHost(client.DefaultDockerHost)}}, nil
}

// fromContext reads a context from the store of the docker command.
func fromContext(dir, name, origin string) (endpoint, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints struct {
			Docker struct{ Host string } `json:"docker"`
		}
	}
	err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, fmt.Errorf("use the Docker context %q (%s): there is no such context: see `docker context ls`", name, origin)
	}
	if err != nil {
		return endpoint{}, err
	}
	at := endpoint{host: meta.Endpoints.Docker.Host, origin: fmt.Sprintf("context %q", name)}
	if at.host == "" || strings.HasPrefix(at.host, "ssh://") {
		return endpoint{}, fmt.Errorf("use the Docker context %q: its engine is not on this machine (%q): run faultbox there, or choose another with DOCKER_CONTEXT", name, at.host)
	}
	at.options = []client.Opt{client.WithHost(at.host)}
	tls := filepath.Join(dir, "contexts", "tls", id, "docker")
	if _, err := os.Stat(filepath.Join(tls, "ca.pem")); err == nil {
		at.options = append(at.options, client.WithTLSClientConfig(
			filepath.Join(tls, "ca.pem"), filepath.Join(tls, "cert.pem"), filepath.Join(tls, "key.pem")))
	}
	return at, nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
