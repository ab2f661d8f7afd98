//go:build linux

package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docker/docker/client"

	"faultbox/runtime"
)

// refusing is an engine's socket that answers with an errno.
func refusing(t *testing.T, errno syscall.Errno) error {
	t.Helper()
	cli, err := client.NewClientWithOpts(client.WithHost("unix:///run/some.sock"), client.WithHTTPClient(&http.Client{
		Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", errno)}
		}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = cli.Ping(context.Background())
	return err
}

func TestExplainUnreachable(t *testing.T) {
	there := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	if err := os.WriteFile(strings.TrimPrefix(there, "unix://"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		err  error
		want string
	}{
		{there, refusing(t, syscall.EACCES), "permission denied on its socket: run as root (`sudo faultbox test …`), or add this user to the group docker"},
		{there, refusing(t, syscall.ECONNREFUSED), "nobody answers as the Docker engine"},
		{"unix:///nowhere", refusing(t, syscall.ENOENT), "find no Docker engine at unix:///nowhere (a test): "},
		{there, fmt.Errorf("ping: %w", context.DeadlineExceeded), "does not answer within 15s"},
		{there, errors.New("something else"), "use the Docker engine at"},
	} {
		if got := explainUnreachable(endpoint{host: c.host, origin: "a test"}, c.err); !strings.Contains(got, c.want) {
			t.Errorf("%v:\n got %s\nwant %s", c.err, got, c.want)
		}
	}
}

func TestExplainPull(t *testing.T) {
	for said, want := range map[string]string{
		"failed to register layer: write /layer: no space left on device":                     "disk of the Docker engine is full",
		"pull access denied for x, repository does not exist or may require 'docker login'":   "fetch it with your own login",
		`manifest for redis:99 not found: manifest unknown`:                                   "correct image=",
		`Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid: no such host`: "its registry cannot be reached",
		"something else": "try `docker pull x`",
	} {
		if got := explainPull("x", errors.New(said)).Error(); !strings.Contains(got, want) || !strings.Contains(got, said) {
			t.Errorf("%s: %s, want %q in it", said, got, want)
		}
	}
}

func TestIgnore(t *testing.T) {
	for _, c := range []struct{ file, out, in string }{
		{"", "", "a b/c"},
		{"*.log\n# comment\n\nbuild/", "x.log build build/a build/b/c", "a/x.log rebuild a/build log"},
		{"**/*.log", "x.log a/x.log a/b/x.log", "x.txt a/x.logs"},
		{"docs\n!docs/README", "docs docs/a", "docs/README"},
		{"*\n!src", "a b/c", "src src/x Dockerfile .dockerignore"},
		{"/a?c", "abc", "ac abbc x/abc"},
		{"te[sm]t.txt", "test.txt temt.txt", "text.txt"},
		{"a.b", "a.b", "aXb"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ".dockerignore"), []byte(c.file), 0o644); err != nil {
			t.Fatal(err)
		}
		i, err := readIgnore(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range strings.Fields(c.out) {
			if !i.excludes(name) {
				t.Errorf("%q does not ignore %s", c.file, name)
			}
		}
		for _, name := range strings.Fields(c.in) {
			if i.excludes(name) {
				t.Errorf("%q ignores %s", c.file, name)
			}
		}
	}
}

// TestBases: what an image is built from.
func TestBases(t *testing.T) {
	other := "postgres:17"
	r := &recipe{text: []byte(`# FROM comment
ARG TAG=7
ARG DB
FROM --platform=linux/amd64 redis:${TAG} AS first
FROM ${DB:-postgres:16}
COPY --from=first --chown=1 /a /b
COPY --from=nginx:1 /a /b
RUN --mount=type=bind,from=golang:1,target=/x ls
FROM scratch
FROM redis:7
`)}
	if got := strings.Join(r.bases(map[string]*string{"DB": &other, "X": nil}), " "); got != `redis:7 postgres:17 first nginx:1 golang:1` {
		t.Errorf("built from %s", got)
	}
	if got := strings.Join(r.bases(nil), " "); !strings.Contains(got, " postgres:16 ") {
		t.Errorf("with defaults built from %s", got)
	}
}

// TestOurs: a process with the number of a container's, which is elsewhere.
func TestOurs(t *testing.T) {
	if id := strings.Repeat("0123456789abcdef", 4); ours(os.Getpid(), id) || ours(os.Getpid(), "") {
		t.Error("this process is taken for a container's")
	}
}

func TestImageName(t *testing.T) {
	for dir, want := range map[string]string{"api": "api", "My App_2": "my-app-2", "__": "image", "ü": "image"} {
		if got := imageName(dir); got != want {
			t.Errorf("%q: %q, want %q", dir, got, want)
		}
	}
}

func TestSubnets(t *testing.T) {
	used, err := usedPrefixes()
	if err != nil {
		t.Fatal(err)
	}
	s := subnets{}
	seen := map[netip.Prefix]bool{}
	for range 200 {
		p, err := s.take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[p] || overlapsAny(p, used) || p.Bits() != subnetBits || !p.Addr().IsPrivate() {
			t.Fatalf("took %s", p)
		}
		seen[p] = true
		s.release(netip.MustParsePrefix("10.0.0.0/24")) // one that was never taken
	}
	if last := nth(netip.MustParsePrefix("10.1.2.0/24"), 254); last.String() != "10.1.2.254" {
		t.Errorf("the last address is %s", last)
	}
}

// TestEndpoint finds the engine as the docker command does.
func TestEndpoint(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("DOCKER_CONTEXT", "")
	t.Setenv("DOCKER_HOST", "")
	if at, err := findEndpoint(); err != nil || !at.unix() {
		t.Errorf("nothing is configured: %+v, %v", at, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findEndpoint(); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("a broken configuration: %v", err)
	}
	t.Setenv("DOCKER_HOST", "tcp://10.1.2.3:2375")
	if at, err := findEndpoint(); err != nil || at.host != "tcp://10.1.2.3:2375" {
		t.Errorf("DOCKER_HOST: %+v, %v", at, err)
	}
	e := New(Options{})
	t.Setenv("DOCKER_HOST", "ssh://elsewhere")
	var lacks *runtime.LacksError
	if err := e.Supported(); !errors.As(err, &lacks) || !strings.Contains(err.Error(), "run faultbox there") {
		t.Errorf("an engine elsewhere: %v", err)
	}
}

// TestProgress: a pull that takes long says how far it is, every 2 s.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said strings.Builder
		e := New(Options{Progress: &said})
		r, w := io.Pipe()
		go func() {
			for done := 0; done <= 10; done++ {
				fmt.Fprintf(w, `{"status":"Downloading","id":"layer","progressDetail":{"current":%d,"total":%d}}`+"\n", done<<20, 10<<20)
				time.Sleep(time.Second)
			}
			fmt.Fprintln(w, `{"status":"Pull complete","id":"layer"}`)
			w.Close()
		}()
		if err := e.follow(r, "pulling image x", nil); err != nil {
			t.Fatal(err)
		}
		want := "faultbox: pulling image x: 3 of 10 MB\nfaultbox: pulling image x: 6 of 10 MB\nfaultbox: pulling image x: 9 of 10 MB\n"
		if said.String() != want {
			t.Errorf("said %q, want %q", said.String(), want)
		}
	})
}
